"""Which differences are real."""

from __future__ import annotations

import math
import random
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.bench.compare import Comparison, Difference, compare, compare_benchmarks
from tests.bench.doubles import benchmark

SETS = st.lists(st.floats(1e-3, 1e12), min_size=5, max_size=30)
OPPOSITE: dict[Difference, Difference] = {"faster": "slower", "slower": "faster"}


def known(found: Comparison) -> tuple[float, float, float]:
    """Return low, ratio and high of a comparison that has them."""
    assert found.ratio is not None
    assert found.low is not None
    assert found.high is not None
    return found.low, found.ratio, found.high


@given(st.lists(st.floats(0, 1e15), min_size=5, max_size=30))
def test_never_different_from_itself(samples: list[float]) -> None:
    """A set compared with itself is never different, and its interval holds 1."""
    found = compare(samples, samples)
    low, ratio, high = known(found)
    assert low <= 1 <= high
    assert ratio == pytest.approx(1)
    assert found.difference == "no real difference"


@given(SETS, SETS)
def test_antisymmetry(first: list[float], second: list[float]) -> None:
    """What makes one set faster makes the other slower, by the inverse ratio."""
    there, back = compare(first, second), compare(second, first)
    assert back.difference == OPPOSITE.get(there.difference, there.difference)
    low, ratio, high = known(there)
    assert known(back) == pytest.approx((1 / high, 1 / ratio, 1 / low))
    assert low <= ratio <= high


@given(SETS, SETS, st.integers())
def test_relabelling(first: list[float], second: list[float], seed: int) -> None:
    """The order of samples does not matter."""
    mixed = random.Random(seed)  # noqa: S311 - no secret
    others = [mixed.sample(samples, len(samples)) for samples in (first, second)]
    assert compare(*others) == compare(first, second)


@given(SETS, SETS, st.floats(1e-3, 1e3))
def test_scaling(first: list[float], second: list[float], scale: float) -> None:
    """A second set that is twice as fast makes the ratio and its interval twice as large."""
    scaled = compare(first, [scale * sample for sample in second])
    expected = [scale * value for value in known(compare(first, second))]
    assert known(scaled) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("count", "factor", "difference"),
    [
        (4, 10.0, "too few samples"),
        (5, 2.0, "faster"),
        (5, 0.5, "slower"),
        (5, 1.01, "no real difference"),
        (15, 1.1, "faster"),
        (300, 1.1, "faster"),
        (300, 1.02, "no real difference"),
        (1000, 0.9, "slower"),
    ],
)
def test_differences(count: int, factor: float, difference: Difference) -> None:
    """A difference is real when even the nearer end of its interval is beyond chance."""
    first = [100 + 0.01 * (i % 7) for i in range(count)]
    found = compare(first, [factor * sample for sample in first])
    assert found.difference == difference
    if count >= 5:
        assert known(found)[1] == pytest.approx(factor)


def test_overlap() -> None:
    """Sets that overlap widely have no real difference though their medians differ."""
    found = compare((80.0, 90.0, 100.0, 110.0, 120.0), (85.0, 99.0, 115.0, 118.0, 125.0))
    assert found.difference == "no real difference"


def test_the_interval_is_exact() -> None:
    """Of all orders of six and seven samples, those beyond the interval are rarer than 1 %."""
    first, second = 6, 7
    missed = total = 0
    for places in combinations(range(first + second), first):
        one = [math.exp(place) for place in places]
        rest = [math.exp(place) for place in range(first + second) if place not in places]
        low, _, high = known(compare(one, rest))
        total += 1
        missed += not low <= 1 <= high
    assert 0 < missed / total <= 0.01


def test_normal_and_exact_agree() -> None:
    """Where the normal distribution takes over, the interval hardly changes."""
    mixed = random.Random(1)  # noqa: S311 - no secret
    samples = [[mixed.lognormvariate(0, 0.1) for _ in range(26)] for _ in range(2)]
    exact = known(compare(samples[0][:25], samples[1][:25]))
    normal = known(compare(samples[0], samples[1]))
    assert normal == pytest.approx(exact, rel=0.05)


def test_durations_and_noise() -> None:
    """Half the time is twice the speed; where one result is noisy there is no verdict."""
    slow, quick = benchmark("rtt", (2.0,) * 5), benchmark("rtt", (1.0,) * 5)
    found = compare_benchmarks(slow, quick)
    assert (found.ratio, found.difference) == (pytest.approx(2), "faster")
    noisy = benchmark("rtt", (1.0,) * 5, noisy=True)
    assert compare_benchmarks(slow, noisy).difference == "noisy"
    few = benchmark("rtt", (1.0,), noisy=True)
    assert compare_benchmarks(slow, few).difference == "too few samples"
    assert compare_benchmarks(benchmark(), benchmark("read", (2e9,) * 5)).difference == "faster"
