"""A file that is written is there whole, or as it was."""

import os

import pytest

from tools.office import whole


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "a.bundle"
    whole.write(path, b"old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        whole.write(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bundle"]
    monkeypatch.undo()
    whole.write(path, b"new")
    assert path.read_bytes() == b"new"
