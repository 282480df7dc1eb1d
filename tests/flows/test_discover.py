"""Discovery: what is found, what is merged and what stays."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from hgx.core.registry import Device, Registry
from hgx.drivers.base import DeviceInfo, Measurement, MemoryInfo
from hgx.errors import RegistryError, Unavailable
from hgx.flows.discover import Discovery, discover
from hgx.sensors.memory import HostMemory, read_memory
from hgx.sensors.nvml import Survey, read_cards
from hgx.store.home import Home
from hgx.store.registry_file import load_registry
from tests.sensors.doubles import GB10, H200, FakeNvml

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hgx.drivers.base import Driver

    Find = Callable[..., Discovery]

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
NO_CARDS = Survey(missing=(Unavailable("no cards", "buy one"),))


class PlainDriver:
    """A driver of one device that cannot measure; only what discovery uses is there."""

    def __init__(self, name: str = "Toaster 9000", absent: Unavailable | None = None) -> None:
        self.name = name
        self.absent = absent
        self.running = False

    def initialize(self) -> None:
        """Start, or say why not."""
        if self.absent:
            raise self.absent
        self.running = True

    def shutdown(self) -> None:
        """Stop."""
        self.running = False

    def list_devices(self) -> tuple[DeviceInfo, ...]:
        """Name the one device."""
        return (DeviceInfo(0, self.name, 1000, unified_memory=True),)

    def memory_info(self, index: int) -> MemoryInfo:
        """Tell memory that has nothing to do with this machine's."""
        return MemoryInfo(1000, 600 + index)

    def temperature(self, index: int) -> float:
        """Freeze."""
        return float(index)


class MeasuringDriver(PlainDriver):
    """A driver that can also measure."""

    def read_bandwidth(self, index: int) -> Measurement:
        """Read at 12.34567 GB/s."""
        return Measurement(12_345_670_000.0 + index, (9e9, 12_345_670_000.0, 13e9), "reading")

    def matmul(self, index: int) -> Measurement:
        """Multiply at 2 TFLOP/s."""
        return Measurement(2e12 + index, (), "multiplying")


@pytest.fixture
def find(tmp_path: Path) -> Find:
    """Return discovery on a node called box, with a measuring driver and no cards."""
    (tmp_path / "node.json").write_text('{"id": "box"}')

    def run(survey: Survey = NO_CARDS, **drivers: PlainDriver) -> Discovery:
        chosen: dict[str, Any] = dict(drivers) or {"cpu": MeasuringDriver()}
        typed: dict[str, Driver] = chosen
        return discover(Home(tmp_path), drivers=typed, survey=lambda: survey, now=lambda: NOON)

    return run


def by_id(found: Discovery) -> dict[str, Device]:
    """Return the devices by their ids."""
    return {device.id: device for device in found.registry.devices}


def edit(tmp_path: Path, **fields: object) -> dict[str, Any]:
    """Change the first device in the file as a person would, and return the document."""
    file = tmp_path / "registry.json"
    document = json.loads(file.read_text())
    document["devices"][0] |= fields
    file.write_text(json.dumps(document))
    return document


def test_first_time(find: Find, tmp_path: Path) -> None:
    """A first discovery writes this node and its devices, with evidence for each rate."""
    found = find()
    assert found.path == tmp_path / "registry.json"
    assert load_registry(found.path) == found.registry
    (node,) = found.registry.nodes
    memory = read_memory()
    assert (node.id, node.ram_total_bytes) == ("box", memory.total_bytes)
    assert node.name
    assert node.os
    assert node.arch
    (device,) = found.registry.devices
    assert device == Device(
        id="box/cpu:0",
        node="box",
        backend="cpu",
        name="Toaster 9000",
        memory_total_bytes=1000,
        memory_free_bytes=600,
        unified_memory=True,
        memory_bandwidth_bytes_per_s=12_350_000_000.0,
        compute_flops_per_s=2e12,
        temperature_c=0.0,
        evidence={
            "memory_bandwidth_bytes_per_s": {
                "rank": "driver",
                "source": "reading",
                "measured_at": "2026-01-02T12:00:00+00:00",
                "low": 9e9,
                "high": 13e9,
            },
            "compute_flops_per_s": {
                "rank": "driver",
                "source": "multiplying",
                "measured_at": "2026-01-02T12:00:00+00:00",
            },
        },
    )


