"""The firmware as others install it: firmware/package.json for mip, firmware/manifest.py for frozen images.

Owns their texts. Both name every module that a board gets (files.py), and packages of micropython-lib.
Sources: MicroPython documentation, "Package management" and "Manifest files".
"""

import json
import tomllib

from tools import mpy
from tools.board import files

# Of micropython-lib: a whole frame at once, for a site's own programs; the gate writes its
# display in slices, by a driver of its own. `neopixel` and `mip` are in every stock image.
LIBRARIES = ("ssd1306",)
_COMMAND = "python -m tools.board"


def render_package() -> str:
    """Return the text of package.json: `mpremote mip install firmware/package.json`."""
    with (mpy.ROOT / "pyproject.toml").open("rb") as file:
        version = tomllib.load(file)["project"]["version"]
    urls = [[f"{place}.py", _source(place)] for place, _ in files.modules()]
    lines = ["{", ' "version": %s,' % json.dumps(version)]
    lines += [' "deps": %s,' % json.dumps([[name, "latest"] for name in LIBRARIES]), ' "urls": [']
    lines += ["  " + json.dumps(url) + ("," if url is not urls[-1] else "") for url in urls]
    return "\n".join([*lines, " ]", "}"]) + "\n"


def render_manifest() -> str:
    """Return the text of manifest.py, for `make FROZEN_MANIFEST=...` in MicroPython's ports/esp32."""
    inside = [_source(place) for place, _ in files.modules() if "/" in place]
    outside = ["main.py", *(f"{place}.py" for place, _ in files.modules() if "/" not in place)]
    lines = [f'"""Freezes the firmware into an image of MicroPython. Made by `{_COMMAND}`.', ""]
    lines += ["Owns nothing: boards get the same modules as files.", '"""', "", "# ruff: noqa: F821"]
    lines += ["# pyright: reportUndefinedVariable=false", 'include("$(PORT_DIR)/boards/manifest.py")']
    lines += ["require(%s)" % json.dumps(name) for name in LIBRARIES]
    lines += ["for _name in (", *(f'    "{name}",' for name in outside), "):", "    module(_name, opt=2)"]
    lines += ["package(", '    "firmware",', "    (", *(f'        "{name}",' for name in inside), "    ),"]
    lines += ['    base_path="..",', "    opt=2,", ")"]
    return "\n".join(lines) + "\n"


def _source(place: str) -> str:
    """Return the path of a module's source in firmware/."""
    return place.removeprefix("firmware/") + ".py"
