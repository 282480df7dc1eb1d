"""What a node tells others of itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from hgx.core.reading import Reading
from hgx.flows.node import NodeDescription
from hgx.sensors.memory import HostMemory
from hgx.store.home import Home

if TYPE_CHECKING:
    from pathlib import Path

DEVICE: dict[str, Any] = {
    "id": "box/cuda:0",
    "node": "box",
    "backend": "cuda",
    "name": "Toaster 9000",
    "uuid": "GPU-secret",
    "memory_total_bytes": 1000,
    "memory_free_bytes": 900,
    "memory_bandwidth_bytes_per_s": 1e9,
    "compute_flops_per_s": 2e9,
    "temperature_c": 20.0,
    "evidence": {"compute_flops_per_s": {"rank": "driver"}},
    "bought": "in a dark alley",
}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home whose registry knows this node, box, and another one."""
    (tmp_path / "node.json").write_text('{"id": "box"}')
    other = DEVICE | {"id": "other/cuda:0", "node": "other"}
    nodes = [{"id": "other"}, {"id": "box", "name": "Bob's box", "os": "linux", "mine": 1}]
    registry = {"nodes": nodes, "devices": [DEVICE, other]}
    (tmp_path / "registry.json").write_text(json.dumps(registry))
    return Home(tmp_path)


def told(home: Home, reading: Reading | None = None) -> dict[str, Any]:
    """Describe the node under the name tower-2, with a reading of cuda:0."""
    readings = {"cuda:0": reading} if reading else {}
    return NodeDescription(home, lambda: readings)("tower-2")


def test_everything_carries_the_name_in_the_network(home: Home) -> None:
    """Only this node is told of, under the name that it has in the network."""
    found = told(home)
    assert found["node"] == {"id": "tower-2", "name": "tower-2", "os": "linux"}
    (device,) = found["devices"]
    assert (device["id"], device["node"]) == ("tower-2/cuda:0", "tower-2")
    assert device["evidence"] == DEVICE["evidence"]


def test_what_is_private_stays(home: Home) -> None:
    """Serial identities and what the owner wrote into the file are not told."""
    text = json.dumps(told(home))
    for secret in ("GPU-secret", "dark alley", "mine", "Bob"):
        assert secret not in text


@pytest.mark.parametrize(
    ("reading", "momentary"),
    [
        (None, {}),
        (Reading(temperature_c=0.0), {"temperature_c": 0.0}),
        (Reading(memory_free_bytes=0), {"memory_free_bytes": 0}),
        (
            Reading(temperature_c=50.0, memory_free_bytes=1),
            {"temperature_c": 50.0, "memory_free_bytes": 1},
        ),
    ],
)
def test_only_readings_of_now_are_told(
    home: Home, reading: Reading | None, momentary: dict[str, float]
) -> None:
    """Temperature and free memory are those of now, or not told at all."""
    (device,) = told(home, reading)["devices"]
    fields = ("temperature_c", "memory_free_bytes")
    assert {field: device[field] for field in fields if field in device} == momentary
    assert device["memory_total_bytes"] == 1000


@pytest.mark.parametrize(
    ("reading", "free"), [(None, 7), (Reading(), 7), (Reading(memory_free_bytes=0), 0)]
)
def test_a_processors_free_memory_is_read_when_asked(
    home: Home, reading: Reading | None, free: int
) -> None:
    """A processor without a reading tells what main memory is free at this moment."""
    processor = DEVICE | {"id": "box/cpu:0", "backend": "cpu"}
    registry = {"nodes": [{"id": "box"}], "devices": [processor]}
    home.registry.write_text(json.dumps(registry))
    readings = {"cpu:0": reading} if reading else {}
    found: dict[str, Any] = NodeDescription(home, lambda: readings, lambda: HostMemory(1000, 7))(
        "box"
    )
    (device,) = found["devices"]
    assert device["memory_free_bytes"] == free


def test_this_machines_memory(home: Home) -> None:
    """Without other sources it is this machine's memory that is told."""
    processor = DEVICE | {"id": "box/cpu:0", "backend": "cpu", "memory_free_bytes": 1}
    home.registry.write_text(json.dumps({"nodes": [{"id": "box"}], "devices": [processor]}))
    assert told(home)["devices"][0]["memory_free_bytes"] > 1000
