"""Discovery: what is found, what is measured, what is merged and what stays."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hgx.core.benchmark import Benchmark
from hgx.core.evidence import lowest_rank
from hgx.core.reading import Battery
from hgx.core.registry import Device, Node, Registry
from hgx.errors import RegistryError, Unavailable
from hgx.flows.discover import Discovery, Watcher, discover
from hgx.flows.local import find_local
from hgx.flows.peer_merge import FoundPeer, FoundPeers
from hgx.flows.probe import Missing, Probe, Quick, Seen
from hgx.flows.sight import Machine, Sight
from hgx.sensors.amdgpu import AmdCard
from hgx.sensors.card import Survey
from hgx.sensors.memory import HostMemory
from hgx.sensors.nvml import read_cards
from hgx.store.home import Home
from hgx.store.registry_file import load_registry
from tests.flows.test_plan_sustained import HOT
from tests.sensors.doubles import GB10, H200, FakeNvml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Find = Callable[..., Discovery]

REGISTRIES = Path(__file__).parents[1] / "store" / "registries"
"""Files as releases wrote them."""

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
NO_CARDS = Survey(missing=(Unavailable("no cards", "buy one"),))
MEMORY = HostMemory(4000, 3000)
TOASTER = Seen(
    index=0, name="Toaster 9000", memory_total_bytes=1000, memory_free_bytes=600, temperature_c=0.0
)


def toaster(**fields: Any) -> Probe:
    """Answer that there is one device."""
    return Probe(devices=(TOASTER.model_copy(update=fields),))


def result(name: str, *samples: float) -> Benchmark:
    """Make a benchmark with these samples; the middle one is the median."""
    return Benchmark(
        name=name,
        unit="bytes_per_s" if name == "read" else "flops_per_s",
        median=sorted(samples)[len(samples) // 2],
        quartiles=(min(samples), max(samples)),
        samples=samples,
        method="toasting",
        measured_at=NOON,
    )


def toasting(*_: object) -> Quick:
    """Read at 12.34567 GB/s and multiply at 2 TFLOP/s."""
    return Quick(
        benchmarks=(
            result("read", 9e9, 12_345_670_000.0, 13e9),
            result("matmul_float32", 2e12),
        )
    )


def unable(*_: object) -> Quick:
    """Be a device that nothing can measure."""
    return Quick()


def fail_to_measure(*_: object) -> Quick:
    """Be asked for what is known already."""
    msg = "nothing is to be measured here"
    raise AssertionError(msg)


def sight(
    probes: Mapping[str, Probe | Unavailable],
    survey: Survey = NO_CARDS,
    amd: tuple[AmdCard, ...] = (),
    *,
    nvidia: bool | None = None,
) -> Sight:
    """Look at a machine with these backends; one that is an ``Unavailable`` is absent."""

    def ask(name: str) -> Probe:
        answer = probes[name]
        assert isinstance(answer, Probe)
        return answer

    return Sight(
        absent=lambda: {
            name: answer if isinstance(answer, Unavailable) else None
            for name, answer in probes.items()
        },
        probe=ask,
        survey=lambda: survey,
        has_nvidia=lambda: nvidia,
        amd=lambda: amd,
        memory=lambda: MEMORY,
        machine=lambda: Machine(name="Box", os="linux", arch="z80"),
        battery=lambda: None,
    )


@pytest.fixture
def find(tmp_path: Path) -> Find:
    """Return discovery on a node called box, with a toaster that can be measured and no cards."""
    (tmp_path / "node.json").write_text('{"id": "box"}')

    def run(
        survey: Survey = NO_CARDS,
        measure: Callable[[str, int], Quick] | None = toasting,
        **probes: Probe | Unavailable,
    ) -> Discovery:
        chosen = probes or {"cpu": toaster()}
        look = sight(chosen, survey)
        return discover(Home(tmp_path), sight=look, measure=measure, now=lambda: NOON)

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
    assert (node.id, node.ram_total_bytes, node.ram_free_bytes) == ("box", 4000, 3000)
    assert (node.name, node.os, node.arch) == ("Box", "linux", "z80")
    (device,) = found.registry.devices
    assert device.model_dump(exclude={"benchmarks"}) == Device(
        id="box/cpu:0",
        node="box",
        backend="cpu",
        name="Toaster 9000",
        memory_total_bytes=1000,
        memory_free_bytes=600,
        memory_bandwidth_bytes_per_s=12_350_000_000.0,
        compute_flops_per_s=2e12,
        temperature_c=0.0,
        evidence={
            "memory_bandwidth_bytes_per_s": {
                "rank": "driver",
                "source": "toasting",
                "measured_at": "2026-01-02T12:00:00+00:00",
                "low": 9e9,
                "high": 13e9,
            },
            "compute_flops_per_s": {
                "rank": "driver",
                "source": "toasting",
                "measured_at": "2026-01-02T12:00:00+00:00",
                "low": 2e12,
                "high": 2e12,
            },
        },
    ).model_dump(exclude={"benchmarks"})
    assert device.benchmarks["read"].samples == (9e9, 12_345_670_000.0, 13e9)


def test_the_battery_is_that_of_the_last_look(tmp_path: Path) -> None:
    """It is kept with the node until the next discovery, which may find none."""
    look, full = sight({"cpu": toaster()}), Battery(charge=1.0, plugged=True, full_wh=50.0)
    for battery in (full, full.model_copy(update={"charge": 0.5, "plugged": False}), None):
        seen = look._replace(battery=lambda found=battery: found)
        found = discover(Home(tmp_path), sight=seen, measure=None, now=lambda: NOON)
        (node,) = load_registry(found.path).nodes
        assert node.battery == battery


def test_what_was_measured_is_not_measured_again(find: Find, tmp_path: Path) -> None:
    """A device is measured once; what has no evidence of that is measured the next time."""
    asked: list[tuple[str, int]] = []

    def count(backend: str, index: int) -> Quick:
        asked.append((backend, index))
        return toasting()

    find(measure=None)
    find(measure=count)
    find(measure=count)
    assert asked == [("cpu", 0)]
    edit(tmp_path, evidence=None)
    find(measure=count)
    assert len(asked) == 2


def test_a_device_that_could_not_be_measured(find: Find) -> None:
    """What stood in the way is told, and the rates say that they are assumed."""

    def burn(*_: object) -> Quick:
        return Quick(problem="it burnt")

    found = find(measure=burn)
    assert found.notes == ("box/cpu:0 was not measured: it burnt",)
    assert '"default"' in json.dumps(by_id(found)["box/cpu:0"].evidence)


def test_what_is_missing_is_told(find: Find) -> None:
    """What answers that it is not there, and what cannot be there, are told apart."""
    gone = Probe(missing=Missing(reason="no toaster", remedy="plug it in"))
    never = Unavailable("this is no kitchen", "go there")
    found = find(cpu=toaster(), toast=gone, oven=never)
    assert list(by_id(found)) == ["box/cpu:0"]
    assert [item.message for item in found.missing] == [
        "no cards: buy one",
        "no toaster: plug it in",
    ]
    assert found.local.absent == (never,)


@pytest.mark.parametrize(("nvidia", "told"), [(None, True), (True, True), (False, False)])
def test_a_driver_that_nobody_needs(*, nvidia: bool | None, told: bool) -> None:
    """Where no card of NVIDIA's is plugged in, its driver is not missed; else it may be."""
    local = find_local("box", sight({}, nvidia=nvidia), NOON)
    assert (local.missing == NO_CARDS.missing) == told
    assert (local.absent == NO_CARDS.missing) != told
    failed = Survey(missing=NO_CARDS.missing, sure=False)
    assert find_local("box", sight({}, failed, nvidia=nvidia), NOON).missing == failed.missing


