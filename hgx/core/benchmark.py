"""What a benchmark found: all samples, what they add up to, and under which conditions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from hgx.core.base import Document, Identifier, NonNegative, Rate
from hgx.core.reading import PowerSource, Share

Unit = Literal["bytes_per_s", "flops_per_s", "s"]


class Conditions(Document):
    """What else was the case while a benchmark ran; null where unknown.

    Attributes:
        load: Share of all processors that others used, 0 to 1.
        temperature_c: The hottest the device was.
        throttles: Why its clocks were held down at some time, in words.
        clock_hz: Median clock of its arithmetic units.
        power_source: Mains or battery.
    """

    load: Share | None = None
    temperature_c: float | None = None
    throttles: tuple[str, ...] | None = None
    clock_hz: NonNegative | None = None
    power_source: PowerSource | None = None


class Benchmark(Document):
    """One thing measured once, many times over.

    Attributes:
        name: What was measured: ``read``, ``matmul_float32``, ``host_to_device``, ``rtt``, ...;
            with ``_burst``, ``_sustained`` or ``_over_time`` behind it where it is of a long run.
        unit: Of all values.
        median: Of the samples; their 95th percentile is ``p95`` where that is asked for.
        quartiles: First and third; half of the samples are between them.
        samples: All of them in the order they were taken, warm-up left out.
        times_s: Seconds from the start of the run to each sample; for sustained runs.
        rounds: How many of the samples each round gave, in order; null where there were none.
        method: How, in words.
        noisy: Whether the spread or the conditions say that it is not to be relied on.
        warnings: Why, in words.
        measured_at: When it began.
        conditions: What else was the case.
    """

    name: Identifier
    unit: Unit
    median: Rate
    quartiles: tuple[NonNegative, NonNegative]
    p95: NonNegative | None = None
    samples: Annotated[tuple[NonNegative, ...], Field(min_length=1)]
    times_s: tuple[NonNegative, ...] | None = None
    rounds: tuple[Annotated[int, Field(ge=1)], ...] | None = None
    method: str
    noisy: bool = False
    warnings: tuple[str, ...] = ()
    measured_at: AwareDatetime
    conditions: Conditions = Conditions()
