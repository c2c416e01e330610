"""The requests that firmware-side stand-ins send to the hardware world, and their byte layout.

A message is a length (u32) and then operations, each `<BQH`: code, the board's time in us at which it takes
effect, payload length; then the payload. Operations are queued and travel together; only the last one of a
message is answered: `<QQHBH`: time now in us, levels of GPIO 0-63, ready sockets, probe, payload length; then
the payload. A probe other than 0 asks for a report (`PROBE`) before the real answer comes. Ready sockets: bit
2n is set if socket n has something to read (data, the end, an error), bit 2n + 1 if it can be written to.
"""

HEAD = "<BQH"
HEAD_SIZE = 11
REPLY = "<QQHBH"
REPLY_SIZE = 21

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
POLL = 20  # end in us u64, wanted bits of ready sockets u16: answered at the end, or once one of these is set
LOOKUP = 21  # name -> how long it takes in us u32, address as text; no address if there is none
SOCKET_CONNECT = 22  # port u16, address as text -> socket u8; nothing if there is none left
SOCKET_SEND = 23  # socket u8, data -> error u8 (0: none), bytes accepted u16
SOCKET_RECV = 24  # socket u8, at most u16 -> error u8 (0: none), data; no data: the end
SOCKET_CLOSE = 25  # socket u8 (not answered)
SOCKET_DATAGRAMS = 27  # as SOCKET_CONNECT, for UDP: what is sent and read then are datagrams
NETWORK = 28  # what u8, see below -> status u16: as `network.WLAN.status` gives it, of a cable 1 or 0
I2C = 26  # address u8, count to read u8, bytes to write first -> acknowledged u8 (2: it hangs), bytes read

# What is asked of the network interface; `active` is followed by u8 on or off, `join` by the length of the
# name u8, name, password.
STATION_ACTIVE, AP_ACTIVE, STATION_JOIN, STATION_LEAVE, STATION_STATUS, LAN_START, LAN_STATUS = range(7)

SOCKETS = 8
SOCKET_AGAIN = 11  # EAGAIN; other errors are numbers of errno too

# Boot facts: time of the RTC in us since 2000, ticks_ms at this instant, reset cause, CPU charges in us:
# task wake, SHA-256 digest, AES call, garbage collection, SPI frame; grain of asyncio sleeps in ms; us that
# the RTC gains in a second.
BOOT = "<qIBIIIIIIi"

PROBE_STATUS = 1
PROBE_HEAP = 2