def test_what_is_missing_is_told(find: Find) -> None:
    """Cards and drivers that are not there are told with reason and remedy, and nothing fails."""
    gone = Unavailable("no toaster", "plug it in")
    found = find(cpu=MeasuringDriver(), toast=PlainDriver(absent=gone))
    assert list(by_id(found)) == ["box/cpu:0"]
    assert found.missing == (*NO_CARDS.missing, gone)


def test_driver_that_cannot_measure(find: Find) -> None:
    """A device that nothing can measure gets low rates that say they are assumed."""
    driver = PlainDriver()
    device = by_id(find(toast=driver))["box/toast:0"]
    assert device.compute_flops_per_s == 500e9
    assert '"default"' in json.dumps(device.evidence)
    assert not driver.running


def test_h200(find: Find) -> None:
    """A card has the vendor's rates and its own memory."""
    device = by_id(find(read_cards(FakeNvml((H200,)))))["box/cuda:0"]
    assert device.model_dump(exclude={"evidence", "node"}) == {
        "id": "box/cuda:0",
        "backend": "cuda",
        "name": "NVIDIA H200",
        "memory_total_bytes": 143771 * 1024**2,
        "memory_free_bytes": 143000 * 1024**2,
        "unified_memory": False,
        "memory_bandwidth_bytes_per_s": 4_916_736_000_000,
        "compute_flops_per_s": 66_908_160_000_000,
        "temperature_c": 31,
        "temperature_limit_c": 89,
        "uuid": "GPU-00000000-1111-2222-3333-444444444444",
    }
    assert '"vendor"' in json.dumps(device.evidence)


def test_unified_part(find: Find, monkeypatch: pytest.MonkeyPatch) -> None:
    """A card without memory of its own has the host's, and low assumed rates where unknown."""
    monkeypatch.setattr("hgx.flows.discover.read_memory", lambda: HostMemory(128, 100))
    device = by_id(find(read_cards(FakeNvml((GB10,)))))["box/cuda:0"]
    assert device.unified_memory is True
    assert (device.memory_total_bytes, device.memory_free_bytes) == (128, 100)
    assert device.memory_bandwidth_bytes_per_s == 50e9
    assert device.compute_flops_per_s == 36_900_864_000_000
    assert device.temperature_c == 0


def test_a_driver_knows_better_than_nvml(find: Find) -> None:
    """A device that a driver measures appears once, as measured."""
    found = find(read_cards(FakeNvml((H200,))), cuda=MeasuringDriver("H200, measured"))
    assert by_id(found)["box/cuda:0"].name == "H200, measured"


def test_engine_measurement_stays(find: Find, tmp_path: Path) -> None:
    """A rate measured with the engine is not overwritten; what has no such evidence is."""
    find()
    evidence = {"compute_flops_per_s": {"rank": "engine", "by": "me"}, "mine": [1]}
    edit(tmp_path, compute_flops_per_s=7e12, memory_bandwidth_bytes_per_s=1, evidence=evidence)
    (device,) = find().registry.devices
    assert device.compute_flops_per_s == 7e12
    assert device.memory_bandwidth_bytes_per_s == 12.35e9
    after = device.model_dump()["evidence"]
    assert after["compute_flops_per_s"] == {"rank": "engine", "by": "me"}
    assert after["memory_bandwidth_bytes_per_s"]["rank"] == "driver"
    assert after["mine"] == [1]


@pytest.mark.parametrize("evidence", [None, "a datasheet", {"compute_flops_per_s": 3}, {}])
def test_figures_by_hand(find: Find, tmp_path: Path, evidence: object) -> None:
    """A figure written by hand counts as a vendor's: above a default, below a measurement."""
    find(cpu=PlainDriver())
    edit(tmp_path, compute_flops_per_s=7e12, evidence=evidence)
    (device,) = find(cpu=PlainDriver()).registry.devices
    assert device.compute_flops_per_s == 7e12
    (device,) = find().registry.devices
    assert device.compute_flops_per_s == 2e12


