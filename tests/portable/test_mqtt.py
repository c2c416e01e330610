"""The MQTT codec against the standard's own figures, at its boundaries, and against hostile bytes."""

from firmware import mqtt, mqtt_connect
from firmware.mqtt import Decoder, MQTTError, PacketIds, parse

CONNACK, PUBLISH, PUBACK, SUBACK, PINGRESP = 2, 3, 4, 9, 13  # MQTT 2.2.1


def packets(data, size=1280, step=None):
    """Return what a decoder makes of `data`, given to it in pieces of at most `step` bytes."""
    decoder = Decoder(size)
    found = []
    at = 0
    while at < len(data):
        room = decoder.room()
        n = min(len(room), len(data) - at, step or len(data))
        room[:n] = data[at : at + n]
        at += n
        packet = decoder.add(n)
        if packet:
            found.append((packet[0], bytes(packet[1])))
    return found


def refused(function, *arguments):
    """Return the text of the MQTTError that the call raises."""
    try:
        function(*arguments)
    except MQTTError as error:
        return str(error)
    raise AssertionError("accepted")


def read(data):
    """Return what the packet in `data` says."""
    ((first, body),) = packets(data)
    return parse(first, memoryview(body))


def test_connect_is_the_packet_of_the_standard():
    # MQTT 3.1.2: figure 3.6 has the variable header with user, password, will QoS 1 and clean session.
    packet = mqtt_connect.connect("id", 10, "us", "pass", ("w/t", b"bye", 1, False))
    header = b"\x00\x04MQTT\x04\xce\x00\x0a"
    payload = b"\x00\x02id\x00\x03w/t\x00\x03bye\x00\x02us\x00\x04pass"
    assert packet == bytes((0x10, len(header + payload))) + header + payload


def test_connect_says_in_its_flags_what_follows():
    flags = [
        mqtt_connect.connect("i", 0)[9],
        mqtt_connect.connect("i", 0, "u")[9],
        mqtt_connect.connect("i", 0, "u", "p")[9],
        mqtt_connect.connect("i", 0, None, None, ("t", b"", 0, False))[9],
        mqtt_connect.connect("i", 0, None, None, ("t", b"", 1, True))[9],
    ]
    assert flags == [0x02, 0x82, 0xC2, 0x06, 0x2E]
    assert mqtt_connect.connect("i", 0, "", "p")[9] == 0xC2, "an empty user is a user"
    assert mqtt_connect.connect("i", 65535)[10:12] == b"\xff\xff"


def test_strings_are_utf_8_with_their_length_in_bytes():
    # MQTT 1.5.3: the example of figure 1.2, "A" and U+2A6D4.
    assert mqtt_connect.connect("A\U0002a6d4", 0)[12:] == b"\x00\x05A\xf0\xaa\x9b\x94"


def test_publish_is_the_packet_of_the_standard():
    # MQTT 3.3.2, figure 3.11: topic a/b, identifier 10.
    assert mqtt.publish("a/b", b"!", 10) == b"\x32\x08\x00\x03a/b\x00\x0a!"
    assert mqtt.publish("a/b", memoryview(b"!")) == b"\x30\x06\x00\x03a/b!"
    assert mqtt.publish("a/b", b"!") == b"\x30\x06\x00\x03a/b!"
    assert mqtt.publish("a/b", b"", 10, True)[0] == 0x33
    assert mqtt.publish("a/b", b"", 0, True)[0] == 0x31


def test_subscribe_puback_ping_and_disconnect_are_the_packets_of_the_standard():
    assert mqtt_connect.subscribe(10, "c/d", 1) == b"\x82\x08\x00\x0a\x00\x03c/d\x01"
    assert mqtt_connect.subscribe(10, "c/d") == b"\x82\x08\x00\x0a\x00\x03c/d\x00"
    assert mqtt.puback(0x1234) == b"\x40\x02\x12\x34"
    assert mqtt.PINGREQ == b"\xc0\x00"


def test_the_length_has_one_to_four_bytes():
    # MQTT 2.2.3, table 2.4: the first and the last length of each size; 5 bytes are topic.
    for length, coded in (
        (127, b"\x7f"),
        (128, b"\x80\x01"),
        (16383, b"\xff\x7f"),
        (16384, b"\x80\x80\x01"),
        (70000, b"\xf0\xa2\x04"),
    ):
        packet = mqtt.publish("abc", bytes(length - 5))
        assert packet[1 : 1 + len(coded)] == coded
        ((first, body),) = packets(packet, size=70010, step=4096)
        assert first == 0x30 and len(body) == length


def test_answers_of_a_server_are_read():
    assert read(b"\x20\x02\x00\x00") == (CONNACK, 0, 0)
    assert read(b"\x20\x02\x01\x05") == (CONNACK, 5, 1)
    assert read(b"\x40\x02\xff\xfe")[:2] == (PUBACK, 65534)
    assert read(b"\x90\x03\x00\x0a\x01") == (SUBACK, 10, 1)
    assert read(b"\x90\x03\x00\x0a\x80") == (SUBACK, 10, 128)
    assert read(b"\xd0\x00") == (PINGRESP,)


def test_a_message_is_read_with_its_topic_payload_identifier_and_retain():
    kind, topic, payload, packet_id, retain = read(mqtt.publish("a/b", b"xyz", 65535, True))
    assert (kind, topic, bytes(payload), packet_id, retain) == (PUBLISH, b"a/b", b"xyz", 65535, 1)
    kind, topic, payload, packet_id, retain = read(mqtt.publish("a/b", b""))
    assert (kind, topic, bytes(payload), packet_id, retain) == (PUBLISH, b"a/b", b"", 0, 0)
    again = bytearray(mqtt.publish("a", b"", 7))
    again[0] |= 8  # DUP
    assert read(bytes(again))[3] == 7
    assert read(mqtt.publish("a", b"", 0, True))[3:] == (0, 1)


