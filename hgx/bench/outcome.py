"""Samples put together with what they are worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hgx.bench.stats import NOISY_LOAD, judge, summarise
from hgx.core.benchmark import Benchmark, Conditions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from hgx.core.benchmark import Unit


class Outcome(NamedTuple):
    """A benchmark, and whether it is refused: shown with its reasons, never used."""

    benchmark: Benchmark
    refused: bool


def outcome(
    name: str,
    unit: Unit,
    samples: Sequence[float],
    *,
    method: str,
    measured_at: datetime,
    conditions: Conditions | None = None,
    times_s: Sequence[float] | None = None,
    tail: bool = False,
    steady: bool = True,
    warnings: Sequence[str] = (),
    rounds: Sequence[int] = (),
    noisy_load: float = NOISY_LOAD,
) -> Outcome:
    """Judge samples.

    Args:
        name: What was measured, as in ``Benchmark``.
        unit: Of the samples.
        samples: At least one, above zero, in the order they were taken.
        method: How, in words.
        measured_at: When it began, with its zone.
        conditions: What else was the case.
        times_s: When each sample was taken, where that says something.
        tail: Whether to give the 95th percentile.
        steady: Whether the rate should have been the same all the time; see ``judge``.
        warnings: Other reasons not to rely on it, in words.
        rounds: How many of the samples each round gave, where there were rounds.
        noisy_load: The load of others from which on it is noisy.
    """
    conditions = conditions or Conditions()
    summary = summarise(samples)
    verdict = judge(samples, conditions, steady=steady, rounds=rounds, noisy_load=noisy_load)
    benchmark = Benchmark(
        name=name,
        unit=unit,
        median=summary.median,
        quartiles=summary.quartiles,
        p95=summary.p95 if tail else None,
        samples=tuple(samples),
        times_s=None if times_s is None else tuple(times_s),
        rounds=tuple(rounds) or None,
        method=method,
        noisy=verdict.noisy or bool(warnings),
        warnings=(*verdict.reasons, *warnings),
        measured_at=measured_at,
        conditions=conditions,
    )
    return Outcome(benchmark, verdict.refused)
