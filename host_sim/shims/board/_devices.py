"""Completes the stand-ins `machine` and `esp32` with what a technician's tools use besides the firmware.

Imported once, before the host's file system goes away.
"""

import json
import struct

import _ops
import _packets
import _time
import _world
import esp32
import machine
import umachine
import utime

_NOT_FOUND = -0x1102  # ESP_ERR_NVS_NOT_FOUND
_INVALID_LENGTH = -0x110C  # ESP_ERR_NVS_INVALID_LENGTH


class Pin(machine.Pin):
    """A GPIO whose level is asked for when it is read."""

    def init(self, mode=-1, pull=-1, *, value=None):
        _world.post(_packets.PIN_PULL, bytes((self.id, pull == Pin.PULL_UP)))
        super().init(mode, pull, value=value)

    def value(self, level=None):
        if level is None:
            _world.refresh()
            return _world.inputs >> self.id & 1
        _world.post(_ops.PIN_WRITE, bytes((self.id, int(bool(level)))))

    def __call__(self, level=None):
        return self.value(level)

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)

    def toggle(self):
        self.value(not self.value())


class RTC(machine.RTC):
    """The ESP32's clock; years from 2000, UTC."""

    def datetime(self, parts=None):
        if parts is None:
            us = _world.clock_us() + _world.rtc_us
            t = _time.gmtime(us // 1000000)
            return (t[0], t[1], t[2], t[6], t[3], t[4], t[5], us % 1000000)
        us = _time.mktime(parts[:3] + parts[4:7]) * 1000000 + parts[7]
        _world.ask(_ops.RTC_SET, struct.pack("<q", us))
        _world.rtc_us = us - _world.now_us

    def init(self, parts):
        self.datetime(parts)


class Partition(esp32.Partition):
    """A flash partition with its real type, and a search through all of them."""

    @staticmethod
    def find(type=esp32.Partition.TYPE_APP, subtype=255, label=None, block_size=4096):
        return [
            Partition(row[4])
            for row in json.loads(_world.ask(_packets.PARTITIONS))
            if row[0] == type and subtype in (255, row[1]) and label in (None, row[4])
        ]

    def info(self):
        for row in json.loads(_world.ask(_packets.PARTITIONS)):
            if row[4] == self._label:
                return tuple(row + [False])


class NVS:
    """A namespace of non-volatile storage; `commit` has nothing left to do."""

    def __init__(self, namespace):
        if not 0 < len(namespace) < 16:
            raise OSError(-0x1106)  # ESP_ERR_NVS_INVALID_NAME
        self._namespace = namespace

    def _key(self, kind, key):
        if not 0 < len(key) < 16:
            raise OSError(-0x1106)
        return (kind + self._namespace + "/" + key).encode()

    def _get(self, kind, key):
        answer = _world.ask(_ops.NVS_GET, self._key(kind, key))
        if not answer:
            raise OSError(_NOT_FOUND, "ESP_ERR_NVS_NOT_FOUND")
        return answer[1:]

    def set_blob(self, key, value):
        _world.ask(_packets.NVS_SET, self._key("", key) + b"\0" + bytes(value))

    def get_blob(self, key, buffer):
        value = self._get("", key)
        if len(value) > len(buffer):
            raise OSError(_INVALID_LENGTH, "ESP_ERR_NVS_INVALID_LENGTH")
        buffer[: len(value)] = value
        return len(value)

    def set_i32(self, key, value):
        _world.ask(_packets.NVS_SET, self._key("i32:", key) + b"\0" + struct.pack("<i", value))

    def get_i32(self, key):
        return struct.unpack("<i", self._get("i32:", key))[0]

    def erase_key(self, key):
        # Both are asked for: a key has one value, of whichever type.
        blob = _world.ask(_packets.NVS_ERASE, self._key("", key))
        number = _world.ask(_packets.NVS_ERASE, self._key("i32:", key))
        if not (blob[0] or number[0]):
            raise OSError(_NOT_FOUND, "ESP_ERR_NVS_NOT_FOUND")

    def commit(self):
        pass


machine.Pin, machine.RTC = Pin, RTC
machine.mem8, machine.mem16, machine.mem32 = umachine.mem8, umachine.mem16, umachine.mem32
machine.idle = lambda: utime.sleep_ms(1)
machine.freq = lambda hz=None: 160000000
esp32.Partition, esp32.NVS = Partition, NVS
