"""Which differences are real."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.bench.compare import (
    SMALLEST_REAL,
    Comparison,
    Difference,
    compare,
    compare_benchmarks,
    rounds_of,
    what_was_done,
)
from tests.bench.doubles import benchmark

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgx.core.benchmark import Benchmark

SETS = st.lists(st.floats(1e-3, 1e12), min_size=1, max_size=8)
OPPOSITE: dict[Difference, Difference] = {"faster": "slower", "slower": "faster"}
REPEATS = 400


def known(found: Comparison) -> tuple[float, float, float]:
    """Return low, ratio and high of a comparison that has them."""
    assert found.ratio is not None
    assert found.low is not None
    assert found.high is not None
    return found.low, found.ratio, found.high


def in_rounds(samples: list[float], rounds: int = 4, name: str = "read") -> Benchmark:
    """Make a benchmark of rounds of the same length."""
    counts = (len(samples) // rounds,) * rounds
    return benchmark(name, tuple(samples)).model_copy(update={"rounds": counts})


@given(st.lists(st.floats(0, 1e15), min_size=1, max_size=8))
def test_never_different_from_itself(rates: list[float]) -> None:
    """A result compared with itself is never different, and its range holds 1."""
    found = compare(rates, rates, SMALLEST_REAL)
    low, ratio, high = known(found)
    assert low <= 1 <= high
    assert ratio == pytest.approx(1)
    assert found.difference == "no real difference"


@given(SETS, SETS)
def test_antisymmetry(first: list[float], second: list[float]) -> None:
    """What makes one result faster makes the other slower, by the inverse ratio."""
    there, back = compare(first, second, SMALLEST_REAL), compare(second, first, SMALLEST_REAL)
    assert back.difference == OPPOSITE.get(there.difference, there.difference)
    low, ratio, high = known(there)
    assert known(back) == pytest.approx((1 / high, 1 / ratio, 1 / low))
    assert low <= ratio <= high


@given(SETS, SETS, st.randoms())
def test_relabelling(first: list[float], second: list[float], mixed: random.Random) -> None:
    """The order of rounds does not matter."""
    one, other = (mixed.sample(rates, len(rates)) for rates in (first, second))
    assert compare(one, other, SMALLEST_REAL) == compare(first, second, SMALLEST_REAL)


@given(SETS, SETS, st.floats(1e-3, 1e3))
def test_scaling(first: list[float], second: list[float], scale: float) -> None:
    """A second result that is twice as fast makes the ratio and its range twice as large."""
    scaled = compare(first, [scale * rate for rate in second], SMALLEST_REAL)
    expected = [scale * value for value in known(compare(first, second, SMALLEST_REAL))]
    assert known(scaled) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("rounds", "factor", "difference"),
    [
        (4, 1.1, "faster"),
        (4, 0.9, "slower"),
        (3, 1.1, "faster"),
        (4, 1.04, "no real difference"),
        (2, 1.1, "no real difference"),
        (2, 1.2, "faster"),
        (0, 1.1, "no real difference"),
        (0, 0.8, "slower"),
    ],
)
def test_differences(rounds: int, factor: float, difference: Difference) -> None:
    """A difference is real when even the nearest rounds are beyond chance; blocks need more."""
    first = [100 + 0.01 * (i % 7) for i in range(24)]
    second = [factor * sample for sample in first]
    both = (
        in_rounds(samples, rounds) if rounds else benchmark("read", tuple(samples))
        for samples in (first, second)
    )
    found = compare_benchmarks(*both)
    assert found.difference == difference
    assert known(found)[1] == pytest.approx(factor, rel=1e-3)


def test_rounds_that_scatter() -> None:
    """Where rounds of one result differ by as much as the results, nothing is real."""
    found = compare((80.0, 90.0, 100.0, 110.0), (121.0, 130.0, 140.0, 150.0), SMALLEST_REAL)
    assert found.difference == "no real difference"


def correlated(mixed: random.Random, count: int, rho: float, sd: float) -> list[float]:
    """Make samples of which each is near the one before: an autoregressive process."""
    state, samples = mixed.gauss(0, 1), list[float]()
    for _ in range(count):
        samples.append(1 + sd * state)
        state = rho * state + math.sqrt(1 - rho * rho) * mixed.gauss(0, 1)
    return samples


def shifted(mixed: random.Random, between: float, run: float = 0.0) -> list[float]:
    """Make rounds that scatter by 1 % within, and more between, and as a whole."""
    whole = mixed.gauss(1, run)
    middles = [whole + mixed.gauss(0, between) for _ in range(4)]
    return [middle + mixed.gauss(0, 0.01) for middle in middles for _ in range(13)]


def false_verdicts(make: Callable[[random.Random], Benchmark]) -> float:
    """Return how often two results of the same machine are called different."""
    mixed = random.Random(7)  # noqa: S311 - no secret
    found = [compare_benchmarks(make(mixed), make(mixed)).difference for _ in range(REPEATS)]
    return sum(one != "no real difference" for one in found) / REPEATS


@pytest.mark.parametrize("rho", [0.9, 0.95])
@pytest.mark.parametrize("sd", [0.01, 0.03, 0.05])
def test_samples_that_follow_each_other(rho: float, sd: float) -> None:
    """Samples that are near the one before seldom make a difference, with rounds or without."""
    assert false_verdicts(lambda mixed: in_rounds(correlated(mixed, 52, rho, sd))) <= 0.025
    assert (
        false_verdicts(lambda mixed: benchmark("read", tuple(correlated(mixed, 15, rho, sd))))
        <= 0.025
    )


@pytest.mark.parametrize("between", [0.01, 0.02, 0.03, 0.05])
def test_rounds_that_differ(between: float) -> None:
    """Rounds that differ more than samples within them do not make a difference."""
    assert false_verdicts(lambda mixed: in_rounds(shifted(mixed, between))) <= 0.005


def test_runs_that_differ() -> None:
    """Runs that differ by 2 % as a whole, whatever their rounds say, seldom make a difference."""
    assert false_verdicts(lambda mixed: in_rounds(shifted(mixed, 0.01, 0.02))) <= 0.03


def test_real_differences_are_seen() -> None:
    """Of results that differ by a tenth, nearly all are told apart."""
    mixed = random.Random(7)  # noqa: S311 - no secret
    found = [
        compare_benchmarks(
            in_rounds(shifted(mixed, 0.01)), in_rounds([1.1 * x for x in shifted(mixed, 0.01)])
        ).difference
        for _ in range(REPEATS)
    ]
    assert found.count("faster") / REPEATS > 0.95


def test_durations() -> None:
    """Half the time is twice the speed, and too few samples are no result."""
    slow, quick = benchmark("rtt", (2.0,) * 5), benchmark("rtt", (1.0,) * 5)
    found = compare_benchmarks(slow, quick)
    assert (found.ratio, found.difference) == (pytest.approx(2), "faster")
    few = benchmark("rtt", (1.0,), noisy=True)
    assert compare_benchmarks(slow, few) == Comparison(None, None, None, "too few samples", True)


@pytest.mark.parametrize(
    ("factor", "difference"), [(2.0, "faster"), (0.5, "slower"), (1.45, "noisy"), (1.0, "noisy")]
)
def test_noise(factor: float, difference: Difference) -> None:
    """A noisy result has a verdict where that is beyond any noise, and is said to be noisy."""
    found = compare_benchmarks(benchmark(), benchmark("read", (1e9 * factor,) * 5, noisy=True))
    assert (found.difference, found.noisy) == (difference, True)


@pytest.mark.parametrize(
    ("name", "first", "second", "same"),
    [
        ("matmul_float32", "2048 x 2048 float32 product (numpy)", None, True),
        ("matmul_float32", "2048 x 2048 product (A 1.0)", "2048 x 2048 product (A 2.0)", True),
        ("matmul_float32", "2048 x 2048 product (A)", "4096 x 4096 product (A)", False),
        ("matmul_float32", "512 x 512 product (A)", "512 x 512 product (A), quick look", True),
        ("read", "sum of 64 MiB with 2 threads (numpy)", "sum of 1.5 GiB with 8 threads (x)", True),
        ("read", "sum of 64 MiB (x)", "sum of each row of 64 MiB (x)", False),
        ("host_to_device", "copy of 64 MiB to", "copy of 10 MiB to", False),
        ("rtt", "51 TCP handshakes", "201 TCP handshakes", True),
    ],
)
def test_what_was_done(name: str, first: str, second: str | None, *, same: bool) -> None:
    """A product of another size is another thing; another library or count of samples is not."""
    one, other = (
        benchmark(name).model_copy(update={"method": method}) for method in (first, second or first)
    )
    assert (what_was_done(one) == what_was_done(other)) == same
    different = compare_benchmarks(one, other).difference == "measured differently"
    assert different != same


@pytest.mark.parametrize("counts", [(2, 2), (2, 2, 2, 2), (1, 1, 1, 1)])
def test_rounds_that_cannot_be(counts: tuple[int, ...]) -> None:
    """Too few rounds, or such that do not add up, count as none."""
    assert rounds_of(benchmark().model_copy(update={"rounds": counts})) == ()
