"""Which benchmark counts, and what it makes of a device."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from hgx.core.benchmark import Benchmark
from hgx.core.evidence import BANDWIDTH, COMPUTE, evidence_entries, rank_of
from hgx.core.registry import Device
from hgx.flows.results import with_benchmarks

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
DEVICE = Device(
    id="a/cuda:0",
    node="a",
    backend="cuda",
    memory_total_bytes=1,
    memory_bandwidth_bytes_per_s=1.0,
    compute_flops_per_s=2.0,
)


def result(
    name: str = "read", median: float = 123456.0, *, noisy: bool = False, days: float = 0
) -> Benchmark:
    """Make a result so many days after noon."""
    return Benchmark(
        name=name,
        unit="bytes_per_s",
        median=median,
        quartiles=(median - 1, median + 1),
        samples=(median - 2, median, median + 2),
        method="adding up",
        measured_at=NOON + timedelta(days=days),
        noisy=noisy,
    )


def test_a_result_gives_a_rate_with_evidence() -> None:
    """The median becomes the device's rate, rounded, with where it comes from and its extremes."""
    device = with_benchmarks(DEVICE, [result(), result("matmul_float16")])
    assert device.memory_bandwidth_bytes_per_s == 123500.0
    assert device.compute_flops_per_s == 2.0
    assert evidence_entries(device) == {
        BANDWIDTH: {
            "rank": "driver",
            "source": "adding up",
            "measured_at": "2026-01-02T12:00:00+00:00",
            "low": 123500.0,
            "high": 123500.0,
        }
    }
    assert set(device.benchmarks) == {"read", "matmul_float16"}


def test_what_is_not_measured_again_stays() -> None:
    """Results of other names stay, and a second result replaces the first of its name."""
    device = with_benchmarks(DEVICE, [result(), result("matmul_float32", 9.0)])
    device = with_benchmarks(device, [result("read", 7.0)])
    assert (device.memory_bandwidth_bytes_per_s, device.compute_flops_per_s) == (7.0, 9.0)


@pytest.mark.parametrize(
    ("old_noisy", "new_noisy", "days", "replaced"),
    [
        (False, False, 1, True),
        (False, True, 1, False),
        (False, True, 31, True),
        (True, True, 1, True),
        (True, False, 1, True),
    ],
)
def test_a_noisy_result_does_not_replace_a_fresh_clean_one(
    *, old_noisy: bool, new_noisy: bool, days: int, replaced: bool
) -> None:
    """A noisy result counts only where there is nothing better, and says that it is noisy."""
    device = with_benchmarks(DEVICE, [result(noisy=old_noisy)])
    device = with_benchmarks(device, [result("read", 7.0, noisy=new_noisy, days=days)])
    assert (device.memory_bandwidth_bytes_per_s == 7.0) == replaced
    entry = evidence_entries(device)[BANDWIDTH]
    assert isinstance(entry, dict)
    assert entry.get("noisy", False) == (new_noisy if replaced else old_noisy)


def test_the_engine_knows_better() -> None:
    """A rate that was measured with the engine stays; the result itself is kept beside it."""
    known = DEVICE.model_copy(update={"evidence": {COMPUTE: {"rank": "engine"}}})
    device = with_benchmarks(known, [result("matmul_float32", 9.0)])
    assert device.compute_flops_per_s == 2.0
    assert rank_of(device, COMPUTE) == "engine"
    assert "matmul_float32" in device.benchmarks
