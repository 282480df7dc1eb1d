"""Drivers are found by looking into the package."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hgx.drivers
from hgx.drivers import all_drivers
from hgx.drivers.cpu import CpuDriver

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_cpu_is_always_there() -> None:
    """There is a driver for the processor, and the contract is no driver."""
    drivers = all_drivers()
    assert isinstance(drivers["cpu"], CpuDriver)
    assert "base" not in drivers


def test_a_new_file_is_a_new_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with a create function is a driver named after the file, with no other change."""
    (tmp_path / "toaster.py").write_text("def create():\n    return 'a driver'\n")
    monkeypatch.setattr(hgx.drivers, "__path__", [*hgx.drivers.__path__, str(tmp_path)])
    assert all_drivers()["toaster"] == "a driver"
