"""What a node tells others of itself."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest

from hgx.core.evidence import RATES
from hgx.core.options import PlanOptions
from hgx.core.reading import Battery, Reading
from hgx.core.thermal import ActivityKind
from hgx.flows.discover import discover
from hgx.flows.node import NodeDescription
from hgx.flows.peers import find_peers
from hgx.flows.plan_sustained import lasting
from hgx.flows.thermal_devices import chosen_device
from hgx.flows.thermal_fit import fit_trace
from hgx.net.identity import own_identity
from hgx.net.peer import MOST_ANSWER_BYTES, MOST_DEVICES, PeerClient
from hgx.net.stranger import known_of_device, known_of_node
from hgx.sensors.memory import HostMemory
from hgx.store.home import Home
from tests.flows.test_discover import sight
from tests.flows.test_plan_sustained import HOT
from tests.node.test_agent import get, node
from tests.planner.made import MB

TRACE = Path(__file__).parents[1] / "serve/hot.csv"
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
    "evidence": {"compute_flops_per_s": {"rank": "driver", "by": "my neighbour"}},
    "benchmarks": {
        "read": {
            "name": "read",
            "unit": "bytes_per_s",
            "median": 1e9,
            "quartiles": [1e9, 1e9],
            "samples": [1e9],
            "method": "toasting",
            "measured_at": "2026-01-02T12:00:00Z",
        }
    },
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
    assert found["node"].pop("ram_free_bytes") > 0
    assert found["node"] == {"id": "tower-2", "name": "tower-2", "os": "linux"}
    (device,) = found["devices"]
    assert (device["id"], device["node"]) == ("tower-2/cuda:0", "tower-2")
    assert device["evidence"] == {"compute_flops_per_s": {"rank": "driver"}}


def test_what_is_private_stays(home: Home) -> None:
    """Serial identities and what the owner wrote into the file are not told."""
    text = json.dumps(told(home))
    for secret in ("GPU-secret", "benchmarks", "dark alley", "neighbour", "mine", "Bob"):
        assert secret not in text


def test_nothing_is_told_in_vain(home: Home) -> None:
    """A peer keeps all that it is told."""
    found = told(home, Reading(temperature_c=50.0, memory_free_bytes=1))
    (device,) = found["devices"]
    assert known_of_device(device) == device
    assert known_of_node(found["node"]) == found["node"]


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
    """The node, and a processor without a reading, tell what main memory is free just now."""
    processor = DEVICE | {"id": "box/cpu:0", "backend": "cpu"}
    own = {"id": "box", "ram_total_bytes": 1000, "ram_free_bytes": 900}
    registry = {"nodes": [own], "devices": [processor]}
    home.registry.write_text(json.dumps(registry))
    readings = {"cpu:0": reading} if reading else {}
    found: dict[str, Any] = NodeDescription(home, lambda: readings, lambda: HostMemory(1000, 7))(
        "box"
    )
    (device,) = found["devices"]
    assert device["memory_free_bytes"] == free
    assert (found["node"]["ram_total_bytes"], found["node"]["ram_free_bytes"]) == (1000, 7)


def test_the_battery_of_now_is_told(home: Home) -> None:
    """A battery is told as it is now, or not at all; a peer keeps what it is told."""
    own = {"id": "box", "battery": {"charge": 0.9, "plugged": True}}
    home.registry.write_text(json.dumps({"nodes": [own]}))
    now = Battery(charge=0.3, plugged=False, full_wh=50.0)
    found: dict[str, Any] = NodeDescription(home, dict, battery=lambda: now)("box")
    assert found["node"]["battery"] == {"charge": 0.3, "plugged": False, "full_wh": 50.0}
    assert known_of_node(found["node"]) == found["node"]
    assert "battery" not in told(home)["node"]


def test_heat_is_told(home: Home) -> None:
    """What was learnt of it is told without the file that it was learnt from; a peer keeps it."""
    learnt = HOT.model_copy(update={"source": "100 readings in secret.csv"})
    device = DEVICE | {"thermal": learnt.model_dump(mode="json"), "temperature_limit_c": 85.0}
    home.registry.write_text(json.dumps({"nodes": [{"id": "box"}], "devices": [device]}))
    (found,) = told(home)["devices"]
    assert found["thermal"]["powers"][1] == {"kind": "decode", "power_w": 200.0, "samples": 100}
    assert found["temperature_limit_c"] == 85.0
    assert "secret" not in json.dumps(found)
    assert known_of_device(found) == found


@pytest.mark.parametrize("paired", [False, True])
def test_a_coordinator_counts_with_the_heat_of_a_peer(
    home: Home, tmp_path: Path, *, paired: bool
) -> None:
    """What a node learnt from a trace slows its device in a plan elsewhere, if that is paired."""
    device = DEVICE | {"memory_total_bytes": 2000 * MB, "temperature_limit_c": 70.0}
    home.registry.write_text(json.dumps({"nodes": [{"id": "box"}], "devices": [device]}))
    learnt = fit_trace(home, chosen_device(home, None), TRACE).parameters
    own, other = own_identity(home), Home(tmp_path / "coordinator")
    other.create()
    other.node_file.write_text('{"id": "desk"}')
    trusted = [{"fingerprint": own.fingerprint, "name": "box"}] if paired else []
    (other.path / "trusted.json").write_text(json.dumps({"version": 1, "peers": trusted}))
    look = sight({})
    with node(own, NodeDescription(home, dict)) as running:
        named = [f"127.0.0.1:{running.port}"]
        seek = partial(find_peers, other, multicast=False, peers=named)
        first, again = (
            discover(other, sight=look, measure=None, seek=seek).registry for _ in range(2)
        )
    assert first.devices == again.devices
    (kept,) = again.devices
    assert kept.thermal is not None
    assert kept.thermal.highest_power_w == learnt.highest_power_w
    assert [one.tau_s for one in kept.thermal.stages] == [one.tau_s for one in learnt.stages]
    assert kept.thermal.source is None
    slowed = lasting(again.usable(), PlanOptions(duration_s=3600.0)).shares
    assert slowed.keys() == ({"tower/cuda:0"} if paired else set())


def test_this_machines_memory(home: Home) -> None:
    """Without other sources it is this machine's memory that is told."""
    processor = DEVICE | {"id": "box/cpu:0", "backend": "cpu", "memory_free_bytes": 1}
    home.registry.write_text(json.dumps({"nodes": [{"id": "box"}], "devices": [processor]}))
    assert told(home)["devices"][0]["memory_free_bytes"] > 1000


