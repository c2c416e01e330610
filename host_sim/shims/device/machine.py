"""What the firmware uses of `machine`: pins, SPI, I2C, the clock, the watchdog, resets."""

import struct

import _ops
import _world

PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = 1, 2, 3, 4, 5


class Pin:
    """A GPIO. An input shows its level as of the last exchange with the world (at latest the last wake)."""

    IN, OUT, OPEN_DRAIN = 1, 3, 7
    PULL_UP, PULL_DOWN = 2, 1

    def __init__(self, id, mode=-1, pull=-1, *, value=None):
        self.id = id
        self._level = value
        if mode != -1:
            self.init(mode, pull, value=value)

    def init(self, mode=-1, pull=-1, *, value=None):
        _world.post(_ops.PIN_MODE, bytes((self.id, int(mode != Pin.IN), value or 0)))
        if value is not None:
            self._level = value

    def value(self, level=None):
        if level is None:
            return (_world.inputs >> self.id) & 1
        _world.post(_ops.PIN_WRITE, bytes((self.id, int(bool(level)))))

    __call__ = value

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)


class SPI:
    """One SPI bus; a frame costs its bits and a fixed overhead that includes the chip select."""

    MSB, LSB = 0, 1

    def __init__(
        self, id, baudrate=500000, *, polarity=0, phase=0, bits=8, firstbit=0, sck=None, mosi=None, miso=None
    ):
        self._head = bytes((id,))
        self._baudrate = baudrate

    def _charge(self, n):
        _world.now_us += _world.SPI_US + n * 8000000 // self._baudrate

    def write(self, data):
        self._charge(len(data))
        _world.post(_ops.SPI_WRITE, self._head + data)

    def write_readinto(self, data, into):
        self._charge(len(data))
        _world.ask(_ops.SPI, self._head + data, into)

    def readinto(self, into, value=0):
        self.write_readinto(bytes((value,)) * len(into), into)


class I2C:
    """One I2C bus; a transaction costs its bits, nine for each byte, and a fixed overhead."""

    _TIMEOUT_US = 50000  # machine.I2C's own, if none is given

    def __init__(self, id, *, scl, sda, freq=400000):
        self._freq = freq

    def _transfer(self, address, data, count):
        n = len(data) + count + (2 if count else 1)  # the address once more before what is read
        _world.now_us += _world.SPI_US + n * 9000000 // self._freq
        answer = _world.ask(_ops.I2C, bytes((address, count)) + data)
        if answer[0] == 2:  # somebody holds the bus
            _world.now_us += I2C._TIMEOUT_US
            raise OSError(116)  # ETIMEDOUT
        if not answer[0]:
            raise OSError(19)  # ENODEV, as ports/esp32/machine_i2c.c says when nothing acknowledges
        return answer[1:]

    def readfrom_mem_into(self, addr, memaddr, buf):
        buf[:] = self._transfer(addr, bytes((memaddr,)), len(buf))

    def writeto(self, addr, buf):
        self._transfer(addr, bytes(buf), 0)
        return len(buf) + 1  # acknowledged bytes, the address too

    def writeto_mem(self, addr, memaddr, buf):
        self._transfer(addr, bytes((memaddr,)) + buf, 0)


class RTC:
    """The ESP32's clock and the few bytes that survive a reset, but not a power cut."""

    def memory(self, data=None):
        if data is None:
            return bytes(_world.ask(_ops.RTC_MEMORY))
        _world.post(_ops.RTC_MEMORY, b"\x01" + data)
        _world.ask(_ops.SLEEP)  # it is there whatever the interpreter does next

    def datetime(self, parts=None):
        import _link

        if parts is None:
            us = _world.clock_us()
            t = _link.gmtime(us // 1000000 + 946684800)
            return (t[0], t[1], t[2], t[6], t[3], t[4], t[5], us % 1000000)
        seconds = _link.timegm((parts[0], parts[1], parts[2], parts[4], parts[5], parts[6])) - 946684800
        us = seconds * 1000000 + parts[7]
        _world.set_clock(us)
        _world.post(_ops.RTC_SET, struct.pack("<q", us))


class WDT:
    """The watchdog: a board that does not feed it in time is reset."""

    def __init__(self, id=0, timeout=5000):
        _world.post(_ops.WATCHDOG, struct.pack("<I", timeout))

    def feed(self):
        _world.post(_ops.WATCHDOG, struct.pack("<I", 0))


def reset():
    _world.ask(_ops.RESET)


def reset_cause():
    return _world.reset_cause
