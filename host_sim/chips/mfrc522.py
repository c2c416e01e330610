"""The reader chip MFRC522, from the bytes of its SPI frames on.

Owns the registers, the commands and the interrupt requests; FIFO, timer, CRC coprocessor and contactless UART
are parts in files of their own. It never charges time for SPI (the bus does) and never knows which driver
talks to it. Everything that takes time is an event on the timeline.

"DS" = NXP MFRC522 data sheet Rev. 3.9. What the data sheet leaves open, and what we assumed, is listed in
docs/simulation.md.
"""

import random
from collections import Counter
from collections.abc import Callable

from host_sim.cards.air import frame, microseconds, with_crc_a
from host_sim.cards.classic import shared
from host_sim.cards.crypto1 import Crypto1, successor
from host_sim.cards.field import Field
from host_sim.cards.picc import Card
from host_sim.chips import mfrc522_registers as reg
from host_sim.chips.mfrc522_crc import CYCLES_PER_BYTE, CRCCoprocessor
from host_sim.chips.mfrc522_fifo import Fifo
from host_sim.chips.mfrc522_timer import TimerUnit
from host_sim.chips.mfrc522_uart import ContactlessUart
from host_sim.timeline import Event, Timeline

START_UP_US = 1_038  # crystal 1 ms (our assumption) + 1024 clocks (DS 8.8.2); after reset and soft power-down
SOFT_RESET_US = 38  # 1024 clocks of 27.12 MHz (DS 8.8.2), the crystal runs on
SELF_TEST_US = 1_000  # our assumption
BUFFER_SIZE = 25  # the internal buffer of the Mem command (DS 10.3.1.2)
RANDOM_ID_SIZE = 10  # DS 10.3.1.3
_NONCE_BYTES = 4
AUTHENT_SIZE = 12  # command, block, key, four bytes of the UID (DS 10.3.1.9)

# What a self-test leaves in the FIFO, by version (DS 16.1.1 as public drivers quote it; unverified).
SELF_TEST_RESULTS = {
    0x90: bytes.fromhex(
        "0087980f49ff0719bf2230495963adca7fe34e035c4e4950479a3761e7e2c62e"
        "755aed043d024b7832ff583b7ce90094b44a595bfdc929df3596989e4f30328d"
    ),
    0x91: bytes.fromhex(
        "00c637d532b7575cc2d87c4dd970c77310e6d2aa5ea13e5a14af3061c970db2e"
        "642272b5bd65f4ec22bcd37235cdaa411fa7f35314de7e02d90fb55e251d2979"
    ),
    0x92: bytes.fromhex(
        "00eb66ba57bf2395d0e30d3d27895cde9d3ba700215b8982513aeb020ca50049"
        "7c844db3ccd21b815d4876d5716121a986968338cf9d5b6ddc15ba3e7d953b2f"
    ),
}

# Why a chip does not take orders
_HELD_IN_RESET = "reset"
_DEAD = "dead"
_STARTING = "starting"

Trace = Callable[[int, str, bytes, bytes], None]


