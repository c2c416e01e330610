"""What the board's flash holds besides files: the keys of the gate in NVS, and partitions of data.

A part of hardware.py, apart so that it is loaded at boot only.
"""

from esp32 import NVS, Partition

from .errors import ConfigError


def partition(label: str) -> Partition:
    """Return the data partition `label`. Raises ConfigError if the partition table has none."""
    found = Partition.find(Partition.TYPE_DATA, label=label)
    if not found:
        raise ConfigError("partitions", "no partition '%s': flash the board again" % label)
    return found[0]


def secret(name: str) -> bytes:
    """Return the 32-byte key `name` from NVS. Raises ConfigError if it was never provisioned."""
    key = bytearray(32)
    try:
        if NVS("pinter").get_blob(name, key) == len(key):
            return bytes(key)
    except OSError:
        pass
    raise ConfigError(name, "no key of 32 bytes in NVS: provision the board")