def test_all_are_asked_at_the_same_time() -> None:
    """No backend waits for another: each answers only when all have been asked."""
    together = threading.Barrier(3)
    waiting: list[frozenset[str]] = []

    def meet(_: str = "") -> Probe:
        together.wait(30)
        return Probe()

    def survey() -> Survey:
        meet()
        return NO_CARDS

    look = sight({"a": Probe(), "b": Probe()})._replace(probe=meet, survey=survey)
    local = find_local("box", look, NOON, waiting.append)
    assert local.devices == {}
    assert len(waiting) == 3
    assert waiting[0] < {"a", "b", "nvml"}
    assert waiting[-1] == frozenset()


def test_a_crash_takes_nothing_with_it(find: Find) -> None:
    """A backend that crashed loses neither the others' devices nor its own of the last time."""
    crash = Probe(missing=Missing(reason="toast: crashed", remedy="cool it"), crashed=True)
    find(cpu=toaster(), toast=toaster())
    found = find(cpu=toaster(), toast=crash)
    assert list(by_id(found)) == ["box/cpu:0", "box/toast:0"]
    assert found.missing[-1].reason == "toast: crashed"
    assert list(by_id(find(cpu=toaster(), toast=Probe()))) == ["box/cpu:0"]


def test_a_card_stays_known_while_nvml_fails(find: Find) -> None:
    """Where NVML hangs nothing is known of cards, so those of the last time stay."""
    find(read_cards(FakeNvml((H200,))))
    assert "box/cuda:0" in by_id(find(Survey(missing=NO_CARDS.missing, sure=False)))
    assert "box/cuda:0" not in by_id(find())


