"""Whether there is place: disk, memory, files and the registry."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from hgx._version import __version__
from hgx.core.registry import Node, Registry
from hgx.flows import doctor_place
from hgx.flows.doctor_check import Check, run_parts
from hgx.flows.doctor_place import nearest_there, place_parts
from hgx.sensors.source import MACHINE
from hgx.store.home import Home
from hgx.store.registry_file import update_registry
from hgx.units import GIB, MIB
from tests.sensors.doubles import Told, always

if TYPE_CHECKING:
    from hgx.sensors.source import Source

FREE = {"memory": {"total_bytes": 8 * GIB, "available_bytes": 5 * GIB}}


def checked(home: Path, source: Source = MACHINE) -> dict[str, Check]:
    """Make the checks of this area; return them by what they are about."""
    return {check.what: check for check in run_parts(place_parts(Home(home), source))}


def test_this_machine(tmp_path: Path) -> None:
    """A machine that runs these tests has what hgx needs; a registry is not there yet."""
    found = checked(tmp_path / "none")
    assert [*found] == ["software", "disk", "registry", "memory", "open files"]
    assert f"hgx {__version__}" in found["software"].found
    assert {found[what].state for what in ("software", "disk", "open files")} == {"ok"}
    assert found["registry"] == Check(
        "place", "registry", "note", "there is none yet", "run `hgx discover`"
    )
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("free", "state"), [(5 * GIB, "ok"), (3 * GIB, "warning"), (50 * MIB, "fault")]
)
def test_disk(free: int, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk without room for a model is a warning, one without room for a log a fault."""
    usage = SimpleNamespace(disk_usage=always(SimpleNamespace(free=free)))
    monkeypatch.setattr(doctor_place, "shutil", usage)
    disk = checked(tmp_path)["disk"]
    assert disk.state == state
    assert str(tmp_path) in disk.found
    assert bool(disk.remedy) == (state != "ok")


def test_two_disks(tmp_path: Path) -> None:
    """Where logs are on another disk than models, both are looked at."""
    other = Path("/dev/shm")  # noqa: S108 - nothing is written there
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second disk here")
    (tmp_path / "logs").symlink_to(other)
    disks = [
        check for check in run_parts(place_parts(Home(tmp_path), MACHINE)) if check.what == "disk"
    ]
    assert [f"at {tmp_path / 'logs'}" in disk.found for disk in disks] == [True, False]


@pytest.mark.parametrize(
    ("text", "found"), [("{", "not valid JSON"), ('{"version": 9}', "this hgx reads version 1")]
)
def test_a_damaged_registry(text: str, found: str, tmp_path: Path) -> None:
    """It is a fault that says where and what to do."""
    (tmp_path / "registry.json").write_text(text)
    registry = checked(tmp_path)["registry"]
    assert registry.state == "fault"
    assert found in registry.found
    assert registry.remedy
    assert "correct it" in registry.remedy


def test_a_registry(tmp_path: Path) -> None:
    """One that can be read says what is in it."""
    update_registry(tmp_path / "registry.json", lambda _: Registry(nodes=(Node(id="tower"),)))
    registry = checked(tmp_path)["registry"]
    assert (registry.state, registry.remedy) == ("ok", None)
    assert registry.found.endswith("registry.json has 1 node, 0 devices")


def test_memory(tmp_path: Path) -> None:
    """Memory that is free is fine."""
    memory = checked(tmp_path, Told(answers=FREE))["memory"]
    assert memory == Check("place", "memory", "ok", "5 GiB of 8 GiB free")


def test_little_memory(tmp_path: Path) -> None:
    """Where hardly any is free that is a warning."""
    answers = {"memory": {"total_bytes": 8 * GIB, "available_bytes": 500 * MIB}}
    memory = checked(tmp_path, Told(answers=answers))["memory"]
    assert (memory.state, memory.found) == ("warning", "500 MiB of 8 GiB free")
    assert memory.remedy == "close other programs, or give the container more"


def test_a_container(tmp_path: Path) -> None:
    """What a control group allows is a note."""
    files = {
        "proc/self/cgroup": "0::/",
        "sys/fs/cgroup/memory.max": f"{4 * GIB}\n",
        "sys/fs/cgroup/memory.current": f"{GIB}\n",
        "sys/fs/cgroup/cpu.max": "150000 100000\n",
    }
    memory = checked(tmp_path, Told(files, answers=FREE))["memory"]
    assert (memory.state, memory.remedy) == ("note", None)
    assert memory.found == (
        "3 GiB of 4 GiB free; a control group allows no more than that; "
        "a control group allows 1.5 processors' time"
    )


def test_a_machine_that_does_not_tell_its_memory(tmp_path: Path) -> None:
    """What is unknown is no check."""
    assert "memory" not in checked(tmp_path, Told())


@pytest.mark.parametrize(
    ("limit", "state", "found"),
    [
        (100, "warning", "100 at the same time"),
        (1024, "ok", "1024 at the same time"),
        (None, "ok", "as many as wanted"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_open_files(
    limit: int | None, state: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit that a node would meet is a warning."""
    import resource  # noqa: PLC0415 - Windows has none

    soft = resource.RLIM_INFINITY if limit is None else limit
    monkeypatch.setattr(resource, "getrlimit", always((soft, soft)))
    files = checked(tmp_path)["open files"]
    assert (files.state, files.found) == (state, found)


def test_nearest(tmp_path: Path) -> None:
    """The nearest folder that is there may be the path itself, or far above it."""
    assert nearest_there(tmp_path) == tmp_path
    assert nearest_there(tmp_path / "a" / "b") == tmp_path
