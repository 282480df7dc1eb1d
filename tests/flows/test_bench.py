"""What is measured, what becomes of the results, and what stops what."""

from __future__ import annotations

import json
import os
import tempfile
from typing import TYPE_CHECKING, Any

import pytest

from hgx.bench.disk import DiskEffort
from hgx.bench.events import Failed, Progress, Refused, Result, Started, Written
from hgx.bench.outcome import Outcome
from hgx.errors import RegistryError, StorageError, Unavailable
from hgx.flows import bench as flow
from hgx.flows.bench import (
    Ways,
    Wish,
    bench,
    disk_events,
    live_ways,
    wanted_devices,
)
from hgx.flows.bench_keep import check_writable
from hgx.store.home import Home
from hgx.store.registry_file import load_registry, parse_registry
from tests.bench.doubles import Clock, benchmark
from tests.sensors.doubles import always

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from hgx.bench.events import Event
    from hgx.bench.parent import EffortName, Target
    from hgx.core.registry import Node

RATES = {"memory_total_bytes": 1000, "memory_bandwidth_bytes_per_s": 1, "compute_flops_per_s": 1}
DOCUMENT: dict[str, Any] = {
    "nodes": [
        {"id": "box"},
        {
            "id": "laptop",
            "paired": False,
            "address": "192.0.2.1:9474",
            "fingerprint": "a" * 64,
        },
        {"id": "by-hand", "address": "192.0.2.2:9474"},
    ],
    "devices": [
        {"id": "box/cpu:0", "node": "box", "backend": "cpu"} | RATES,
        {"id": "box/cuda:1", "node": "box", "backend": "cuda", "uuid": "GPU-1"} | RATES,
        {"id": "box/vulkan:0", "node": "box", "backend": "vulkan"} | RATES,
        {"id": "box/odd", "node": "box", "backend": "cpu"} | RATES,
        {"id": "laptop/cpu:0", "node": "laptop", "backend": "cpu"} | RATES,
    ],
}


class Stage:
    """Ways to measure that say what a test wants, and remember what they were asked."""

    def __init__(self, **events: list[Event]) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.events = events
        self.absent: dict[str, Unavailable | None] = {"cpu": None, "cuda": None}

    def ways(self) -> Ways:
        """Return them."""
        return Ways(lambda: self.absent, self.device, self.disk, self.link)

    def device(self, target: Target, effort: EffortName, sustained_s: float) -> Iterator[Event]:
        """Measure a device."""
        self.asked.append((target, effort, sustained_s))
        yield Started(subject=target.subject, names=("read",))
        yield from self.events.get(
            "device", [Result(subject=target.subject, benchmark=benchmark())]
        )

    def disk(self, own: str, place: Path, effort: EffortName) -> Iterator[Event]:
        """Measure the disk."""
        self.asked.append((own, place, effort))
        yield from self.events.get("disk", [Result(subject=own, benchmark=benchmark("disk_read"))])

    def link(self, own: str, peer: Node, effort: EffortName) -> Iterator[Event]:
        """Measure a link: both ways, with the round trip at the first."""
        self.asked.append((own, peer.id, effort))
        there, back = f"{own}>{peer.id}", f"{peer.id}>{own}"
        yield Result(subject=there, benchmark=benchmark("rtt", (0.5,) * 5))
        yield Result(subject=there, benchmark=benchmark("bandwidth_1_stream", (1e8,) * 5))
        yield Result(subject=back, benchmark=benchmark("bandwidth_1_stream", (2e8,) * 5))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Make a home of a node called box that knows a laptop."""
    (tmp_path / "node.json").write_text('{"id": "box"}')
    (tmp_path / "registry.json").write_text(json.dumps(DOCUMENT))
    return Home(tmp_path)


def run(home: Home, stage: Stage, wish: Wish = Wish()) -> list[Event]:  # noqa: B008 - immutable
    """Measure and return what was told."""
    told: list[Event] = []
    bench(home, wish, told.append, ways=stage.ways())
    return told


def test_everything(home: Home) -> None:
    """All devices, the disk and links to peers are measured, told and written."""
    stage = Stage()
    told = run(home, stage)
    targets = [what[0] for what in stage.asked]
    assert [getattr(target, "subject", target) for target in targets] == [
        *("box/cpu:0", "box/cuda:1", "box/odd", "box", "box"),
    ]
    assert (targets[1].backend, targets[1].number, targets[1].uuid) == ("cuda", 1, "GPU-1")
    assert targets[2].number == 0
    assert stage.asked[3:] == [("box", home.path, "normal"), ("box", "laptop", "normal")]
    registry = load_registry(home.registry)
    assert [device.memory_bandwidth_bytes_per_s for device in registry.devices[:2]] == [1e9, 1e9]
    assert registry.nodes[0].disk_read_bytes_per_s == 1e9
    assert [
        (link.source, link.target, link.rtt_s, link.bandwidth_bytes_per_s)
        for link in registry.links
    ] == [
        ("box", "laptop", 0.5, 1e8),
        ("laptop", "box", 0.5, 2e8),
    ]
    failed = [event for event in told if isinstance(event, Failed)]
    assert [(event.subject, event.reason) for event in failed] == [
        ("box/vulkan:0", "hgx has no driver for vulkan, and cannot measure it")
    ]
    assert told[-1] == Written(path=str(home.registry))


@pytest.mark.parametrize("name", ["cuda:1", "box/cuda:1"])
def test_one_device(home: Home, name: str) -> None:
    """With a device named, by its id or its short form, that alone is measured, once."""
    stage = Stage()
    run(home, stage, Wish((name, "cuda:1"), "quick", 5.0))
    ((target, *how),) = stage.asked
    assert target.subject == "box/cuda:1"
    assert how == ["quick", 5.0]


def test_without_disk_and_links(home: Home) -> None:
    """Disk and links can be left out."""
    stage = Stage()
    run(home, stage, Wish(disk=False, links=False))
    assert len(stage.asked) == 3


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "toast:0",
            "there is no device 'toast:0' on this machine: choose from box/cpu:0, box/cuda:1,",
        ),
        ("laptop/cpu:0", "laptop/cpu:0 is a device of laptop: run `hgx bench` there"),
    ],
)
def test_wrong_devices(home: Home, name: str, words: str) -> None:
    """A device that is not there, or is another machine's, is an error that says what to do."""
    with pytest.raises(RegistryError) as caught:
        run(home, Stage(), Wish((name,)))
    assert caught.value.message.startswith(words)


