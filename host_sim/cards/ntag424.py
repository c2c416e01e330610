"""NTAG 424 DNA: one application with five keys and three files, as from the factory or personalised.

Owns what tells this product from others with the same messaging (`ev2_card`): its files, versions and the
status of Read_Sig. "DS" = NXP NT4H2421Gx data sheet Rev. 3.0.
"""

from collections.abc import Callable, Mapping
from typing import Any

from host_sim.cards.ev2_card import (
    COMMANDS,
    FACTORY_SIGNATURE,
    FREE,
    FULL,
    PLAIN,
    Application,
    Chip,
    ChipCard,
    File,
    Key,
    Rights,
)

DF_NAME = bytes.fromhex("D2760000850101")
KEYS = 5
# GetVersion (DS 10.5.2): vendor, type, subtype, major, minor, storage, protocol; batch, fab key, week, year.
HARDWARE = bytes.fromhex("04040230001105")
SOFTWARE = bytes.fromhex("04040201021105")
BATCH = bytes.fromhex("00000000002219")
ACTIVATION: Mapping[str, Any] = {"fsci": 7, "fwi": 7, "sfgi": 1, "historical": b"\x80"}
# The capability container as from the factory (DS 8.2.3.2).
_CONTAINER = bytes.fromhex("001720010000FF0406E104010000000506E10500808283")


def factory_files() -> dict[int, File]:
    """Return the three files as from the factory (DS 8.2.3)."""
    return {
        1: File(bytearray(_CONTAINER.ljust(32, b"\0")), PLAIN, Rights(FREE, 0, 0, 0), 0xE103),
        2: File(bytearray(256), PLAIN, Rights(FREE, FREE, FREE, 0), 0xE104),
        3: File(bytearray(128), FULL, Rights(2, 3, 3, 0), 0xE105),
    }


class Ntag424Chip(Chip):
    """The chip. `keys` and `versions` of keys by number, by default as from the factory, as are `files`."""

    commands = COMMANDS
    at_card_level = frozenset((0x60, 0x3C))
    signature_status = 0x90  # DS 10.10.1

    def __init__(
        self,
        uid: bytes,
        keys: Mapping[int, bytes] | None = None,
        *,
        versions: Mapping[int, int] | None = None,
        files: Mapping[int, File] | None = None,
        signature: bytes = FACTORY_SIGNATURE,
        draw: Callable[[int], bytes] | None = None,
    ) -> None:
        super().__init__(uid, (HARDWARE, SOFTWARE, BATCH), signature=signature, draw=draw)
        keys, versions = keys or {}, versions or {}
        if not {*keys, *versions} <= {*range(KEYS)}:
            raise ValueError("an NTAG 424 DNA has keys 0 to 4")
        own = [Key(keys.get(number, bytes(16)), versions.get(number, 0)) for number in range(KEYS)]
        self.applications = [
            Application(own, {**factory_files(), **(files or {})}, df_name=DF_NAME, iso_id=0xE110)
        ]


class Ntag424(ChipCard):
    """The card: `Ntag424(uid, {1: key}, files={3: File(...)}, work_us=2000)`.

    `keys`, `versions`, `files`, `signature` and `draw` as for the chip, which is `chip`; `options` are those
    of ChipCard. It answers as those in the field: ATQA 0344, ATS 06 77 77 71 02 80, so frames of 128
    bytes and 39 ms to answer.
    """

    def __init__(
        self,
        uid: bytes,
        keys: Mapping[int, bytes] | None = None,
        *,
        versions: Mapping[int, int] | None = None,
        files: Mapping[int, File] | None = None,
        signature: bytes = FACTORY_SIGNATURE,
        draw: Callable[[int], bytes] | None = None,
        **options: Any,
    ) -> None:
        chip = Ntag424Chip(uid, keys, versions=versions, files=files, signature=signature, draw=draw)
        super().__init__(chip, **{**ACTIVATION, **options})
