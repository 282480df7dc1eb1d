"""Main memory, as far as this process may use it."""

from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest

from hgx.sensors.cgroup import Limits
from hgx.sensors.memory import read_memory


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(), (1000, 400)),
        (Limits(memory_bytes=500, memory_left_bytes=300), (500, 300)),
        (Limits(memory_bytes=300, memory_left_bytes=300), (300, 300)),
        (Limits(memory_bytes=5000, memory_left_bytes=4000), (1000, 400)),
        (Limits(memory_bytes=500, memory_left_bytes=0), (500, 0)),
    ],
)
def test_limits_cut_memory(
    monkeypatch: pytest.MonkeyPatch, limits: Limits, expected: tuple[int, int]
) -> None:
    """A container sees no more than its limit and no more free than it has left."""
    system = SimpleNamespace(total=1000, available=400)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: system)
    assert read_memory(limits) == expected


def test_this_machine() -> None:
    """This machine has memory, and not more of it free than there is."""
    memory = read_memory()
    assert 0 < memory.free_bytes <= memory.total_bytes