def test_no_devices_here(home: Home) -> None:
    """A registry that knows nothing of this machine is an error with a remedy."""
    registry = parse_registry(b'{"nodes": [], "devices": []}', "x")
    with pytest.raises(RegistryError, match="has no device of this machine, box: run `hgx disc"):
        wanted_devices(registry, "box", (), home.registry)


def test_refused_and_failed(home: Home) -> None:
    """What is refused is told and not written; a device with a refused result did not fail."""
    refused = Refused(subject="box/cpu:0", benchmark=benchmark(noisy=True))
    before = home.registry.read_text()
    told = run(home, Stage(device=[refused]), Wish(("cpu:0",)))
    assert told[1:] == [refused]
    assert home.registry.read_text() == before


def test_every_device_fails(home: Home) -> None:
    """Where no device could be measured that is an error, and the rest was still done."""
    stage = Stage()
    stage.absent = {"cpu": Unavailable("no cpu", "buy one")}
    told: list[Event] = []
    with pytest.raises(Unavailable, match="no device could be measured: box/cpu:0: no cpu: buy"):
        bench(home, Wish(), told.append, ways=stage.ways())
    assert len(stage.asked) == 2
    assert isinstance(told[-1], Written)


def test_a_device_without_any_result(home: Home) -> None:
    """A device of which nothing came is one that failed."""
    with pytest.raises(Unavailable, match="nothing came of it"):
        run(home, Stage(device=[]), Wish(("cpu:0",)))


def test_an_earlier_result_stays(home: Home) -> None:
    """When a noisy result does not replace a clean one, that is told."""
    run(home, Stage(), Wish(("cpu:0",)))
    noisy = Result(subject="box/cpu:0", benchmark=benchmark("read", (5e9,) * 5, noisy=True))
    new = Result(subject="box/cpu:0", benchmark=benchmark("host_to_device", noisy=True))
    told = run(home, Stage(device=[noisy, new]), Wish(("cpu:0",)))
    assert told[-1] == Written(path=str(home.registry), kept=("box/cpu:0 read",))
    device = load_registry(home.registry).devices[0]
    assert device.memory_bandwidth_bytes_per_s == 1e9
    assert device.benchmarks["host_to_device"] == new.benchmark