HEAT: dict[str, Any] = {
    "stages": [{"resistance_k_per_w": 0.123456, "tau_s": tau} for tau in (1.23456, 1234.56)],
    "ambient_c": 23.4567,
    "rmse_c": 1.23456,
    "powers": [
        {"kind": kind, "precision": "IQ4_NL", "batch": batch, "power_w": 345.678, "samples": 12345}
        for kind in get_args(ActivityKind)
        for batch in range(1, 50)
    ],
    "highest_power_w": 345.678,
    "samples": 123456,
    "duration_s": 12345.6,
    "source": "123456 readings in trace.csv",
    "fitted_at": "2026-01-02T12:00:00.123456Z",
    "warnings": ["it may be warmer than it was " * 4] * 64,
}


def with_devices(home: Home, count: int) -> NodeDescription:
    """Describe a node with so many devices, of which as much is known as there can be."""
    proof = {
        "rank": "driver",
        "source": "a way to measure " * 20,
        "measured_at": datetime(2026, 1, 2, tzinfo=UTC).isoformat(timespec="seconds"),
        "low": 1.234e17,
        "high": 1.234e17,
        "noisy": True,
    }
    device = DEVICE | {
        "backend": "directml",
        "name": "\U00020000" * 128,  # four bytes a character
        "memory_total_bytes": 2**50,
        "unified_memory": False,
        "fallback": False,
        "temperature_limit_c": 123.4,
        "evidence": dict.fromkeys(RATES, proof),
        "thermal": HEAT,
        **dict.fromkeys(RATES, 1.234e17),
    }
    devices = [device | {"id": f"box/directml:{number}"} for number in range(count)]
    home.registry.write_text(json.dumps({"nodes": [{"id": "box"}], "devices": devices}))
    reading = Reading(temperature_c=12.345678901234567, memory_free_bytes=2**50 - 1)
    readings = {f"directml:{number}": reading for number in range(count)}
    return NodeDescription(home, lambda: readings)


def test_the_largest_honest_answer(home: Home) -> None:
    """As many devices as a peer heeds are told, and however long that is, the peer takes it."""
    description = with_devices(home, MOST_DEVICES + 1)
    name = "n" * 63
    with node(own_identity(home), lambda _: description(name)) as running:
        said = PeerClient("127.0.0.1", running.port).node()
        _, body = get(running.port, "/v1/node")
    assert [device.id for device in said.devices] == [
        f"{name}/directml:{number}" for number in range(MOST_DEVICES)
    ]
    assert said.devices[-1].memory_free_bytes == 2**50 - 1
    assert len(body) < MOST_ANSWER_BYTES / 2


def test_devices_that_are_not_told(home: Home) -> None:
    """A node that has more devices than it tells says so, and how to choose."""
    assert with_devices(home, MOST_DEVICES).notes() == ()
    (note,) = with_devices(home, MOST_DEVICES + 6).notes()
    assert note.startswith("others are told of the first 64 of 70 devices that this node has: put")
    assert note.endswith("registry.json")
