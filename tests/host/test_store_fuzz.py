"""Any bytes as a bundle, and any contents of the flash: never believed, never an exception, never a hang."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_sim.importer import ROOT
from tests import counts
from tests.fuzz import targets

SLOW = {"list", "spoiled list", "journal", "spoiled journal"}


@pytest.mark.parametrize("name", targets.TARGETS)
def test_any_bytes(name):
    @settings(max_examples=counts.count(150 if name in SLOW else 400, 5000))
    @given(st.binary(min_size=0, max_size=200))
    def run(data):
        targets.TARGETS[name](data)

    run()


@given(st.binary(max_size=64))
def test_damage_is_what_the_spoiler_does(data):
    base = targets.office()[1][0]
    assert len(targets.spoiled(base, data)) == len(base)


def test_the_targets_notice_what_is_accepted_wrongly(monkeypatch):
    monkeypatch.setattr("firmware.crypto.equal", lambda a, b: True)
    states, bundles = targets.office()
    delta = targets.list_world.delta(7, 9, {1: 66}, key=b"x" * 32)
    with pytest.raises(AssertionError, match="was not signed"):
        targets.try_bundle(delta)
    assert states.seq == 8 and len(bundles) == 8


def test_the_targets_notice_a_list_that_nobody_signed(monkeypatch):
    monkeypatch.setattr("firmware.recover.equal", lambda a, b: True)
    contents = bytearray(targets.flash_of_a_gate(False))
    for i in range(80):
        contents[64 + 16 * i + 15] ^= 1  # the parties in the slot
    with pytest.raises(AssertionError, match="card"):
        targets.try_list_flash(bytes(contents))


def test_without_atheris_the_script_says_so():
    program = "import sys; sys.modules['atheris'] = None; import runpy; sys.argv = ['x']\n"
    program += "runpy.run_module('tests.fuzz.fuzz_stores', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and done.stderr.startswith("atheris is not installed")