def test_another_registry(home: Home, tmp_path: Path) -> None:
    """A registry elsewhere is read and written; the home's stays."""
    other, before = tmp_path / "lab.json", home.registry.read_text()
    other.write_text(before)
    bench(home, Wish(("cpu:0",)), always(None), registry_path=other, ways=Stage().ways())
    assert load_registry(other).devices[0].memory_bandwidth_bytes_per_s == 1e9
    assert home.registry.read_text() == before


def test_an_interrupt_keeps_what_was_told(home: Home) -> None:
    """What was told before an interrupt is in the registry."""

    def interrupted(event: Event) -> None:
        if isinstance(event, Result) and event.benchmark.name == "device_to_host":
            raise KeyboardInterrupt

    names = ("read", "matmul_float32", "host_to_device", "device_to_host")
    events: list[Event] = [Result(subject="box/cpu:0", benchmark=benchmark(one)) for one in names]
    with pytest.raises(KeyboardInterrupt):
        bench(home, Wish(("cpu:0",)), interrupted, ways=Stage(device=events).ways())
    device = load_registry(home.registry).devices[0]
    assert tuple(device.benchmarks) == names[:3]
    assert device.memory_bandwidth_bytes_per_s == 1e9


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("locked_before", [True, False])
def test_a_home_that_cannot_be_written(home: Home, *, locked_before: bool) -> None:
    """That the results cannot be kept is told before anything is measured."""
    if locked_before:
        check_writable(home.registry)
    home.path.chmod(0o500)
    stage = Stage()
    try:
        with pytest.raises(StorageError, match="permission denied"):
            run(home, stage)
    finally:
        home.path.chmod(0o700)
    assert stage.asked == []


def test_a_full_disk_is_told_first(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk without room for the results is told before anything is measured."""

    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    stage = Stage()
    with pytest.raises(StorageError, match=r"could not write .*no space left on device: free"):
        run(home, stage)
    assert stage.asked == []


def test_trying_out_changes_nothing(home: Home) -> None:
    """To find out whether the registry can be written does not write it."""
    before = home.registry.read_bytes()
    check_writable(home.registry)
    assert home.registry.read_bytes() == before


def test_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk's rate is told under the node's id; scattering is refused, failing is told."""
    tools, effort = Clock().tools(), DiskEffort(1, 1, 1)

    def read(*_: object) -> Generator[float, None, Outcome]:
        yield 0.5
        return Outcome(benchmark("disk_read"), refused)

    monkeypatch.setattr(flow.disk, "disk_read", read)
    refused = False
    told = list(disk_events("box", tmp_path, effort, tools))
    assert [event.event for event in told] == ["started", "progress", "progress", "result"]
    assert told[2] == Progress(subject="box", name="disk_read", done=0.5)
    refused = True
    assert list(disk_events("box", tmp_path, effort, tools))[-1].event == "refused"

    def full(*_: object) -> Generator[float, None, Outcome]:
        yield 0.5
        msg = "the disk is full: free some space"
        raise StorageError(msg)

    monkeypatch.setattr(flow.disk, "disk_read", full)
    failed = list(disk_events("box", tmp_path, effort, tools))[-1]
    assert failed == Failed(
        subject="box", name="disk_read", reason="the disk is full: free some space"
    )


def test_live_ways(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For real, devices are measured by children, the disk and links here, all on one power."""
    asked: list[tuple[Any, ...]] = []

    def note(*what: Any) -> tuple[()]:
        asked.append(what)
        return ()

    for name in ("device_events", "disk_events", "link_events"):
        monkeypatch.setattr(flow, name, note)
    ways = live_ways()
    assert "cpu" in ways.absent()
    stage = Stage()
    bench(home, Wish(("cpu:0",)), always(None), ways=stage.ways())
    target = stage.asked[0][0]
    peer = load_registry(home.registry).nodes[1]
    list(ways.device(target, "quick", 1.0))
    list(ways.disk("box", tmp_path, "normal"))
    list(ways.link("box", peer, "quick"))
    device, disk, link = asked
    assert device[1:] == ("quick", 1.0)
    assert disk[2] == flow.DISK["normal"]
    assert link[2] == flow.LINK["quick"]
