"""Every firmware file compiles with mpy-cross and keeps to its size; no file is forgotten."""

import functools
import tempfile
from pathlib import Path

import pytest

from tests import budgets
from tools import mpy

ARCH = "xtensawin"  # of the ESP32's native code


@functools.cache
def compiled(module: str) -> int:
    """Return the bytes of .mpy of `module`, a path below firmware/ without .py."""
    with tempfile.TemporaryDirectory() as folder:
        return mpy.compile_file(mpy.FIRMWARE / (module + ".py"), Path(folder) / "module.mpy", ARCH)


def modules() -> list[str]:
    """Return every module of the firmware as a path below firmware/ without .py."""
    return [path.relative_to(mpy.FIRMWARE).with_suffix("").as_posix() for path in mpy.sources()]


@pytest.mark.parametrize("module", modules())
def test_it_compiles_for_the_board(module):
    assert compiled(module) > 0


def test_every_module_and_all_together_keep_to_their_budgets():
    sizes = {module: compiled(module) for module in modules()}
    found = budgets.over(sizes)
    if found:
        pytest.fail("\n".join([*found, "", budgets.table(sizes)]), pytrace=False)


def test_a_module_without_a_budget_is_noticed():
    assert budgets.over({"surprise": 1}) == ["firmware/surprise.py has no budget in tests/budgets.py"]


def test_a_module_over_its_budget_is_noticed_alone_and_in_company():
    assert budgets.over({"errors": 701}) == ["errors: 701 bytes of 700"]
    assert budgets.over({"drivers/mfrc522": 2800, "cards/iso14443a": 1900}) == []
    assert len(budgets.over({"drivers/mfrc522": 2800, "cards/iso14443a": 1901})) == 1
    assert "errors  over\n" in budgets.table({"errors": 701})
    assert "  over\n" not in budgets.table({"errors": 700})


def test_the_sum_of_what_is_resident_has_a_limit_of_its_own(monkeypatch):
    monkeypatch.setattr(budgets, "RESIDENT_LIMIT", 1000)
    assert budgets.over({"errors": 500, "crypto": 501}) == ["all resident modules: 1001 bytes of 1000"]
    assert budgets.over({"errors": 500, "config": 4000}) == []  # not resident


def test_what_only_a_network_needs_is_in_the_second_sum_only():
    sizes = {"errors": 500, "sync": 3000, "config": 4000}
    assert budgets.resident(sizes) == 500
    lines = budgets.table(sizes).splitlines()
    assert [line.split()[0] for line in lines[-4:]] == ["500", "3500", "500", "3500"]
    rows = [line.split()[0] for line in lines if line.endswith("(with a network)")]
    assert sorted(rows)[-2:] == ["0", "3000"]


def test_what_is_resident_where_cards_prove_has_a_sum_and_a_limit_of_its_own(monkeypatch):
    sizes = {"errors": 500, "sync": 3000, "cmac": 700}
    assert budgets.resident(sizes) == 500
    assert budgets.over(sizes) == []
    monkeypatch.setattr(budgets, "AES_LIMIT", 1100)
    assert budgets.over(sizes) == ["all resident modules, cards prove: 1200 bytes of 1100"]
    monkeypatch.setattr(budgets, "WHOLE_LIMIT", 4100)
    assert budgets.over(sizes)[1:] == ["all resident modules, network, cards prove: 4200 bytes of 4100"]
    lines = budgets.table(sizes).splitlines()
    assert [line.split()[0] for line in lines[-4:]] == ["500", "3500", "1200", "4200"]
    assert any(line.endswith("cmac + cards/ev2 + cards/aes (where cards prove)") for line in lines)


def test_every_module_has_exactly_one_budget():
    listed = [module for budget in budgets.BUDGETS for module in budget.modules]
    assert len(listed) == len(set(listed))


def test_a_compile_error_names_the_file(tmp_path):
    source = tmp_path / "wrong.py"
    source.write_text("def f(a, /):\n    pass\n")
    with pytest.raises(mpy.CompileError, match=r"^wrong\.py, line 1: SyntaxError: invalid syntax$"):
        mpy.compile_file(source, tmp_path / "wrong.mpy")


def test_the_whole_firmware_is_compiled_into_a_package(tmp_path):
    sizes = mpy.compile_firmware(tmp_path)
    assert set(sizes) == {module + ".py" for module in modules()}
    assert all(
        (tmp_path / "firmware" / name).with_suffix(".mpy").stat().st_size == sizes[name] for name in sizes
    )
