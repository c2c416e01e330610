"""The register map of the MFRC522: addresses, values after reset, which bits a host can write.

Owns facts only, written from the data sheet; nothing here is shared with the firmware's driver, so that a
wrong address on either side is noticed.

"DS" = NXP MFRC522 data sheet Rev. 3.9, sections in the last column of `MAP`.
"""

from typing import NamedTuple

# Page 0: command and status
COMMAND = 0x01
COM_I_EN = 0x02
DIV_I_EN = 0x03
COM_IRQ = 0x04
DIV_IRQ = 0x05
ERROR = 0x06
STATUS1 = 0x07
STATUS2 = 0x08
FIFO_DATA = 0x09
FIFO_LEVEL = 0x0A
WATER_LEVEL = 0x0B
CONTROL = 0x0C
BIT_FRAMING = 0x0D
COLL = 0x0E
# Page 1: communication
MODE = 0x11
TX_MODE = 0x12
RX_MODE = 0x13
TX_CONTROL = 0x14
TX_ASK = 0x15
TX_SEL = 0x16
RX_SEL = 0x17
RX_THRESHOLD = 0x18
DEMOD = 0x19
MF_TX = 0x1C
MF_RX = 0x1D
SERIAL_SPEED = 0x1F
# Page 2: configuration
CRC_RESULT_H = 0x21
CRC_RESULT_L = 0x22
MOD_WIDTH = 0x24
RF_CFG = 0x26
GS_N = 0x27
CW_GS_P = 0x28
MOD_GS_P = 0x29
T_MODE = 0x2A
T_PRESCALER = 0x2B
T_RELOAD_H = 0x2C
T_RELOAD_L = 0x2D
T_COUNTER_H = 0x2E
T_COUNTER_L = 0x2F
# Page 3: test
TEST_SEL1 = 0x31
TEST_SEL2 = 0x32
TEST_PIN_EN = 0x33
TEST_PIN_VALUE = 0x34
TEST_BUS = 0x35
AUTO_TEST = 0x36
VERSION = 0x37
ANALOG_TEST = 0x38
TEST_DAC1 = 0x39
TEST_DAC2 = 0x3A
TEST_ADC = 0x3B

COUNT = 0x40


class Register(NamedTuple):
    """One register: its name, its value after reset, and the bits that a plain write stores."""

    name: str
    reset: int
    writable: int
    section: str


# Registers whose `writable` is 0 are read-only or have a write of their own in the chip. Bits that the data
# sheet leaves open after reset ("x") are 0 here. Absent addresses are reserved: they read 0, writes are lost.
MAP = {
    COMMAND: Register("CommandReg", 0x20, 0x00, "9.3.1.2"),
    COM_I_EN: Register("ComIEnReg", 0x80, 0xFF, "9.3.1.3"),
    DIV_I_EN: Register("DivIEnReg", 0x00, 0x94, "9.3.1.4"),
    COM_IRQ: Register("ComIrqReg", 0x14, 0x00, "9.3.1.5"),
    DIV_IRQ: Register("DivIrqReg", 0x00, 0x00, "9.3.1.6"),
    ERROR: Register("ErrorReg", 0x00, 0x00, "9.3.1.7"),
    STATUS1: Register("Status1Reg", 0x21, 0x00, "9.3.1.8"),
    STATUS2: Register("Status2Reg", 0x00, 0x00, "9.3.1.9"),
    FIFO_DATA: Register("FIFODataReg", 0x00, 0x00, "9.3.1.10"),
    FIFO_LEVEL: Register("FIFOLevelReg", 0x00, 0x00, "9.3.1.11"),
    WATER_LEVEL: Register("WaterLevelReg", 0x08, 0x3F, "9.3.1.12"),
    CONTROL: Register("ControlReg", 0x10, 0x00, "9.3.1.13"),
    BIT_FRAMING: Register("BitFramingReg", 0x00, 0x77, "9.3.1.14"),
    COLL: Register("CollReg", 0xA0, 0x80, "9.3.1.15"),
    MODE: Register("ModeReg", 0x3F, 0xAB, "9.3.2.2"),
    TX_MODE: Register("TxModeReg", 0x00, 0xF8, "9.3.2.3"),
    RX_MODE: Register("RxModeReg", 0x00, 0xFC, "9.3.2.4"),
    TX_CONTROL: Register("TxControlReg", 0x80, 0xFB, "9.3.2.5"),
    TX_ASK: Register("TxASKReg", 0x00, 0x40, "9.3.2.6"),
    TX_SEL: Register("TxSelReg", 0x10, 0x3F, "9.3.2.7"),
    RX_SEL: Register("RxSelReg", 0x84, 0xFF, "9.3.2.8"),
    RX_THRESHOLD: Register("RxThresholdReg", 0x84, 0xF7, "9.3.2.9"),
    DEMOD: Register("DemodReg", 0x4D, 0xFF, "9.3.2.10"),
    MF_TX: Register("MfTxReg", 0x62, 0x03, "9.3.2.13"),
    MF_RX: Register("MfRxReg", 0x00, 0x10, "9.3.2.14"),
    SERIAL_SPEED: Register("SerialSpeedReg", 0xEB, 0xFF, "9.3.2.16"),
    CRC_RESULT_H: Register("CRCResultReg (high)", 0xFF, 0x00, "9.3.3.2"),
    CRC_RESULT_L: Register("CRCResultReg (low)", 0xFF, 0x00, "9.3.3.2"),
    MOD_WIDTH: Register("ModWidthReg", 0x26, 0xFF, "9.3.3.4"),
    RF_CFG: Register("RFCfgReg", 0x48, 0x70, "9.3.3.6"),
    GS_N: Register("GsNReg", 0x88, 0xFF, "9.3.3.7"),
    CW_GS_P: Register("CWGsPReg", 0x20, 0x3F, "9.3.3.8"),
    MOD_GS_P: Register("ModGsPReg", 0x20, 0x3F, "9.3.3.9"),
    T_MODE: Register("TModeReg", 0x00, 0xFF, "9.3.3.10"),
    T_PRESCALER: Register("TPrescalerReg", 0x00, 0xFF, "9.3.3.10"),
    T_RELOAD_H: Register("TReloadReg (high)", 0x00, 0xFF, "9.3.3.11"),
    T_RELOAD_L: Register("TReloadReg (low)", 0x00, 0xFF, "9.3.3.11"),
    T_COUNTER_H: Register("TCounterValReg (high)", 0x00, 0x00, "9.3.3.12"),
    T_COUNTER_L: Register("TCounterValReg (low)", 0x00, 0x00, "9.3.3.12"),
    TEST_SEL1: Register("TestSel1Reg", 0x00, 0x07, "9.3.4.2"),
    TEST_SEL2: Register("TestSel2Reg", 0x00, 0xFF, "9.3.4.3"),
    TEST_PIN_EN: Register("TestPinEnReg", 0x80, 0xFE, "9.3.4.4"),
    TEST_PIN_VALUE: Register("TestPinValueReg", 0x00, 0xFE, "9.3.4.5"),
    TEST_BUS: Register("TestBusReg", 0x00, 0x00, "9.3.4.6"),
    AUTO_TEST: Register("AutoTestReg", 0x40, 0x4F, "9.3.4.7"),
    VERSION: Register("VersionReg", 0x92, 0x00, "9.3.4.8"),
    ANALOG_TEST: Register("AnalogTestReg", 0x00, 0xFF, "9.3.4.9"),
    TEST_DAC1: Register("TestDAC1Reg", 0x00, 0x3F, "9.3.4.10"),
    TEST_DAC2: Register("TestDAC2Reg", 0x00, 0x3F, "9.3.4.11"),
    TEST_ADC: Register("TestADCReg", 0x00, 0x00, "9.3.4.12"),
}

