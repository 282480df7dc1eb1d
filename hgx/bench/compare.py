"""Which differences between two sets of samples are real. Pure.

The ratio is Hodges' and Lehmann's: the median of all ratios of one sample to the other. Its
interval holds all ratios but so many at either end, as many as the distribution of Mann's and
Whitney's statistic allows, and is right whatever the samples are distributed like. Both are the
same for any order of the samples, and exactly opposite when the sets change places.
"""

from __future__ import annotations

import math
import sys
from functools import cache
from itertools import accumulate
from statistics import NormalDist, median
from typing import TYPE_CHECKING, Literal, NamedTuple

from hgx.bench.stats import FEWEST_SAMPLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hgx.core.benchmark import Benchmark

Difference = Literal["faster", "slower", "no real difference", "noisy", "too few samples"]

CONFIDENCE = 0.99
"""Not 95 %: a comparison has a dozen rows, and one in two would have a difference by chance."""

SMALLEST_REAL = 0.03
"""Memory that lies elsewhere and clocks that settle elsewhere make processes differ by some per
cent, which the samples of one process cannot show: no smaller difference is believed."""

_EXACT_UP_TO = 625  # pairs; beyond, the normal distribution is as good
_LARGEST = 400  # samples of a set that count, evenly picked: all pairs are looked at


class Comparison(NamedTuple):
    """How much faster the second of two sets is.

    Attributes:
        ratio: Of their rates; null where there are too few samples.
        low: The interval's lower end; null as above.
        high: And its upper end.
        difference: The verdict on the second set.
    """

    ratio: float | None
    low: float | None
    high: float | None
    difference: Difference


def compare(first: Sequence[float], second: Sequence[float]) -> Comparison:
    """Compare two sets of rates.

    Args:
        first: Samples, more is better; zero counts as hardly anything.
        second: Others of the same thing.
    """
    one, other = _logarithms(first), _logarithms(second)
    left_out = _left_out(len(one), len(other))
    if left_out is None:
        return Comparison(None, None, None, "too few samples")
    # In logarithms, because there the opposite of a number is exact.
    ratios = sorted(b - a for a in one for b in other)
    middle, low, high = median(ratios), ratios[left_out], ratios[-1 - left_out]
    least = math.log1p(SMALLEST_REAL)
    difference: Difference = "no real difference"
    if low > least:
        difference = "faster"
    elif high < -least:
        difference = "slower"
    return Comparison(_ratio(middle), _ratio(low), _ratio(high), difference)


def compare_benchmarks(first: Benchmark, second: Benchmark) -> Comparison:
    """Compare two benchmarks of the same thing; a noisy one can show no difference.

    Args:
        first: Rates or durations.
        second: In the same unit.
    """
    a, b = first.samples, second.samples
    # What takes half as long is twice as fast.
    found = compare(b, a) if first.unit == "s" else compare(a, b)
    if found.ratio is not None and (first.noisy or second.noisy):
        return found._replace(difference="noisy")
    return found


def _logarithms(samples: Sequence[float]) -> list[float]:
    ordered = sorted(samples)
    if len(ordered) > _LARGEST:
        step = (len(ordered) - 1) / (_LARGEST - 1)
        ordered = [ordered[round(i * step)] for i in range(_LARGEST)]
    return [math.log(max(sample, sys.float_info.min)) for sample in ordered]


def _ratio(logarithm: float) -> float:
    return math.exp(min(logarithm, math.log(sys.float_info.max)))


def _left_out(first: int, second: int) -> int | None:
    """Return how many ratios to leave out at either end; null where there are too few."""
    if min(first, second) < FEWEST_SAMPLES:
        return None
    tail = (1 - CONFIDENCE) / 2
    if (pairs := first * second) > _EXACT_UP_TO:
        deviation = math.sqrt(pairs * (first + second + 1) / 12)
        return math.floor(pairs / 2 + NormalDist().inv_cdf(tail) * deviation) - 1
    counts = _arrangements(first, second)
    # As many as are, together, still less likely than the tail; five and five samples allow none.
    likely = accumulate(counts)
    return sum(1 for below in likely if below <= tail * sum(counts)) - 1


@cache
def _arrangements(first: int, second: int) -> tuple[int, ...]:
    """Count the orders of two sets' samples, by how many pairs have the second set's ahead.

    The generating function is the Gaussian binomial coefficient; this is its recurrence by the
    larger of all samples, done one set size at a time.
    """
    if not first or not second:
        return (1,)
    # Those that end with a sample of the first set, which is then behind all of the second.
    behind = (0,) * second + _arrangements(first - 1, second)
    other = _arrangements(first, second - 1)
    return tuple(
        (behind[i] if i < len(behind) else 0) + (other[i] if i < len(other) else 0)
        for i in range(first * second + 1)
    )
