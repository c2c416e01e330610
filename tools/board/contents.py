"""What lies on the flash of a board, region by region, made from its definition and the files it gets.

Owns the bytes of partition table, file system and NVS. Sources: ESP-IDF Programming Guide, "Partition Tables"
and "Non-Volatile Storage Library"; MicroPython, extmod/vfs_lfsx.c (block, read, program and look-ahead size).
"""

import dataclasses
import io
from collections.abc import Mapping

from esp_idf_defs import PartitionTable
from esp_idf_nvs_partition_gen import nvs_partition_gen
from littlefs import LittleFS, LittleFSError, UserContext

from tools.board import image as images
from tools.board.definition import SECTOR, Definition, Partition, partitions
from tools.board.record import NAMESPACE

_DISK_VERSION = 0x00020000  # every LittleFS 2 reads it


class ContentsError(Exception):
    """Something does not fit; one line for the user."""


@dataclasses.dataclass(frozen=True)
class Region:
    """Bytes at a place of the flash."""

    name: str
    offset: int
    data: bytes


def regions(
    board: Definition,
    image: images.Image,
    files: Mapping[str, bytes],
    secrets: Mapping[str, bytes] | None = None,
) -> list[Region]:
    """Return what is written to a `board`, in this order: the boot loader last, it makes a board start.

    `files` by path; `secrets`: blobs of NVS, None leaves it as it is. Raises ContentsError.
    """
    part = {part.name: part for part in board.partitions}
    made = [
        Region("partition table", images.TABLE, partition_table(board)),
        Region("application", part["factory"].offset, image.application),
        Region("vfs", part["vfs"].offset, file_system(part["vfs"], files)),
    ]
    if secrets is not None:
        made.append(Region("nvs", part["nvs"].offset, nvs(part["nvs"], secrets)))
    made.append(Region("boot loader", images.BOOT_LOADER[board.chip.name], image.boot_loader))
    return made


def partition_table(board: Definition) -> bytes:
    """Return the table as ESP-IDF's gen_esp32part.py makes it, 0xC00 bytes."""
    table = PartitionTable.from_csv(partitions(board))
    table.verify()
    return table.to_binary()


def file_system(partition: Partition, files: Mapping[str, bytes]) -> bytes:
    """Return an image of `partition` with `files`, as MicroPython mounts it. Raises ContentsError."""
    context = UserContext(buffsize=partition.size)
    system = LittleFS(
        context,
        block_size=SECTOR,
        block_count=partition.size // SECTOR,
        read_size=32,
        prog_size=32,
        lookahead_size=32,
        disk_version=_DISK_VERSION,
        mount=False,
    )
    try:
        system.format()
        system.mount()
        for name, data in files.items():
            if "/" in name:
                system.makedirs(name.rpartition("/")[0], exist_ok=True)
            with system.open(name, "wb") as file:
                file.write(data)
        system.unmount()
    except LittleFSError as error:
        raise ContentsError(f"vfs: the files do not fit into {partition.size} bytes: {error}") from error
    return bytes(context.buffer)


def nvs(partition: Partition, secrets: Mapping[str, bytes]) -> bytes:
    """Return an image of `partition` with `secrets` as blobs. Raises ContentsError."""
    out = io.BytesIO()
    version = nvs_partition_gen.Page.VERSION2
    spare = SECTOR  # a page that NVS keeps free
    try:
        made = nvs_partition_gen.nvs_open(out, partition.size - spare, version)
        if secrets:
            nvs_partition_gen.write_entry(made, NAMESPACE, "namespace", "", "")
        for name, value in secrets.items():
            nvs_partition_gen.write_entry(made, name, "data", "binary", value)
        nvs_partition_gen.nvs_close(made)
    except (nvs_partition_gen.InputError, nvs_partition_gen.InsufficientSizeError) as error:
        raise ContentsError(f"nvs: the secrets do not fit: {type(error).__name__}") from error
    return out.getvalue().ljust(partition.size, b"\xff")
