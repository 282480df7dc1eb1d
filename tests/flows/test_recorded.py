"""Machines looked at through their recordings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hgx.errors import StorageError
from hgx.flows.probe import Probe
from hgx.flows.recorded import record, replay
from hgx.flows.sight import sight_of
from hgx.sensors.recording import Replay

RECORDINGS = Path(__file__).parents[1] / "sensors" / "recordings"


@pytest.mark.parametrize(
    ("name", "system", "devices"),
    [
        ("nvidia-desktop", "linux", {"recorded/cuda:0"}),
        ("amd-desktop", "linux", {"recorded/rocm:0", "recorded/rocm:1"}),
        ("phone-termux", "android", set[str]()),
    ],
)
def test_recorded_machines(name: str, system: str, devices: set[str]) -> None:
    """Cards that their drivers describe are found in a recording that knows no runtime."""
    machine = replay(RECORDINGS / name)
    assert set(machine.local.devices) == devices
    assert machine.local.node.os == system
    assert machine.registry.nodes == (machine.local.node,)
    assert machine.snapshot.rows
    assert all(row.device.startswith("recorded/") for row in machine.snapshot.rows)


def test_backends_that_a_recording_does_not_know() -> None:
    """A backend that is newer than the recording is said to be missing from it, and no more."""
    machine = replay(RECORDINGS / "nvidia-desktop")
    assert "cpu is not in the recording: record it again" in {
        reason.message for reason in machine.local.absent
    }


def test_this_machine_twice(tmp_path: Path) -> None:
    """What is recorded here is found again, whatever else this machine has meanwhile."""
    record(tmp_path / "here")
    machine = replay(tmp_path / "here")
    assert machine.local.devices["recorded/cpu:0"].fallback
    answers = json.loads((tmp_path / "here" / "recording.json").read_text())["answers"]
    assert Probe.model_validate_json(json.dumps(answers["driver:cpu"])).devices
    sight = sight_of(Replay(tmp_path / "here"))
    assert {name: bool(reason) for name, reason in sight.absent().items()}["directml"]


def test_a_recording_without_what_a_driver_said(tmp_path: Path) -> None:
    """A backend that was there, and of which no more is known, is as one that crashed."""
    answers = {"absent:cpu": {"absent": None}, "driver:cpu": {"devices": 3}}
    document = {"version": 1, "system": "Linux", "commands": {}, "answers": answers}
    (tmp_path / "recording.json").write_text(json.dumps(document))
    sight = sight_of(Replay(tmp_path))
    assert sight.absent()["cpu"] is None
    assert sight.probe("cpu").crashed


@pytest.mark.parametrize("answer", [3, {"name": 3}, None])
def test_a_recording_that_lies(tmp_path: Path, answer: object) -> None:
    """Answers of a wrong kind are unknown."""
    answers = {"machine": answer}
    document = {"version": 1, "system": "Linux", "commands": {}, "answers": answers}
    (tmp_path / "recording.json").write_text(json.dumps(document))
    machine = sight_of(Replay(tmp_path)).machine()
    assert (machine.name, machine.os, machine.arch) == (None, "linux", None)


def test_a_recording_of_nothing(tmp_path: Path) -> None:
    """A directory that is no recording is one clear error."""
    with pytest.raises(StorageError, match="is no recording"):
        replay(tmp_path)