RESET_VALUES = bytes(MAP[address].reset if address in MAP else 0 for address in range(COUNT))
WRITABLE = bytes(MAP[address].writable if address in MAP else 0 for address in range(COUNT))

# ComIrqReg and ComIEnReg (DS 9.3.1.5)
IRQ_TIMER = 0x01
IRQ_ERR = 0x02
IRQ_LO_ALERT = 0x04
IRQ_HI_ALERT = 0x08
IRQ_IDLE = 0x10
IRQ_RX = 0x20
IRQ_TX = 0x40
SET = 0x80  # Set1, Set2: 1 sets the marked bits, 0 clears them
IRQ_INV = 0x80  # ComIEnReg
# DivIrqReg (DS 9.3.1.6)
DIV_CRC = 0x04
DIV_MFIN = 0x10
# ErrorReg (DS 9.3.1.7)
ERR_PROTOCOL = 0x01
ERR_PARITY = 0x02
ERR_CRC = 0x04
ERR_COLL = 0x08
ERR_BUFFER_OVFL = 0x10
ERR_TEMP = 0x40
ERR_WR = 0x80
# Status1Reg (DS 9.3.1.8)
ST1_CRC_OK = 0x40
ST1_CRC_READY = 0x20
ST1_IRQ = 0x10
ST1_T_RUNNING = 0x08
ST1_HI_ALERT = 0x02
ST1_LO_ALERT = 0x01
# Status2Reg (DS 9.3.1.9)
ST2_CRYPTO1 = 0x08
ST2_KEPT = 0xC0  # TempSensClear, I2CForceHS
# Commands (DS 10.3, table 149) and the other bits of CommandReg
IDLE = 0x0
MEM = 0x1
GENERATE_RANDOM_ID = 0x2
CALC_CRC = 0x3
TRANSMIT = 0x4
NO_CMD_CHANGE = 0x7
RECEIVE = 0x8
TRANSCEIVE = 0xC
MF_AUTHENT = 0xE
SOFT_RESET = 0xF
RCV_OFF = 0x20
POWER_DOWN = 0x10
# Others
FLUSH_BUFFER = 0x80  # FIFOLevelReg
T_STOP_NOW = 0x80  # ControlReg
T_START_NOW = 0x40
RX_LAST_BITS = 0x07
START_SEND = 0x80  # BitFramingReg; write-only
VALUES_AFTER_COLL = 0x80  # CollReg
COLL_POS_NOT_VALID = 0x20
TX_WAIT_RF = 0x20  # ModeReg
MSB_FIRST = 0x80
CRC_EN = 0x80  # TxModeReg, RxModeReg
RX_NO_ERR = 0x08  # RxModeReg
RX_MULTIPLE = 0x04
TX_RF_EN = 0x03  # TxControlReg: Tx1RFEn, Tx2RFEn
FORCE_100_ASK = 0x40  # TxASKReg
T_PRESCAL_EVEN = 0x10  # DemodReg, version 2.0 only
PARITY_DISABLE = 0x10  # MfRxReg
T_AUTO = 0x80  # TModeReg
T_AUTO_RESTART = 0x10
SELF_TEST = 0x09  # AutoTestReg, bits 3-0
