"""The virtual board: a pseudo terminal with a MicroPython board behind it, for tools that talk to boards.

`running` is for tests of such tools; `pinter sim board` is the same for people (docs/virtual_board.md).
"""

from host_sim.board.board import BoardError, VirtualBoard
from host_sim.board.running import Running, gate_files, running

__all__ = ["BoardError", "Running", "VirtualBoard", "gate_files", "running"]
