"""The requests that firmware-side stand-ins send to the hardware world, and their byte layout.

A message is a length (u32) and then operations, each `<BQH`: code, the board's time in us at which it takes
effect, payload length; then the payload. Operations are queued and travel together; only the last one of a
message is answered: `<QQBH`: time now in us, levels of GPIO 0-63, probe, payload length; then the payload.
A probe other than 0 asks for a report (`PROBE`) before the real answer comes.
"""

HEAD = "<BQH"
HEAD_SIZE = 11
REPLY = "<QQBH"
REPLY_SIZE = 19

HELLO = 0  # -> boot facts, see BOOT
SLEEP = 1  # do nothing until the time of the operation
PIN_MODE = 2  # pin u8, mode u8 (0 in, 1 out), level u8
PIN_WRITE = 3  # pin u8, level u8 (not answered)
SPI = 4  # bus u8, data -> as many bytes
SPI_WRITE = 5  # bus u8, data (not answered)
RMT_OPEN = 6  # channel u8, pin u8, resolution in Hz u32, idle level u8
RMT_WRITE = 7  # channel u8, then per step: ticks u16, level u8; blocks while the channel is busy
RMT_BUSY = 8  # channel u8 -> busy u8
RMT_CLOSE = 9  # channel u8
FLASH_FIND = 10  # label -> index u8, address u32, size u32; nothing if there is none
FLASH_READ = 11  # index u8, offset u32, length u16 -> data
FLASH_PROGRAM = 12  # index u8, offset u32, data
FLASH_ERASE = 13  # index u8, sector u32
NVS_GET = 14  # key -> found u8, value
RTC_SET = 15  # time of the clock in us since 2000 i64
RTC_MEMORY = 16  # nothing: read -> bytes; else flag 1, bytes: write
WATCHDOG = 17  # timeout in ms u32; 0 = feed
RESET = 18
PROBE = 19  # report, as JSON (answers a probe; is not answered itself)

# Boot facts: time of the RTC in us since 2000, ticks_ms at this instant, reset cause, CPU charges in us:
# task wake, SHA-256 digest, AES call, garbage collection, SPI frame; grain of asyncio sleeps in ms.
BOOT = "<qIBIIIIII"

PROBE_STATUS = 1
PROBE_HEAP = 2
