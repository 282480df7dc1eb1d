"""Which differences between two results are real. Pure.

Samples of one run are not independent: a machine is slow for seconds at a time, and runs differ
by where memory lies. So samples are not compared, but the medians of rounds that were spread over
a run, each with memory and kernel made anew. A difference is real when all rounds of one result
are beyond all of the other by more than chance gives, and by more than rounds of one result differ
among themselves. What has no rounds is cut into blocks, which see less of a machine's moods and
have to differ by more.
"""

from __future__ import annotations

import math
import re
import sys
from itertools import accumulate, pairwise
from statistics import median
from typing import TYPE_CHECKING, Literal, NamedTuple

from hgx.bench.stats import FEWEST_SAMPLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hgx.core.benchmark import Benchmark

Difference = Literal[
    "faster", "slower", "no real difference", "noisy", "too few samples", "measured differently"
]

SMALLEST_REAL = 0.05
"""Memory that lies elsewhere and clocks that settle elsewhere make whole runs differ by some per
cent, which the rounds of one run cannot all show: no smaller difference is believed."""

SMALLEST_WITHOUT_ROUNDS = 0.15
"""The same where a result is of one stretch of time."""

SMALLEST_WHERE_NOISY = 0.5
"""The same where a result is noisy: copies were seen to differ by 45 % from one run to the next,
and a factor of two is still one."""

FEWEST_ROUNDS = 3
_BLOCKS = 4

_ASIDE = re.compile(r" \([^)]*\)|, quick look$| with \d+ threads|^\d+ (?=TCP)")
_SIZE = re.compile(r"\b[\d.]+ (B|[KMGT]iB)\b")
_ANY_SIZE = frozenset({"read", "disk_read"})  # all that matters is that it is not from a cache


class Comparison(NamedTuple):
    """How much faster the second of two results is.

    Attributes:
        ratio: Of their rates; null where they cannot be compared.
        low: The least ratio of a round of the second to one of the first; null as above.
        high: The greatest.
        difference: The verdict on the second result.
        noisy: Whether one of the results is.
    """

    ratio: float | None
    low: float | None
    high: float | None
    difference: Difference
    noisy: bool = False


def compare(first: Sequence[float], second: Sequence[float], least: float) -> Comparison:
    """Compare the rates of rounds.

    Args:
        first: One per round, in any order, at least one; zero counts as hardly anything.
        second: Others of the same thing.
        least: The share by which all have to differ.

    Returns:
        The same for any order, and the exact opposite when the sets change places.
    """
    one, other = _logarithms(first), _logarithms(second)
    # In logarithms, because there the opposite of a number is exact.
    ratios = sorted(b - a for a in one for b in other)
    middle, low, high = median(ratios), ratios[0], ratios[-1]
    # Rounds that scatter say by how much a result may be off as a whole.
    needed = max(math.log1p(least), one[-1] - one[0], other[-1] - other[0])
    difference: Difference = "no real difference"
    if low > needed:
        difference = "faster"
    elif high < -needed:
        difference = "slower"
    return Comparison(_ratio(middle), _ratio(low), _ratio(high), difference)


def compare_benchmarks(first: Benchmark, second: Benchmark) -> Comparison:
    """Compare two benchmarks; noisy ones differ only where that is beyond any noise.

    Args:
        first: Rates or durations.
        second: In the same unit.
    """
    noisy = first.noisy or second.noisy
    if what_was_done(first) != what_was_done(second):
        return Comparison(None, None, None, "measured differently", noisy)
    if min(len(first.samples), len(second.samples)) < FEWEST_SAMPLES:
        return Comparison(None, None, None, "too few samples", noisy)
    a, b = rounds_of(first), rounds_of(second)
    least = SMALLEST_REAL if a and b else SMALLEST_WITHOUT_ROUNDS
    a, b = a or _blocks(first.samples), b or _blocks(second.samples)
    if first.unit == "s":
        a, b = b, a  # what takes half as long is twice as fast
    found = compare(a, b, SMALLEST_WHERE_NOISY if noisy else least)
    if noisy and found.difference == "no real difference":
        found = found._replace(difference="noisy")
    return found._replace(noisy=noisy)


def what_was_done(benchmark: Benchmark) -> str:
    """Return what a method did, without the library, and without what makes no difference.

    Products of other sizes, and copies, are other things; reads only have to be large.
    """
    done = _ASIDE.sub("", benchmark.method)
    return _SIZE.sub("", done) if benchmark.name in _ANY_SIZE else done


def rounds_of(benchmark: Benchmark) -> tuple[float, ...]:
    """Return the median of each round; nothing where there were none, or too few."""
    counts = benchmark.rounds or ()
    if len(counts) < FEWEST_ROUNDS or sum(counts) != len(benchmark.samples):
        return ()
    ends = (0, *accumulate(counts))
    return tuple(median(benchmark.samples[a:b]) for a, b in pairwise(ends))


def _blocks(samples: Sequence[float]) -> tuple[float, ...]:
    """Cut samples into parts that follow each other, as far apart as one run has them."""
    ends = [len(samples) * i // _BLOCKS for i in range(_BLOCKS + 1)]
    return tuple(median(samples[a:b]) for a, b in pairwise(ends))


def _logarithms(rates: Sequence[float]) -> list[float]:
    return [math.log(max(rate, sys.float_info.min)) for rate in sorted(rates)]


def _ratio(logarithm: float) -> float:
    return math.exp(min(logarithm, math.log(sys.float_info.max)))