def test_device_that_cannot_be_measured(find: Find) -> None:
    """A device that nothing can measure gets low rates that say they are assumed."""
    device = by_id(find(measure=unable, toast=toaster()))["box/toast:0"]
    assert device.compute_flops_per_s == 500e9
    assert '"default"' in json.dumps(device.evidence)


def test_the_fallback_says_so(find: Find) -> None:
    """The processor is marked as what is there when nothing better is; other devices are not."""
    found = by_id(find(cpu=toaster(fallback=True), toast=toaster()))
    assert (found["box/cpu:0"].fallback, found["box/toast:0"].fallback) == (True, None)


def test_h200(find: Find) -> None:
    """A card has the vendor's rates and its own memory."""
    device = by_id(find(read_cards(FakeNvml((H200,)))))["box/cuda:0"]
    assert device.model_dump(exclude={"evidence", "node"}, exclude_none=True) == {
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
        "benchmarks": {},
    }
    assert '"vendor"' in json.dumps(device.evidence)


def test_unified_part(find: Find) -> None:
    """A card without memory of its own has the host's, and low assumed rates where unknown."""
    device = by_id(find(read_cards(FakeNvml((GB10,)))))["box/cuda:0"]
    assert device.unified_memory is True
    assert (device.memory_total_bytes, device.memory_free_bytes) == MEMORY
    assert device.memory_bandwidth_bytes_per_s == 50e9
    assert device.compute_flops_per_s == 36_900_864_000_000
    assert device.temperature_c == 0


def test_amd_cards() -> None:
    """A card of AMD's is there without CuPy, where its kernel driver tells its memory."""
    cards = (
        AmdCard(0, "", "Radeon", uuid="1f", memory_total_bytes=1000, memory_used_bytes=300),
        AmdCard(1, "", "Radeon too", memory_total_bytes=500),
        AmdCard(2, "", "Silent"),
    )
    local = find_local("box", sight({"rocm": toaster(uuid="1f")}, amd=cards), NOON)
    assert list(local.devices) == ["box/rocm:0", "box/rocm:1"]
    first, second = local.devices.values()
    assert (first.name, first.memory_free_bytes, local.driven) == (TOASTER.name, 600, {first.id: 0})
    assert (second.memory_total_bytes, second.memory_free_bytes) == (500, None)
    assert "default" in json.dumps(second.evidence)


def test_a_card_and_its_driver_are_one_device(find: Find) -> None:
    """A card appears once: as its driver sees and measures it, with what only NVML knows."""
    found = find(read_cards(FakeNvml((H200,))), cuda=toaster(name="H200, driven"))
    (card,) = by_id(found).values()
    assert (card.name, card.compute_flops_per_s) == ("H200, driven", 2e12)
    assert (card.temperature_limit_c, card.temperature_c) == (89, 0)


def test_a_driver_that_numbers_cards_differently(find: Find) -> None:
    """A card is known by its uuid: it keeps NVML's number, and is measured under its driver's."""
    asked: list[tuple[str, int]] = []

    def count(backend: str, index: int) -> Quick:
        asked.append((backend, index))
        return toasting()

    other = {**H200, "UUID": "GPU-other"}
    cards = read_cards(FakeNvml((H200, other)))
    found = by_id(find(cards, measure=count, cuda=toaster(uuid="GPU-other")))
    assert asked == [("cuda", 0)]
    assert found["box/cuda:0"].name == "NVIDIA H200"
    assert found["box/cuda:1"].name == "Toaster 9000"
    assert found["box/cuda:1"].compute_flops_per_s == 2e12


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


def test_what_was_learnt_of_heat_stays(find: Find, tmp_path: Path) -> None:
    """As long as it is the same device: of another one nothing was learnt."""
    find()
    learnt = HOT.model_copy(update={"fitted_at": NOON, "source": "100 readings in hot.csv"})
    edit(tmp_path, thermal=learnt.model_dump(mode="json"), temperature_limit_c=85.0)
    (device,) = find(measure=fail_to_measure).registry.devices
    assert (device.thermal, device.temperature_limit_c) == (learnt, 85.0)
    edit(tmp_path, name="Kettle 1")
    (device,) = find().registry.devices
    assert device.thermal is None


