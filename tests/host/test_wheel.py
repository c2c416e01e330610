"""An installed PINTER has every file that a checkout has in its packages, or says here why not."""

import subprocess
from pathlib import Path

import pytest
from setuptools import Distribution

from tools.mpy import ROOT

PACKAGES = ("boards", "firmware", "host_sim", "tools")
LEFT_OUT = {
    "boards/README.md": "for readers of the repository",
    "firmware/package.json": "for mip, which takes it from the repository",
    "tools/office/db/migrations/script.py.mako": "for who writes the next migration",
}


def test_a_wheel_has_all_files_of_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    found = Distribution({"script_name": "setup.py"})
    found.parse_config_files(["pyproject.toml"])
    build = found.get_command_obj("build_py")
    build.ensure_finalized()
    taken = {Path(name).as_posix() for name in build.get_output_mapping().values()}
    command = ["git", "ls-files", *PACKAGES]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    known = {name for name in listed if Path(name).exists()}
    assert known - taken == set(LEFT_OUT)
    for name in ("tools/office/pages/static/index.html", "host_sim/web/page/index.html"):
        assert name in taken
