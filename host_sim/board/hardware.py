"""The hardware of a virtual board: that of a gate, on a flash image, for whatever program runs on it.

Adds to `host_sim.hardware` what technicians' tools use and a gate's firmware does not.
"""

import json
from collections.abc import Mapping
from typing import Any

from host_sim.board.image import NVS, Flash
from host_sim.hardware import Charges, Hardware, Partition
from host_sim.shims.board import _packets as packets
from host_sim.timeline import Timeline
from tools.board.definition import Definition

FREE = Charges(wake_us=0, sha_us=0, aes_us=0, gc_us=0, spi_us=0, boot_us=0)
_TYPES = {"app": 0, "data": 1}  # ESP-IDF Programming Guide, "Partition Tables"
_SUBTYPES = {"factory": 0, "phy": 1, "nvs": 2, "undefined": 6, "fat": 0x81}


class BoardHardware(Hardware):
    """The board `definition` with its constants `board`, on `flash`."""

    def __init__(
        self, timeline: Timeline, definition: Definition, board: Mapping[str, Any], flash: Flash
    ) -> None:
        partitions = [Partition(p.name, p.offset, p.size) for p in definition.partitions]
        super().__init__(timeline, board, partitions, {}, 4096, FREE)
        self.flash: Flash = flash  # pyright: ignore[reportIncompatibleVariableOverride]
        self.nvs: NVS = NVS(flash, self.partition("nvs"))
        self.loose: set[str] = (
            set()
        )  # outputs whose wire to the relay module is broken: nothing pulls them down
        self.shorted: dict[str, int] = {}  # level of outputs that are shorted to it
        self._pulled_up: set[int] = set()
        self._table = [
            [_TYPES[p.type], _SUBTYPES[p.subtype], p.offset, p.size, p.name] for p in definition.partitions
        ]
        self._serve |= {
            packets.PARTITIONS: self._list,
            packets.NVS_SET: self._nvs_set,
            packets.NVS_ERASE: self._nvs_erase,
            packets.PIN_PULL: self._pin_pull,
        }

    @property
    def inputs(self) -> int:
        """Levels of GPIO 0-63: of the outside, and of what the board drives itself."""
        levels = self._inputs
        for number, pin in enumerate(self._pins):
            if pin.driven:
                levels = levels & ~(1 << number) | pin.level << number
        for name in self.loose:
            number = self.board[name.upper()]
            if number in self._pulled_up and not self._pins[number].driven:
                levels |= 1 << number
        for name, level in self.shorted.items():
            number = self.board[name.upper()]
            levels = levels & ~(1 << number) | level << number
        return levels

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs that `set_input` knows."""
        return list(self._active)

    def output(self, name: str) -> int:
        """Return the level of an output: relay_in, relay_out, lamp_green, lamp_red, buzzer."""
        return self._level(self._pins[self.board[name.upper()]])

    def soft_reset(self) -> None:
        """Forget channels and outputs; the watchdog goes on."""
        watchdog, timeout_ms = self._watchdog, self._watchdog_ms
        self._watchdog = None
        self.reset_peripherals()
        self._watchdog, self._watchdog_ms = watchdog, timeout_ms

    def _pin_pull(self, payload: bytes) -> None:
        number, is_up = payload
        self._pulled_up.add(number) if is_up else self._pulled_up.discard(number)

    def _list(self, payload: bytes) -> bytes:
        return json.dumps(self._table).encode()

    def _nvs_set(self, payload: bytes) -> bytes:
        key, value = payload.split(b"\0", 1)
        self.nvs[key.decode()] = value
        self.nvs.save()
        return b""

    def _nvs_erase(self, payload: bytes) -> bytes:
        if self.nvs.pop(payload.decode(), None) is None:
            return b"\0"
        self.nvs.save()
        return b"\1"
