"""Host side of PINTER: the `pinter` command, the office, board files, and the bootstrap of a fresh clone."""

from host_sim.shims import host_path

host_path.add()
