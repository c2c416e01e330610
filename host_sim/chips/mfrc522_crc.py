"""The MFRC522's CRC coprocessor, as the CalcCRC command uses it (DS 10.3.1.4).

Owns the running CRC and CRCResultReg's value. It never touches frames in the air: their preset is their own.

"DS" = NXP MFRC522 data sheet Rev. 3.9.
"""

from host_sim.cards.air import crc16
from host_sim.chips import mfrc522_registers as reg

PRESETS = (0x0000, 0x6363, 0xA671, 0xFFFF)  # DS 9.3.2.2, CRCPreset
CYCLES_PER_BYTE = 8  # carrier cycles; our assumption, the data sheet gives no time

_REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


class CRCCoprocessor:
    """Feeds bytes into a CRC whose preset ModeReg chooses."""

    def __init__(self, registers: bytearray) -> None:
        self._regs = registers
        self._register = 0xFFFF

    def reset(self) -> None:
        """Forget the calculation."""
        self._register = 0xFFFF

    def preset(self) -> None:
        """Load the preset of ModeReg; the CalcCRC command begins with this."""
        self._register = PRESETS[self._regs[reg.MODE] & 3]

    def feed(self, data: bytes | bytearray) -> None:
        """Add `data`."""
        if self._regs[reg.MODE] & reg.MSB_FIRST:
            data = bytes(data).translate(_REVERSED)
        self._register = crc16(data, self._register)

    def show(self) -> None:
        """Write the result into CRCResultReg."""
        high, low = self._register >> 8, self._register & 0xFF
        if self._regs[reg.MODE] & reg.MSB_FIRST:
            high, low = _REVERSED[high], _REVERSED[low]
        self._regs[reg.CRC_RESULT_H] = high
        self._regs[reg.CRC_RESULT_L] = low

    @property
    def is_zero(self) -> bool:
        """True if the result is zero (Status1Reg's CRCOk)."""
        return self._register == 0