def test_a_topic_may_be_longer_than_255_bytes():
    topic = b"a/" * 150
    assert read(mqtt.publish(topic, b"x", 1)) == (PUBLISH, topic, b"x", 1, 0)


def test_a_stream_is_cut_into_the_same_packets_however_it_comes():
    data = b"\x20\x02\x00\x00\xd0\x00" + mqtt.publish("t", bytes(200), 9) + b"\x90\x03\x00\x01\x01\xd0\x00"
    whole = packets(data)
    assert [first >> 4 for first, _ in whole] == [2, 13, 3, 9, 13]
    for step in (1, 2, 3, 7, 100):
        assert packets(data, step=step) == whole


def test_a_packet_may_fill_the_buffer_and_not_one_byte_more():
    size = 300
    packet = mqtt.publish("t", bytes(size - 6))
    assert len(packet) == size and len(packets(packet, size)) == 1
    assert refused(packets, mqtt.publish("t", bytes(size - 5)), size) == "too long"
    assert refused(packets, b"\x30\xff\xff\xff\x7f", size) == "too long"


def test_a_length_of_five_bytes_is_refused():
    assert refused(packets, b"\x30\xff\xff\xff\xff\x01") == "bad length"
    assert packets(b"\xd0\x80\x80\x80\x00") == [(0xD0, b"")]


def test_malformed_messages_are_refused():
    for body in (
        b"\x30\x00",  # no topic
        b"\x30\x01\x00",  # half a length
        b"\x30\x02\x00\x00",  # an empty topic
        b"\x30\x03\x00\x02t",  # a topic beyond the end
        b"\x32\x03\x00\x01t",  # no identifier
        b"\x32\x04\x00\x01t\x00",  # half an identifier
        b"\x32\x05\x00\x01t\x00\x00",  # identifier 0
        b"\x34\x05\x00\x01t\x00\x01",  # QoS 2, which was never asked for
        b"\x36\x05\x00\x01t\x00\x01",  # QoS 3, which does not exist
        b"\x38\x03\x00\x01t",  # DUP with QoS 0
        b"\x32\x02\xff\xff",
    ):
        refused(read, body)


def test_a_refusal_names_the_packet():
    assert refused(read, b"\xc0\x00") == "packet c0 of 0 bytes"


def test_what_no_server_sends_is_refused():
    for packet in (
        b"\x00\x00",
        b"\x10\x00",  # CONNECT
        b"\x20\x00",
        b"\x20\x03\x00\x00\x00",
        b"\x21\x02\x00\x00",  # reserved flags
        b"\x40\x00",
        b"\x40\x03\x00\x01\x00",
        b"\x41\x02\x00\x01",
        b"\x50\x02\x00\x01",  # QoS 2
        b"\x62\x02\x00\x01",
        b"\x82\x00",
        b"\x90\x02\x00\x01",
        b"\x90\x04\x00\x01\x00\x00",
        b"\xb0\x02\x00\x01",
        b"\xc0\x00",
        b"\xd0\x01\x00",
        b"\xd1\x00",
        b"\xe0\x00",
        b"\xf0\x00",
    ):
        refused(read, packet)


def test_hostile_bytes_end_in_packets_or_in_an_error_of_the_codec():
    seed = 12345
    for _ in range(3000):
        data = bytearray()
        for _ in range(40):
            seed = (seed * 1103515245 + 12345) & 0x3FFFFFFF
            data.append(seed >> 20 & 0xFF)
        data[1] &= 0x1F if seed & 1 else 0xFF
        try:
            for first, body in packets(bytes(data), 64):
                parse(first, memoryview(body))
        except MQTTError:
            pass


def test_there_is_always_room_and_never_beyond_the_packet():
    decoder = Decoder(16)
    sizes = []
    for byte in b"\xd0\x00\x30\x8a\x80\x00\x00\x01t1234567":
        sizes.append(len(decoder.room()))
        decoder.room()[0] = byte
        decoder.add(1)
    assert sizes == [2, 1, 2, 1, 1, 1, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]


def test_identifiers_run_from_1_to_65535_and_round_again():
    ids = PacketIds()
    for expected in range(1, 65536):
        assert ids.take() == expected
        ids.release(expected)
    assert ids.take() == 1


def test_an_identifier_in_use_is_not_given_again():
    ids = PacketIds()
    assert [ids.take(), ids.take(), ids.take()] == [1, 2, 3]
    ids.release(1)
    ids.release(3)
    assert ids.waiting == [2]
    for _ in range(65532):
        ids.release(ids.take())
    assert [ids.take(), ids.take(), ids.take()] == [1, 3, 4], "2 still waits"


def test_an_acknowledgement_that_nobody_waits_for_is_ignored():
    ids = PacketIds()
    ids.release(1)
    assert ids.take() == 1
    ids.release(2)
    assert ids.waiting == [1]


def test_a_payload_may_be_a_view_into_a_buffer():
    view = memoryview(bytearray(b"xpayload"))[1:]
    assert mqtt.publish("t", view) == mqtt.publish("t", b"payload")
    assert mqtt.publish("t", view, 7) == mqtt.publish("t", b"payload", 7)
