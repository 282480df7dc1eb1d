"""Main memory, as far as this process may use it."""

from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest

from hgx.errors import Unavailable
from hgx.sensors.cgroup import Limits
from hgx.sensors.memory import find_memory, read_memory
from tests.sensors.doubles import Told


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


def test_recorded() -> None:
    """A recorded machine has its own memory, cut to its own limits."""
    files = {"proc/self/cgroup": "0::/", "sys/fs/cgroup/memory.max": "600"}
    answers = {"memory": {"total_bytes": 1000, "available_bytes": 900}}
    assert read_memory(source=Told(files, answers=answers)) == (600, 600)


@pytest.mark.parametrize("answer", [None, 5, {}, {"total_bytes": 0, "available_bytes": 0}])
def test_unknown(answer: int | dict[str, int] | None) -> None:
    """Where nothing tells it, memory is unknown, and who needs it hears so."""
    source = Told(answers={"memory": answer})
    assert find_memory(None, source) is None
    with pytest.raises(Unavailable, match="record it again"):
        read_memory(source=source)