def test_one_rank_for_all_rates_stays(find: Find, tmp_path: Path) -> None:
    """Evidence that is one rank for the whole device counts for each rate."""
    find(measure=None)
    edit(tmp_path, compute_flops_per_s=7e12, memory_bandwidth_bytes_per_s=3e9, evidence="engine")
    (device,) = find(measure=fail_to_measure).registry.devices
    assert (device.compute_flops_per_s, device.memory_bandwidth_bytes_per_s) == (7e12, 3e9)
    assert lowest_rank(device) == "engine"


def test_other_benchmarks_stay(find: Find, tmp_path: Path) -> None:
    """What is measured again in a hurry takes away nothing else that was measured."""
    find()
    document = json.loads((tmp_path / "registry.json").read_text())
    benchmarks = document["devices"][0]["benchmarks"]
    benchmarks["host_to_device"] = benchmarks["read"] | {"name": "host_to_device"}
    edit(tmp_path, benchmarks=benchmarks, evidence={})
    (device,) = find().registry.devices
    assert set(device.benchmarks) == {"read", "matmul_float32", "host_to_device"}


def test_what_was_noisy_is_measured_again(find: Find) -> None:
    """A look that other programs spoilt counts only until there is a better one."""

    def spoilt(*_: object) -> Quick:
        read, product = toasting().benchmarks
        return Quick(benchmarks=(read.model_copy(update={"noisy": True, "median": 1e9}), product))

    assert by_id(find(measure=spoilt))["box/cpu:0"].memory_bandwidth_bytes_per_s == 1e9
    assert by_id(find())["box/cpu:0"].memory_bandwidth_bytes_per_s == 12.35e9
    assert by_id(find(measure=fail_to_measure))


@pytest.mark.parametrize("evidence", [None, "a datasheet", {"compute_flops_per_s": 3}, {}])
def test_figures_by_hand(find: Find, tmp_path: Path, evidence: object) -> None:
    """A figure written by hand counts as a vendor's: above a default, below a measurement."""
    find(measure=unable)
    edit(tmp_path, compute_flops_per_s=7e12, evidence=evidence)
    (device,) = find(measure=unable).registry.devices
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
    find(survey)
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


def test_a_registry_of_the_first_release(find: Find, tmp_path: Path) -> None:
    """What an earlier hgx wrote is read as it is, and what it had measured still counts."""
    (tmp_path / "registry.json").write_bytes((REGISTRIES / "first.json").read_bytes())
    survey = read_cards(FakeNvml((H200,)))
    found = by_id(find(survey, cpu=toaster(name="A processor"), measure=fail_to_measure))
    assert found["box/cpu:0"].memory_bandwidth_bytes_per_s == 16_780_000_000.0
    assert found["box/cuda:0"].uuid == H200["UUID"]


def far(name: str, said: str) -> FoundPeer:
    """Return a peer that calls itself so."""
    facts = {"fingerprint": "f" * 64, "paired": False, "seen_at": "noon", "address": "192.0.2.1:1"}
    node = Node.model_validate({"id": name, **facts})
    return FoundPeer(node, (), "f" * 64, paired=False, address="192.0.2.1:1", said_id=said)


def test_peers_that_are_away_or_renamed(tmp_path: Path) -> None:
    """A peer that has another name here than there, or that is not there any more, is a note."""
    (tmp_path / "node.json").write_text('{"id": "box"}')

    def seek(*peers: FoundPeer) -> tuple[str, ...]:
        found = FoundPeers(peers, (), {})
        look = sight({"cpu": toaster()})
        return discover(Home(tmp_path), sight=look, measure=None, seek=lambda: found).notes

    (renamed,) = seek(far("box-2", "box"))
    assert renamed.startswith("box-2 (192.0.2.1:1) calls itself box, a name that is taken")
    (away,) = seek()
    assert away.startswith("box-2 was not found this time, last seen noon: `hgx discover --diag")
    assert seek(far("tower", "tower")) == ()


def test_other_nodes_are_waited_for_last(tmp_path: Path) -> None:
    """Who shows the progress is told when all of this machine is there and peers are not yet."""
    told = threading.Event()

    class Telling(Watcher):
        def seeking(self) -> None:
            told.set()

    def seek() -> FoundPeers:
        assert told.wait(30)
        return FoundPeers((), (), {})

    look = sight({"cpu": toaster()})
    discover(Home(tmp_path), sight=look, measure=None, seek=seek, watcher=Telling())
    assert told.is_set()


def test_another_file(find: Find, tmp_path: Path) -> None:
    """A registry elsewhere is written there; the node's id is still the home's."""
    find()
    other = tmp_path / "lab.json"
    found = discover(Home(tmp_path), other, sight=sight({}), measure=None)
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
