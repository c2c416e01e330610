"""A card made to do harm: it knows the protocols, and answers anything at any point. No keys are in it."""

import random

from host_sim.cards import air
from host_sim.cards.isodep import IsoDepCard
from host_sim.cards.picc import Answer, State

_SAKS = (0x20, 0x20, 0x20, 0x20, 0x28, 0x60, 0x00, 0x08, 0x18, 0x09, 0x01)
_STATUS = (b"\x90\x00", b"\x91\x00", b"\x91\xaf", b"\x91\xae", b"\x6a\x82", b"\x91\x40", b"\x00\x00", b"")
# Length and status of what an honest card says to ISO SELECT, the two parts of EV2First, and ReadData.
_LIKELY = {
    0xA4: (0, b"\x90\x00"),
    0x71: (16, b"\x91\xaf"),
    0xAF: (32, b"\x91\x00"),
    0xAD: (40, b"\x91\x00"),
}
_LISTENING = (State.ACTIVE, State.ACTIVE_STAR, State.PROTOCOL)


class HostileCard(IsoDepCard):
    """A card with the number of somebody else's; whatever it does follows `source`."""

    def __init__(self, uid: bytes, source: random.Random) -> None:
        self._source = source
        super().__init__(
            uid,
            self._application,
            fsci=source.randrange(16),
            fwi=source.choice((0, 4, 4, 4, 8, 10, 14, 15)),
            sfgi=source.choice((0, 0, 0, 1, 4, 9, 14, 15)),
            ta=source.choice((0, 0x77, 0x80, 0xFF, source.randrange(256))),
            ats=source.randbytes(source.randrange(1, 20)) if source.random() < 0.1 else None,
            part=source.choice((None, None, None, 1, 5)),
            work_us=source.choice((0, 0, 0, 5_000, 60_000, 400_000)),
            wtxm=source.choice((1, 1, 59, 60, 63)),
        )
        self.sak = source.choice(_SAKS)
        self._noise = source.choice((0.0, 0.02, 0.2, 0.7))
        self._heard: list[bytes] = []

    def receive(self, bits: bytes) -> Answer | None:
        """Answer as the protocol says, or otherwise."""
        answer = super().receive(bits)
        source = self._source
        if self.state not in _LISTENING or source.random() >= self._noise:
            if answer is not None:
                self._heard.append(answer.bits)
            return answer
        data = source.randbytes(source.choice((0, 1, 2, 3, 4, 16, 17, 30, 61, 62, 64, 70)))
        return source.choice(
            (
                None,
                Answer(air.frame(air.with_crc_a(data))),
                Answer(air.frame(data)) if data else None,
                Answer(source.choice(self._heard)) if self._heard else None,
                Answer(air.frame(air.with_crc_a(data)), delay_us=source.randrange(300_000)),
                Answer(bytes(source.randrange(2) for _ in range(4))),  # ACK or NAK of four bits
            )
        )

    def _application(self, command: bytes) -> bytes:
        source = self._source
        if source.random() < 0.1:
            return source.randbytes(source.choice((0, 1, 2, 40, 300, 2000)))
        code = command[1] if len(command) > 1 else 0
        length, status = _LIKELY.get(code, (source.randrange(60), b"\x91\x00"))
        if source.random() < 0.1:
            status = source.choice(_STATUS)
        return source.randbytes(length) + status
