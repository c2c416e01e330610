"""MQTT 3.1.1 as bytes: the two packets that a client begins a connection with. See mqtt.py.

Only what the gate uses: one topic filter per SUBSCRIBE, clean sessions. Loaded while a connection is made.
"""

import struct

from .mqtt import packet, string


def connect(client_id: str, keepalive_s: int, user=None, password=None, will=None) -> bytes:
    """Return CONNECT (MQTT 3.1) for a clean session; `keepalive_s` 0 to 65535, 0 = none.

    `will` = (topic, payload, QoS 0 or 1, retain). A password needs a user.
    """
    flags = 2
    payload = string(client_id)
    if will:
        topic, message, qos, retain = will
        flags |= 4 | qos << 3 | bool(retain) << 5
        payload += string(topic) + string(message)
    if user is not None:
        flags |= 0x80
        payload += string(user)
        if password is not None:
            flags |= 0x40
            payload += string(password)
    return packet(0x10, b"\x00\x04MQTT\x04", struct.pack(">BH", flags, keepalive_s), payload)


def subscribe(packet_id: int, topic, qos: int = 0) -> bytes:
    """Return SUBSCRIBE (MQTT 3.8) with one topic filter and the highest QoS that is wanted."""
    return packet(0x82, struct.pack(">H", packet_id), string(topic), bytes((qos,)))
