"""An NTAG 424 DNA: one application with five keys and three files, as it is delivered or as a pool card.

Owns what is in the card; the commands are `ev2_card`'s, the protocol `isodep`'s.
"DS" = NXP NT4H2421Gx data sheet Rev. 3.0.
"""

from collections.abc import Mapping
from typing import Any

from host_sim.cards.ev2_card import (
    EVERYBODY,
    FACTORY_KEY,
    FULL,
    MAC,
    PLAIN,
    Application,
    Ev2Card,
    File,
)
from host_sim.cards.isodep import IsoDepCard

DF_NAME = bytes.fromhex("D2760000850101")  # DS 8.2.2
VERSION = bytes.fromhex("0404023000110504040201021105")  # hardware, software (DS 10.5.2)
ATS_HISTORICAL = b"\x80"
KEYS = range(5)
RECORD_FILE = 3


class Ntag424(IsoDepCard):
    """A card in the factory's state, or with `keys` (number: 16 bytes) of its own.

    `chip`: what it answers and holds. Further options are `IsoDepCard`'s.
    """

    def __init__(
        self,
        uid: bytes,
        keys: Mapping[int, bytes] | None = None,
        *,
        signature: bytes = bytes(56),
        **options: Any,
    ) -> None:
        own = dict.fromkeys(KEYS, FACTORY_KEY) | dict(keys or {})
        # DS table 7: E103 (CC), E104 (NDEF), E105 (proprietary).
        files = {
            1: File(bytearray(32), PLAIN, EVERYBODY, 0, 0, 0),
            2: File(bytearray(256), PLAIN, EVERYBODY, EVERYBODY, EVERYBODY, 0),
            RECORD_FILE: File(bytearray(128), FULL, 2, 3, 3, 0),
        }
        application = Application(DF_NAME, 0, own, files)
        self.chip = Ev2Card(uid, [application], VERSION, signature)
        super().__init__(uid, self.chip, historical=ATS_HISTORICAL, **options)

    def on_power_on(self) -> None:
        """Forget the conversation and the session."""
        super().on_power_on()
        self.chip.reset()


def pool_card(
    uid: bytes, keys: Mapping[int, bytes], site: str, key_version: int = 1, **options: Any
) -> Ntag424:
    """Return a card that `site` has personalised: five `keys`, and its record in file 3 (docs/formats.md)."""
    card = Ntag424(uid, keys, **options)
    application = card.chip.applications[0]
    application.versions = dict.fromkeys(KEYS, key_version)
    record = b"PNTR" + bytes((1, key_version)) + site.encode("ascii").ljust(12, b"\0") + bytes(14)
    data = bytearray(128)
    data[: len(record)] = record
    application.files[RECORD_FILE] = File(data, MAC, 1, 0, 0, 0)
    return card