def test_other_hardware_of_the_same_id(find: Find, tmp_path: Path) -> None:
    """When another device takes the place of one, nothing of the old one is believed."""
    find()
    edit(tmp_path, name="Old", later=1, compute_flops_per_s=7e12, evidence={"x": 1})
    (device,) = find().registry.devices
    assert device.compute_flops_per_s == 2e12
    assert device.model_extra == {}


def test_other_card_in_the_same_slot(find: Find, tmp_path: Path) -> None:
    """Cards of one name are told apart by their UUID."""
    survey = read_cards(FakeNvml((H200,)))
    find(survey, cpu=PlainDriver())
    edit(tmp_path, later=1)
    assert "later" in (by_id(find(survey))["box/cuda:0"].model_extra or {})
    other = read_cards(FakeNvml(({**H200, "UUID": "GPU-other"},)))
    assert "later" not in (by_id(find(other))["box/cuda:0"].model_extra or {})


def test_others_stay(find: Find, tmp_path: Path) -> None:
    """Other nodes, their devices, links, and unknown fields stay, in their places."""
    find()
    document = edit(tmp_path, later={"a": [1]}, memory_free_bytes=1)
    document["later"] = "top"
    document["nodes"][0] |= {"later": 2, "address": "10.0.0.1"}
    document["nodes"].insert(0, {"id": "other", "later": 3})
    device = document["devices"][0]
    document["devices"].insert(0, device | {"id": "other/cpu:0", "node": "other"})
    document["links"] = [
        {"from": "box", "to": "other", "rtt_s": 0.1, "bandwidth_bytes_per_s": 1.0, "later": 4}
    ]
    (tmp_path / "registry.json").write_text(json.dumps(document))
    find()
    after = json.loads((tmp_path / "registry.json").read_text())
    assert after["later"] == "top"
    assert after["nodes"][0] == {"id": "other", "later": 3}
    assert (after["nodes"][1]["later"], after["nodes"][1]["address"]) == (2, "10.0.0.1")
    assert after["devices"][0] == document["devices"][0]
    assert after["devices"][1]["later"] == {"a": [1]}
    assert after["devices"][1]["memory_free_bytes"] == 600
    assert after["links"] == document["links"]


def test_vanished_devices_go(find: Find, tmp_path: Path) -> None:
    """A card that is gone goes; a device of a backend nothing here looks for stays."""
    find(read_cards(FakeNvml((H200,))))
    document = json.loads((tmp_path / "registry.json").read_text())
    mine = document["devices"][0] | {"id": "box/vulkan:0", "backend": "vulkan"}
    document["devices"].append(mine)
    (tmp_path / "registry.json").write_text(json.dumps(document))
    assert list(by_id(find())) == ["box/cpu:0", "box/vulkan:0"]


def test_another_file(find: Find, tmp_path: Path) -> None:
    """A registry elsewhere is written there; the node's id is still the home's."""
    find()
    other = tmp_path / "lab.json"
    found = discover(Home(tmp_path), other, drivers={}, survey=lambda: NO_CARDS)
    assert found.path == other
    assert load_registry(other) == Registry(nodes=found.registry.nodes, devices=(), links=())
    assert found.registry.nodes[0].id == "box"


def test_damaged_registry_is_not_overwritten(find: Find, tmp_path: Path) -> None:
    """A registry that cannot be read is an error and stays as it is."""
    (tmp_path / "registry.json").write_text("{")
    with pytest.raises(RegistryError):
        find()
    assert (tmp_path / "registry.json").read_text() == "{"


def test_this_machine(tmp_path: Path) -> None:
    """On any machine discovery finds at least the processor, measured."""
    found = discover(Home(tmp_path))
    processor = next(device for device in found.registry.devices if device.backend == "cpu")
    assert processor.id.endswith("/cpu:0")
    assert '"driver"' in json.dumps(processor.evidence)
