"""The hardware world in which the unmodified firmware runs: chips, cards, flash, turnstile, people, time."""

from host_sim.shims import host_path

host_path.add()
