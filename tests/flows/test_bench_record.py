"""Results into a registry: pure, whatever was there before."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hgx.core.registry import Device, Link, Node, Registry
from hgx.flows.bench_record import benchmarks_of, with_device, with_disk, with_link
from tests.bench.doubles import NOON, benchmark

ENDS = ("box", "laptop")


def device(**fields: object) -> Device:
    """Make a device with some fields of its own."""
    known = {
        "id": "box/cpu:0",
        "node": "box",
        "backend": "cpu",
        "memory_total_bytes": 1000,
        "memory_bandwidth_bytes_per_s": 1.0,
        "compute_flops_per_s": 2.0,
    }
    return Device.model_validate(known | fields)


def registry(*links: Link, **fields: object) -> Registry:
    """Make a registry of two nodes and one device."""
    nodes = (Node(id="box"), Node(id="laptop"))
    return Registry(nodes=nodes, devices=(device(**fields),), links=links)


def test_rates_of_a_device() -> None:
    """Reads and products become the device's rates, with evidence; a rate of the engine stays."""
    results = [
        benchmark("read", (12.34567e9,) * 5, noisy=True),
        benchmark("matmul_float32", (3e12,) * 5),
    ]
    (found,) = with_device(registry(), "box/cpu:0", results).devices
    assert found.memory_bandwidth_bytes_per_s == 12.35e9
    assert found.compute_flops_per_s == 3e12
    assert found.evidence == {
        "memory_bandwidth_bytes_per_s": {
            "rank": "driver",
            "source": "by hand",
            "measured_at": "2026-01-02T12:00:00+00:00",
            "low": 12.35e9,
            "high": 12.35e9,
            "noisy": True,
        },
        "compute_flops_per_s": {
            "rank": "driver",
            "source": "by hand",
            "measured_at": "2026-01-02T12:00:00+00:00",
            "low": 3e12,
            "high": 3e12,
        },
    }
    engine = registry(evidence={"memory_bandwidth_bytes_per_s": {"rank": "engine"}})
    (found,) = with_device(engine, "box/cpu:0", results).devices
    assert found.memory_bandwidth_bytes_per_s == 1.0
    assert found.benchmarks["read"] == results[0]


def test_a_device_that_went_meanwhile() -> None:
    """Results of a device that is no longer there change nothing."""
    assert with_device(registry(), "box/gone:0", [benchmark()]) == registry()


@pytest.mark.parametrize(
    ("days", "noisy", "rate"),
    [(1, False, 2e9), (1, True, 1e9), (29, True, 1e9), (31, True, 2e9)],
)
def test_noise_does_not_replace_what_is_clean(days: int, noisy: bool, rate: float) -> None:
    """A noisy result takes the place of a clean one only when that is a month old."""
    before = with_disk(registry(), "box", benchmark("disk_read"))
    later = NOON + timedelta(days=days)
    new = benchmark("disk_read", (2e9,) * 5, noisy=noisy, measured_at=later)
    node, other = with_disk(before, "box", new).nodes
    assert node.disk_read_bytes_per_s == rate
    assert node.benchmarks["disk_read"].median == rate
    assert other == Node(id="laptop")


def test_a_new_link() -> None:
    """A link that was not there needs both a round trip and a bandwidth."""
    trip, slow, quick = (
        benchmark("rtt", (0.00123456,) * 5),
        benchmark("bandwidth_1_stream", (1e8,) * 5),
        benchmark("bandwidth_4_streams", (3e8,) * 5),
    )
    assert with_link(registry(), ENDS, [trip]).links == ()
    assert with_link(registry(), ENDS, [quick]).links == ()
    (link,) = with_link(registry(), ENDS, [trip, slow, quick]).links
    assert (link.source, link.target) == ENDS
    assert (link.rtt_s, link.rtt_p95_s) == (0.001235, 0.001235)
    assert link.bandwidth_bytes_per_s == 3e8
    assert set(link.benchmarks) == {"rtt", "bandwidth_1_stream", "bandwidth_4_streams"}


def test_a_known_link() -> None:
    """A link keeps what was not measured anew and what hgx does not know; others stay."""
    known = Link.model_validate(
        {"from": "box", "to": "laptop", "rtt_s": 0.5, "bandwidth_bytes_per_s": 1.0, "cable": "red"}
    )
    other = known.model_copy(update={"source": "laptop", "target": "box"})
    found = with_link(registry(known, other), ENDS, [benchmark("bandwidth_1_stream")])
    link, same = found.links
    assert (link.rtt_s, link.rtt_p95_s, link.bandwidth_bytes_per_s) == (0.5, None, 1e9)
    assert link.model_extra == {"cable": "red"}
    assert same == other
    trip = benchmark("rtt", (0.25,) * 5).model_copy(update={"p95": None})
    (link, _) = with_link(found, ENDS, [trip]).links
    assert (link.rtt_s, link.rtt_p95_s, link.bandwidth_bytes_per_s) == (0.25, None, 1e9)


def test_all_benchmarks() -> None:
    """Benchmarks of nodes, devices and links are found by subject and name."""
    full = with_device(
        with_disk(registry(), "box", benchmark("disk_read")), "box/cpu:0", [benchmark()]
    )
    full = with_link(full, ENDS, [benchmark("rtt"), benchmark("bandwidth_1_stream")])
    assert list(benchmarks_of(full)) == [
        ("box", "disk_read"),
        ("box/cpu:0", "read"),
        ("box>laptop", "rtt"),
        ("box>laptop", "bandwidth_1_stream"),
    ]
