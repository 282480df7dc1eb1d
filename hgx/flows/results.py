"""Benchmarks into the registry: which result counts, and what it makes of a device's rates."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from hgx.core.evidence import BANDWIDTH, COMPUTE, evidence_entries, rank_of
from hgx.core.registry import Device

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import JsonValue

    from hgx.core.benchmark import Benchmark

FIELDS: Mapping[str, str] = {"read": BANDWIDTH, "matmul_float32": COMPUTE}
"""Which rate of a device a benchmark gives."""

CLEAN_FOR = timedelta(days=30)
"""A clean result stays that long when a noisy one comes: hardware ages slowly, and drivers change
about as often."""


def with_benchmarks(device: Device, results: Iterable[Benchmark]) -> Device:
    """Return the device with new results, and the rates that follow from them.

    A noisy result does not take the place of a clean one of the last 30 days; a rate measured with
    the engine stays.

    Args:
        device: As it is known.
        results: What was measured, refused results left out.
    """
    kept = accepted(device.benchmarks, results)
    rates: dict[str, float] = {}
    evidence = evidence_entries(device)
    for name, result in kept.items():
        field = FIELDS.get(name)
        if field and rank_of(device, field) != "engine":
            rates[field] = rounded(result.median)
            evidence[field] = _proof(result)
    fields = device.model_dump(exclude_unset=True) | rates
    benchmarks = {**device.benchmarks, **kept}
    return Device.model_validate(fields | {"benchmarks": benchmarks, "evidence": evidence})


def accepted(known: Mapping[str, Benchmark], results: Iterable[Benchmark]) -> dict[str, Benchmark]:
    """Return those results, by name, that take the place of what is known."""
    return {result.name: result for result in results if not _worse(result, known.get(result.name))}


def rounded(rate: float) -> float:
    """Cut a rate to four digits: the rest is noise, and people read the file."""
    return float(f"{rate:.4g}")


def _worse(new: Benchmark, old: Benchmark | None) -> bool:
    if old is None or old.noisy or not new.noisy:
        return False
    return new.measured_at - old.measured_at < CLEAN_FOR


def _proof(result: Benchmark) -> dict[str, JsonValue]:
    """Write down where a rate comes from; low and high samples far apart tell of a busy machine."""
    proof: dict[str, JsonValue] = {
        "rank": "driver",
        "source": result.method,
        "measured_at": result.measured_at.isoformat(timespec="seconds"),
        "low": rounded(min(result.samples)),
        "high": rounded(max(result.samples)),
    }
    return proof | {"noisy": True} if result.noisy else proof
