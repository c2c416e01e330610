"""The AES application of an NTAG 424 DNA, as far as a gate meets it, over APDUs. Lives beside the tests.

Its own code for session keys and counters; `cryptolib` and CMAC are the firmware's and are judged by vectors.
"""

from cryptolib import aes

from firmware.cmac import cmac

DF_NAME = b"\xd2\x76\x00\x00\x85\x01\x01"


def odd(mac):
    return bytes([mac[i] for i in range(1, 16, 2)])


def rotate(block):
    return block[1:] + block[:1]


class Card:
    """`card(apdu)` is the response. `tamper(number, response)` may replace that to APDU `number`, from 0."""

    rnd_b = bytes(range(100, 116))
    ti = b"\x11\x22\x33\x44"

    def __init__(self, key, record, tamper=None):
        self.key = key
        self.record = record
        self.tamper = tamper
        self.apdus = []
        self.selected = False
        self.mac_key = None
        self.counter = 0
        self.waits_for_part_2 = False

    def __call__(self, apdu):
        number = len(self.apdus)
        self.apdus.append(apdu)
        response = self.respond(apdu)
        return self.tamper(number, response) if self.tamper else response

    def respond(self, apdu):
        if apdu[:4] == b"\x00\xa4\x04\x0c":
            self.selected = apdu[5 : 5 + apdu[4]] == DF_NAME
            return b"\x90\x00" if self.selected else b"\x6a\x82"
        if not self.selected:
            return b"\x6e\x00"
        assert apdu[0] == 0x90 and apdu[2:4] == b"\0\0" and apdu[-1:] == b"\0"
        data = apdu[5:-1]
        assert len(data) == apdu[4]
        if apdu[1] == 0x71:
            if data != b"\x01\x00":
                return b"\x91\x40"
            self.waits_for_part_2 = True
            return aes(self.key, 2, bytes(16)).encrypt(self.rnd_b) + b"\x91\xaf"
        if apdu[1] == 0xAF and self.waits_for_part_2:
            self.waits_for_part_2 = False
            return self.part_2(data)
        if apdu[1] == 0xAD:
            return self.read(data)
        return b"\x91\x1c"

    def part_2(self, data):
        plain = aes(self.key, 2, bytes(16)).decrypt(data)
        rnd_a = plain[:16]
        if plain[16:] != rotate(self.rnd_b):
            return b"\x91\xae"
        vector = bytearray(rnd_a)
        for i in range(6):
            vector[2 + i] ^= self.rnd_b[i]
        vector = bytes(vector[:8]) + self.rnd_b[6:] + bytes(vector[8:])
        self.mac_key = cmac(self.key, b"\x5a\xa5\x00\x01\x00\x80" + vector)
        self.counter = 0
        return aes(self.key, 2, bytes(16)).encrypt(self.ti + rotate(rnd_a) + bytes(12)) + b"\x91\x00"

    def read(self, data):
        if self.mac_key is None:
            return b"\x91\xae"
        assert data[0] == 3
        head = self.counter.to_bytes(2, "little") + self.ti
        if data[7:] != odd(cmac(self.mac_key, b"\xad" + head + data[:7])):
            return b"\x91\x1e"
        self.counter += 1
        offset, size = int.from_bytes(data[1:4], "little"), int.from_bytes(data[4:7], "little")
        if offset + size > len(self.record):
            return b"\x91\xbe"
        part = self.record[offset : offset + size]
        head = self.counter.to_bytes(2, "little") + self.ti
        return part + odd(cmac(self.mac_key, b"\x00" + head + part)) + b"\x91\x00"
