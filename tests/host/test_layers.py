"""The arrows between modules point down only; the checker is shown to see each kind of wrong arrow."""

import functools
import importlib.metadata
import re
import subprocess

import pytest

from tests import layers
from tools import bootstrap
from tools.mpy import ROOT


def files() -> list[str]:
    """Return the Python files of the three packages that git tracks or would track."""
    command = [
        "git",
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "firmware",
        "host_sim",
        "tools",
    ]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted(name for name in set(listed) if name.endswith(".py") and (ROOT / name).exists())


@functools.cache
def packages() -> frozenset[str]:
    """Return the top-level import names of what requirements.txt brings."""
    pinned = {
        re.sub(r"[-_.]+", "-", line.split("==")[0].strip()).lower()
        for line in bootstrap.requirement_lines("requirements.txt")
    } - {"esptool"}  # GPL: a program that is run, never imported
    return frozenset(
        top
        for top, owners in importlib.metadata.packages_distributions().items()
        if any(re.sub(r"[-_.]+", "-", owner).lower() in pinned for owner in owners)
    )


@pytest.mark.parametrize("path", files())
def test_every_module_keeps_to_the_arrows(path):
    assert layers.violations(path, (ROOT / path).read_text(encoding="utf-8"), packages()) == []


WRONG = {
    "policy imports machine": ("firmware/policy.py", "import machine"),
    "policy imports a clock": ("firmware/policy.py", "from time import ticks_ms"),
    "policy imports a service": ("firmware/policy.py", "from . import journal"),
    "policy imports crypto": ("firmware/policy.py", "from .crypto import hmac_sha256"),
    "policy imports machine inside a function": ("firmware/policy.py", "def f():\n    import machine"),
    "policy imports by call": ("firmware/policy.py", "m = __import__('machine')"),
    "policy imports by a computed name": ("firmware/policy.py", "m = __import__(name)"),
    "policy imports in the else of TYPE_CHECKING": (
        "firmware/policy.py",
        "if TYPE_CHECKING:\n    import typing\nelse:\n    import machine",
    ),
    "driver imports policy": ("firmware/drivers/relay.py", "from ..policy import decide"),
    "driver imports policy, the other way": ("firmware/drivers/relay.py", "from .. import policy"),
    "driver creates its own pins": ("firmware/drivers/relay.py", "from machine import Pin"),
    "cards import policy": ("firmware/cards/iso14443a.py", "from .. import policy"),
    "cards import a driver": ("firmware/cards/iso14443a.py", "from ..drivers.mfrc522 import MFRC522"),
    "store imports the application": ("firmware/journal.py", "from . import app"),
    "anything imports main": ("firmware/app.py", "from . import main"),
    "a driver reads the board file": ("firmware/drivers/relay.py", "import board"),
    "what the device has not": ("firmware/app.py", "import typing"),
    "absolute import in the firmware": ("firmware/app.py", "from firmware.records import pack_credential"),
    "firmware imports tests": ("firmware/app.py", "import tests.counts"),
    "firmware mentions the simulator": ("firmware/app.py", "# as host_sim does it"),
    "firmware imports tools": ("firmware/app.py", "import tools.runtime"),
    "new firmware module": ("firmware/surprise.py", ""),
    "simulator imports a store": ("host_sim/gate.py", "from firmware import journal"),
    "simulator imports a driver": (
        "host_sim/chips/mfrc522.py",
        "from firmware.drivers.mfrc522 import MFRC522",
    ),
    "simulator imports the command": ("host_sim/engine.py", "from tools.cli import main"),
    "stand-in imports the simulator": ("host_sim/shims/device/machine.py", "from host_sim import timeline"),
    "office imports a store": ("tools/office/lists.py", "import firmware.allowlist"),
    "office imports the simulator": ("tools/office/lists.py", "from host_sim import engine"),
    "board tools import the office": ("tools/board/definition.py", "from tools.office import lists"),
    "bootstrap imports a package": ("tools/bootstrap.py", "import click"),
    "bootstrap imports the project": ("tools/bootstrap.py", "from tools import runtime"),
    "package that is not pinned": ("tools/cli/sim.py", "import requests"),
    "test-only package": ("host_sim/engine.py", "import pytest"),
    "judge in the product": ("host_sim/engine.py", "import mfrc522"),
    "product imports tests": ("tools/cli/sim.py", "from tests import counts"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_arrow_is_seen(case):
    path, source = WRONG[case]
    found = layers.violations(path, source, packages())
    assert len(found) == 1 and found[0].startswith(path), found


RIGHT = {
    "policy": (
        "firmware/policy.py",
        "from micropython import const\nfrom . import records\nfrom .errors import PinterError",
    ),
    "types": ("firmware/policy.py", "if TYPE_CHECKING:\n    from typing import Protocol\n    import machine"),
    "driver": ("firmware/drivers/mfrc522.py", "from time import sleep_us\nfrom ..errors import BusError"),
    "app": ("firmware/app.py", "from .drivers.relay import Relay\nfrom . import config, lane"),
    "main": ("firmware/main.py", "import board\nfrom starter import load"),
    "starter": ("firmware/starter.py", "import rtcmem\nfrom safe import Safe\nfrom firmware.app import App"),
    "simulator": ("host_sim/gate.py", "from firmware import records\nfrom firmware.crypto import HMAC"),
    "simulator and office": ("host_sim/scenario/runner.py", "from tools.office import lists"),
    "command": (
        "tools/cli/sim.py",
        "import click\nfrom host_sim import engine\nfrom tools.office import lists",
    ),
}


@pytest.mark.parametrize("case", RIGHT)
def test_a_right_arrow_passes(case):
    path, source = RIGHT[case]
    assert layers.violations(path, source, packages()) == []