class MFRC522:
    """One chip with its antenna in `field`. After construction it is powered up and ready, NRSTPD high.

    `version` is what VersionReg says: 0x92 and 0x91 are NXP's, others are clones. `trace(now_us, kind, a, b)`
    is called with ("spi", MOSI, MISO), ("sent", bits, b"") and ("received", data in the FIFO, ErrorReg); None
    costs nothing. `seed` is that of the random ID command.

    `assumed` counts what the driver did whose effect the data sheet leaves open; a careful driver keeps it
    empty. `start_send_lasts`: StartSend is write-only and taken as a strobe; set this for a chip in which it
    stays, starts the next Transceive by itself, and starts no second frame of the same one.
    """

    def __init__(
        self,
        timeline: Timeline,
        field: Field,
        version: int = 0x92,
        trace: Trace | None = None,
        seed: int = 522,
    ) -> None:
        self._timeline = timeline
        self._field = field
        self._version = version
        self.trace = trace
        self.assumed: Counter[str] = Counter()
        self.start_send_lasts = False
        self._start_send = False  # as last written
        self._random = random.Random(seed)
        self._buffer = bytes(BUFFER_SIZE)
        self._cipher = Crypto1(bytes(6))
        self._order = b""  # of MFAuthent
        self._is_nested = False  # the order goes out under the cipher of the sector that is open
        self._proof = b""  # nonce and proof, to be sent in answer to the card's nonce
        self._expected = b""  # the card's own proof
        self._crc_paused = 0  # CRC_EN while ours is sent
        self._regs = bytearray(reg.RESET_VALUES)
        self._fifo = Fifo(self._regs, self.raise_irq)
        self._timer = TimerUnit(timeline, self._regs, self._timer_expired)
        self._crc = CRCCoprocessor(self._regs)
        self._crc_ready = True
        self._work: Event | None = None  # CRC calculation or self-test under way
        self._uart = ContactlessUart(self, timeline, self._regs, self._fifo, self._timer, field)
        self._pin = 1
        self._silent: str | None = None
        self._start: Event | None = None
        field.antenna = self
        self._readers = self._read_table()
        self._writers = self._write_table()
        self._reset_registers()

    # Pins -------------------------------------------------------------------------------------------------

    def transfer(self, mosi: bytes) -> bytes:
        """Execute one SPI frame, chip select low to high, at `timeline.now`; return as many bytes (DS 8.1.2).

        A first byte with bit 7 set reads: each byte but the last is an address, answered one byte later. Else
        it is the address that all following bytes are written to.
        """
        if self._silent is not None:
            return self._transfer_when_silent(mosi)
        count = len(mosi)
        if not count:
            return b""
        address = mosi[0] >> 1 & 0x3F
        if mosi[0] & 0x80:
            reader = self._readers[address]
            if count == 2:
                miso = bytes((0, self._regs[address] if reader is None else reader()))
            else:
                out = bytearray(count)
                for place in range(1, count):
                    address = mosi[place - 1] >> 1 & 0x3F
                    reader = self._readers[address]
                    out[place] = self._regs[address] if reader is None else reader()
                miso = bytes(out)
        else:
            writer = self._writers[address]
            if address == reg.FIFO_DATA:
                if count > 1:
                    self._write_fifo(mosi[1:])
            elif writer is None:
                writable = reg.WRITABLE[address]
                for value in mosi[1:]:
                    self._regs[address] = self._regs[address] & ~writable | value & writable
            else:
                for value in mosi[1:]:
                    writer(value)
            miso = bytes(count)
        if self.trace is not None:
            self.trace(self._timeline.now, "spi", bytes(mosi), miso)
        return miso

    def reset_pin(self, level: int) -> None:
        """Drive NRSTPD: 0 is hard power-down, the edge to 1 starts the chip (DS 8.7.1, 8.8)."""
        if level == self._pin:
            return
        self._pin = level
        self._timeline.cancel(self._start)
        if level:
            self._silent = _STARTING
            self._start = self._timeline.after(START_UP_US, self._ready)
        else:
            self._stop_everything()
            self._reset_registers()
            self._field_follows()
            self._silent = _HELD_IN_RESET

    @property
    def irq_level(self) -> int:
        """The level of pin IRQ, 0 or 1; an open-drain output (IRqPushPull 0) is taken to have a pull-up."""
        return int(self._irq_requested() != bool(self._regs[reg.COM_I_EN] & reg.IRQ_INV))

    @property
    def powered(self) -> bool:
        """True while the antenna feeds the field."""
        return self._field.powered

    @property
    def dead(self) -> bool:
        """True while the chip answers nothing; set it to make it hang. A pulse on the RST pin ends it."""
        return self._silent is _DEAD

    @dead.setter
    def dead(self, value: bool) -> None:
        if value:
            self._stop_everything()
            self._timeline.cancel(self._start)
            self._silent = _DEAD
        elif self._silent is _DEAD:
            self._silent = None

    def _transfer_when_silent(self, mosi: bytes) -> bytes:
        miso = bytearray(len(mosi))
        if self._silent is _STARTING and mosi and mosi[0] & 0x80:
            # Orders are not taken yet, but registers can be read; PowerDown reads 1 until ready (DS 9.3.1.2).
            for place in range(1, len(mosi)):
                address = mosi[place - 1] >> 1 & 0x3F
                reader = self._readers[address]
                value = self._regs[address] if reader is None else reader()
                miso[place] = value | reg.POWER_DOWN if address == reg.COMMAND else value
        if self.trace is not None:
            self.trace(self._timeline.now, "spi", bytes(mosi), bytes(miso))
        return bytes(miso)

    def _ready(self) -> None:
        self._silent = None
        self._regs[reg.COMMAND] &= ~reg.POWER_DOWN
        self._field_follows()

    def _stop_everything(self) -> None:
        self._uart.stop()
        self._timer.stop()
        self._timeline.cancel(self._work)
        self._crc_ready = True

    def _reset_registers(self) -> None:
        self._regs[:] = reg.RESET_VALUES
        self._regs[reg.VERSION] = self._version
        self._start_send = False
        self._timer.reset()
        self._crc.reset()
        self._fifo.clear()
        self._regs[reg.COM_IRQ] = reg.RESET_VALUES[reg.COM_IRQ]

    # Requests and errors ----------------------------------------------------------------------------------

    def raise_irq(self, bits: int) -> None:
        """Set bits of ComIrqReg."""
        self._regs[reg.COM_IRQ] |= bits

    def set_error(self, bits: int) -> None:
        """Set bits of ErrorReg, and ErrIRq."""
        self._regs[reg.ERROR] |= bits
        self._regs[reg.COM_IRQ] |= reg.IRQ_ERR

    def _irq_requested(self) -> bool:
        regs = self._regs
        return bool(
            regs[reg.COM_IRQ] & regs[reg.COM_I_EN] & 0x7F
            or regs[reg.DIV_IRQ] & regs[reg.DIV_I_EN] & (reg.DIV_CRC | reg.DIV_MFIN)
        )

    def _timer_expired(self) -> None:
        self._regs[reg.COM_IRQ] |= reg.IRQ_TIMER

    # Registers that do more than store --------------------------------------------------------------------

    def _read_table(self) -> list[Callable[[], int] | None]:
        readers: list[Callable[[], int] | None] = [None] * reg.COUNT
        readers[reg.STATUS1] = self._read_status1
        readers[reg.STATUS2] = lambda: self._regs[reg.STATUS2] | self._uart.modem_state()
        readers[reg.FIFO_DATA] = self._read_fifo
        readers[reg.FIFO_LEVEL] = self._read_fifo_level
        readers[reg.T_COUNTER_H] = lambda: self._timer.value() >> 8
        readers[reg.T_COUNTER_L] = lambda: self._timer.value() & 0xFF
        return readers

    def _write_table(self) -> list[Callable[[int], None] | None]:
        writers: list[Callable[[int], None] | None] = [None] * reg.COUNT
        writers[reg.COMMAND] = self._write_command
        writers[reg.COM_IRQ] = self._write_com_irq
        writers[reg.DIV_IRQ] = self._write_div_irq
        writers[reg.STATUS2] = self._write_status2
        writers[reg.FIFO_LEVEL] = self._write_fifo_level
        writers[reg.WATER_LEVEL] = self._write_water_level
        writers[reg.CONTROL] = self._write_control
        writers[reg.BIT_FRAMING] = self._write_bit_framing
        writers[reg.MODE] = self._write_mode
        writers[reg.TX_CONTROL] = self._write_tx_control
        return writers

    def _read_status1(self) -> int:
        self._uart.sync()
        value = 0
        if self._crc_ready:
            value |= reg.ST1_CRC_READY | (reg.ST1_CRC_OK if self._crc.is_zero else 0)
        if self._irq_requested():
            value |= reg.ST1_IRQ
        if self._timer.running:
            value |= reg.ST1_T_RUNNING
        if self._fifo.high:
            value |= reg.ST1_HI_ALERT
        if self._fifo.low:
            value |= reg.ST1_LO_ALERT
        return value

    def _write_com_irq(self, value: int) -> None:
        if value & reg.SET:
            self._regs[reg.COM_IRQ] |= value & 0x7F
        else:
            self._regs[reg.COM_IRQ] &= ~value
            if value & reg.IRQ_TIMER and self._timer.running:
                self._timer.irq_cleared()

    def _write_div_irq(self, value: int) -> None:
        marked = value & (reg.DIV_CRC | reg.DIV_MFIN)
        if value & reg.SET:
            self._regs[reg.DIV_IRQ] |= marked
        else:
            self._regs[reg.DIV_IRQ] &= ~marked

    def _write_status2(self, value: int) -> None:
        # MFCrypto1On can only be cleared by the host (DS 9.3.1.9).
        kept = self._regs[reg.STATUS2] & value & reg.ST2_CRYPTO1
        self._regs[reg.STATUS2] = value & reg.ST2_KEPT | kept

    def _read_fifo(self) -> int:
        self._uart.sync()
        taken = self._fifo.take(1)
        if not taken:
            self.assumed["FIFO read while empty: 0"] += 1
            return 0
        return taken[0]

    def _read_fifo_level(self) -> int:
        self._uart.sync()
        return len(self._fifo.data)

    def _write_fifo(self, data: bytes) -> None:
        self._uart.sync()
        command = self._regs[reg.COMMAND] & 0x0F
        if command == reg.MF_AUTHENT or self._uart.is_awaiting_or_receiving():
            self.set_error(reg.ERR_WR)
        if not self._fifo.put(data):
            self.set_error(reg.ERR_BUFFER_OVFL)
        if command == reg.CALC_CRC:
            self._calculate()
        elif command == reg.TRANSCEIVE or command == reg.TRANSMIT:
            self._uart.resume()

    def _write_fifo_level(self, value: int) -> None:
        if value & reg.FLUSH_BUFFER:
            self._uart.sync()
            self._fifo.clear()
            self._regs[reg.ERROR] &= ~reg.ERR_BUFFER_OVFL

    def _write_water_level(self, value: int) -> None:
        self._regs[reg.WATER_LEVEL] = value & reg.WRITABLE[reg.WATER_LEVEL]
        self._fifo.update()

    def _write_control(self, value: int) -> None:
        if value & reg.T_STOP_NOW:
            self._timer.stop()
        if value & reg.T_START_NOW:
            self._timer.start()

    def _write_bit_framing(self, value: int) -> None:
        self._regs[reg.BIT_FRAMING] = value & reg.WRITABLE[reg.BIT_FRAMING]
        is_lasting = self.start_send_lasts and self._start_send
        self._start_send = bool(value & reg.START_SEND)
        if self._start_send and not is_lasting and self._regs[reg.COMMAND] & 0x0F == reg.TRANSCEIVE:
            self._uart.send()

    def _write_mode(self, value: int) -> None:
        old = self._regs[reg.MODE]
        writable = reg.WRITABLE[reg.MODE]
        self._regs[reg.MODE] = old & ~writable | value & writable
        if (old ^ value) & 0x08:  # PolMFin: a change is an edge on MFIN (DS 9.3.2.2)
            self._regs[reg.DIV_IRQ] |= reg.DIV_MFIN

    def _write_tx_control(self, value: int) -> None:
        writable = reg.WRITABLE[reg.TX_CONTROL]
        self._regs[reg.TX_CONTROL] = self._regs[reg.TX_CONTROL] & ~writable | value & writable
        self._field_follows()

    def _field_follows(self) -> None:
        """Switch the field by the antenna drivers' enable bits; soft power-down stops the carrier."""
        regs = self._regs
        on = bool(regs[reg.TX_CONTROL] & reg.TX_RF_EN) and not regs[reg.COMMAND] & reg.POWER_DOWN
        if on == self._field.powered:
            return
        if not on:
            self._uart.field_lost()
        self._field.switch(on)
        if on:
            self._uart.resume()

    # Commands ---------------------------------------------------------------------------------------------

    def _write_command(self, value: int) -> None:
        regs = self._regs
        command = value & 0x0F
        running = regs[reg.COMMAND] & 0x0F
        flags = value & (reg.RCV_OFF | reg.POWER_DOWN)
        woken = regs[reg.COMMAND] & reg.POWER_DOWN and not flags & reg.POWER_DOWN
        if command == reg.SOFT_RESET:
            self._soft_reset()
            return
        if command == reg.NO_CMD_CHANGE and not flags & reg.POWER_DOWN:
            regs[reg.COMMAND] = flags | running
        else:
            self._uart.stop()
            self._timeline.cancel(self._work)
            self._crc_ready = True
            regs[reg.ERROR] &= reg.ERR_TEMP  # executing a command clears the others (DS 9.3.1.7)
            regs[reg.COMMAND] = flags | (command if command != reg.NO_CMD_CHANGE else reg.IDLE)
            if flags & reg.POWER_DOWN or woken:
                regs[reg.COMMAND] = flags  # without a clock no command runs
            elif command != reg.IDLE:
                self._begin(command)
        if woken:
            regs[reg.COMMAND] |= reg.POWER_DOWN  # reads 1 until the crystal runs (DS 9.3.1.2)
            self._silent = _STARTING
            self._start = self._timeline.after(START_UP_US, self._ready)
        elif flags & reg.POWER_DOWN:
            self._timer.stop()
            self._field_follows()

    def _begin(self, command: int) -> None:
        uart = self._uart
        if command == reg.TRANSCEIVE:
            uart.await_start_send()
            if self._start_send:
                self.assumed["Transceive began with StartSend still written as 1"] += 1
                if self.start_send_lasts:
                    uart.send()
        elif command == reg.TRANSMIT:
            uart.send()
        elif command == reg.RECEIVE:
            uart.listen()
        elif command == reg.CALC_CRC:
            self._begin_calculation()
        elif command == reg.MF_AUTHENT:
            self._begin_authentication()
        elif command == reg.MEM:
            self._mem()
        elif command == reg.GENERATE_RANDOM_ID:
            self._buffer = self._random.randbytes(RANDOM_ID_SIZE) + self._buffer[RANDOM_ID_SIZE:]
            self._finish()
        else:
            self._finish()  # unknown: Idle, with IdleIRq (DS 9.3.1.5)

    def _finish(self) -> None:
        """End the command by itself: Idle becomes active."""
        self._regs[reg.COMMAND] &= ~0x0F
        self._regs[reg.COM_IRQ] |= reg.IRQ_IDLE

    def _soft_reset(self) -> None:
        self._stop_everything()
        self._reset_registers()
        self._field_follows()
        self._silent = _STARTING
        self._timeline.cancel(self._start)
        self._start = self._timeline.after(SOFT_RESET_US, self._ready)

    def _begin_authentication(self) -> None:
        """Send command and block; the card's nonce is answered in `_go_on_authenticating` (DS 10.3.1.9)."""
        if len(self._fifo.data) < AUTHENT_SIZE:
            return
        self._is_nested = bool(self._regs[reg.STATUS2] & reg.ST2_CRYPTO1)
        self._regs[reg.STATUS2] &= ~reg.ST2_CRYPTO1
        order = self._fifo.take(AUTHENT_SIZE)
        self._order, self._proof, self._expected = order, b"", b""
        self._fifo.put(order[:2] if self._regs[reg.TX_MODE] & reg.CRC_EN else with_crc_a(order[:2]))
        self._uart.send()

    def _go_on_authenticating(self) -> None:
        """Answer the card's nonce, then take its own proof: Crypto1 is on, and the command is over.

        A wrong answer, or none, ends nothing: the host's timer does (DS 10.3.1.9).
        """
        answer = self._fifo.take(len(self._fifo.data))
        if len(answer) != _NONCE_BYTES or self._regs[reg.ERROR]:
            return
        if not self._expected:
            if not self._is_nested:
                self._cipher = Crypto1(self._order[2:8])
                self._cipher.feed(shared(answer, self._order[8:12]))
            self._proof = self._random.randbytes(_NONCE_BYTES) + successor(answer, 64)
            self._expected = successor(answer, 96)
            self._fifo.put(self._proof)
            self._crc_paused = self._regs[reg.TX_MODE] & reg.CRC_EN
            self._regs[reg.TX_MODE] &= ~reg.CRC_EN
            self._uart.send()
        elif answer == self._expected:
            self._regs[reg.STATUS2] |= reg.ST2_CRYPTO1
            self._finish()

    def _mem(self) -> None:
        if self._fifo.data:
            taken = self._fifo.take(BUFFER_SIZE)
            self._buffer = taken + self._buffer[len(taken) :]
        else:
            self._fifo.put(self._buffer)
        self._finish()

    def _begin_calculation(self) -> None:
        if self._regs[reg.AUTO_TEST] & 0x0F == reg.SELF_TEST:
            self._fifo.clear()
            self._work = self._timeline.after(SELF_TEST_US, self._end_of_self_test)
            return
        self._crc.preset()
        self._calculate()

    def _calculate(self) -> None:
        data = self._fifo.take(len(self._fifo.data))
        self._crc.feed(data)
        self._crc_ready = False
        self._timeline.cancel(self._work)
        needed = microseconds(CYCLES_PER_BYTE * max(len(data), 1))
        self._work = self._timeline.after(needed, self._end_of_calculation)

    def _end_of_calculation(self) -> None:
        self._crc.show()
        self._crc_ready = True
        self._regs[reg.DIV_IRQ] |= reg.DIV_CRC

    def _end_of_self_test(self) -> None:
        result = SELF_TEST_RESULTS.get(self._version, bytes(64))
        if any(self._buffer):  # DS 16.1.1 has it cleared first; what else comes out is our invention
            result = bytes(byte ^ 0xFF for byte in result)
        self._fifo.put(result)

    def to_air(self, bits: bytes) -> bytes:
        """Return a frame as it leaves, under the cipher if that is on."""
        if self._regs[reg.COMMAND] & 0x0F == reg.MF_AUTHENT:
            if self._proof:
                nonce, answer = self._proof[:_NONCE_BYTES], self._proof[_NONCE_BYTES:]
                return self._cipher.send_nonce(nonce) + self._cipher.crypt(frame(answer))
            if self._is_nested:
                bits = self._cipher.crypt(bits)
                self._cipher = Crypto1(self._order[2:8])
            return bits
        return self._cipher.crypt(bits) if self._regs[reg.STATUS2] & reg.ST2_CRYPTO1 else bits

    def from_air(self, frames: list[bytes]) -> list[bytes]:
        """Return frames that came at the same time, under the cipher if that is on; it goes on once."""
        is_handshake = self._regs[reg.COMMAND] & 0x0F == reg.MF_AUTHENT
        is_nonce = is_handshake and self._is_nested and not self._expected
        is_proof = is_handshake and self._expected
        if not frames or not (is_nonce or is_proof or self._regs[reg.STATUS2] & reg.ST2_CRYPTO1):
            return frames
        before = self._cipher
        plain = []
        for bits in frames:
            self._cipher = before.copy()
            if is_nonce:
                plain.append(self._cipher.take_nonce(bits, self._order[8:12]))
            else:
                plain.append(self._cipher.crypt(bits))
        return plain

    # What the UART reports --------------------------------------------------------------------------------

    def frame_sent(self, bits: bytes) -> bool:
        """A frame has left; return True if answers are to be received now."""
        if self.trace is not None:
            self.trace(self._timeline.now, "sent", bits, b"")
        command = self._regs[reg.COMMAND] & 0x0F
        if command == reg.MF_AUTHENT:
            self._regs[reg.TX_MODE] |= self._crc_paused
            self._crc_paused = 0
            return True  # TxIRq and RxIRq are blocked (DS 10.3.1.9)
        self._regs[reg.COM_IRQ] |= reg.IRQ_TX
        if command == reg.TRANSMIT:
            self._finish()
        return command == reg.TRANSCEIVE

    def frame_received(self) -> None:
        """A frame has arrived and is in the FIFO."""
        if self.trace is not None:
            errors = bytes([self._regs[reg.ERROR]])
            self.trace(self._timeline.now, "received", bytes(self._fifo.data), errors)
        command = self._regs[reg.COMMAND] & 0x0F
        if command == reg.MF_AUTHENT:
            self._go_on_authenticating()
            return
        self._regs[reg.COM_IRQ] |= reg.IRQ_RX
        if command == reg.RECEIVE:
            self._finish()
        else:
            self._uart.await_start_send()

    def card_left(self, card: Card) -> None:
        """`card` has just been taken out of the field."""
        self._uart.card_left(card)
