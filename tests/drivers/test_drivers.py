"""Drivers are found by looking into the package."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import hgx.drivers
from hgx.drivers import backend, backends
from hgx.drivers.cpu import CpuDriver

if TYPE_CHECKING:
    from pathlib import Path


def test_the_cpu_is_always_there() -> None:
    """There is a driver for the processor; the contract and shared parts are no drivers."""
    names = [found.name for found in backends()]
    assert isinstance(backend("cpu").create(), CpuDriver)
    assert backend("cpu").absent() is None
    assert "base" not in names
    assert not [name for name in names if name.startswith("_")]
    assert names == sorted(names)


def test_a_new_file_is_a_new_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with the two functions is a driver named after the file, with no other change."""
    code = "def create():\n    return 'a driver'\n\ndef absent():\n    return None\n"
    (tmp_path / "toaster.py").write_text(code)
    (tmp_path / "_grill.py").write_text("")
    monkeypatch.setattr(hgx.drivers, "__path__", [*hgx.drivers.__path__, str(tmp_path)])
    assert backend("toaster").create() == "a driver"
    with pytest.raises(KeyError):
        backend("_grill")
