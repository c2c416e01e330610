"""What travels between the virtual board's interpreter and its world: a packet is one request or one answer.

A request is `REQUEST`: number, code (those of `_ops`, and below), time of the world in us as the sender knows
it; then the payload. Number 0 is not answered.
An answer has a fixed size, `REPLY`: number, time of the world in us, levels of GPIO 0-63, refused, payload
length; then the payload. A packet arrives whole or not at all.
"""

REQUEST = "<IBQ"
REQUEST_SIZE = 13
REPLY = "<IQQBH"
REPLY_SIZE = 23
PAYLOAD_MAX = 2048

PARTITIONS = 100  # -> JSON: [type, subtype, offset, size, label] of each
NVS_SET = 101  # key, 0, value
NVS_ERASE = 102  # key -> existed u8
CONSOLE = 110  # bytes for the terminal
INTERRUPTS = 111  # flag: is Ctrl-C a signal now, or a byte like any other
PIN_PULL = 103  # pin u8, 1 if it is pulled up inside the processor (not answered)
SOFT_RESET = 112  # flag: back in raw REPL; never answered
