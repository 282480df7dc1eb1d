"""What samples add up to, and when they are not believed."""

from __future__ import annotations

from itertools import pairwise
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.bench.stats import between_rounds, drift, judge, quantile, summarise
from hgx.core.benchmark import Conditions

RATES = st.lists(st.floats(1e-3, 1e15), min_size=1, max_size=60)
QUIET = (100.0, 101.0, 99.0, 100.5, 99.5) * 3


@given(RATES, st.floats(1e-3, 1e3))
def test_scaling(samples: list[float], scale: float) -> None:
    """All samples twice as large make median, quartiles and tail twice as large."""
    one, other = summarise(samples), summarise([scale * sample for sample in samples])
    for a, b in zip(
        (one.median, *one.quartiles, one.p95),
        (other.median, *other.quartiles, other.p95),
        strict=True,
    ):
        assert b == pytest.approx(scale * a)
    assert other.spread == pytest.approx(one.spread, rel=1e-6, abs=1e-9)


@given(RATES)
def test_order(samples: list[float]) -> None:
    """First quartile, median, third quartile and tail are in order, within the samples."""
    found = summarise(samples)
    low, high = found.quartiles
    middle = (min(samples), low, found.median, high, found.p95, max(samples))
    assert all(a <= b or a == pytest.approx(b) for a, b in pairwise(middle))
    assert quantile(samples, 0.5) == pytest.approx(median(samples))


@given(RATES, st.randoms())
def test_relabelling(samples: list[float], random: object) -> None:
    """A summary does not depend on the order of samples."""
    shuffled = list(samples)
    random.shuffle(shuffled)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType] - hypothesis does not say what it is
    assert summarise(shuffled) == summarise(samples)


def test_spread_of_nothing() -> None:
    """Where the median is zero, no spread is small."""
    assert summarise((0.0, 0.0, 1.0)).spread == float("inf")
    assert judge((0.0,) * 5).reasons == ("half of the samples span over 1000% of the median",)


@pytest.mark.parametrize(
    ("samples", "change"),
    [
        ((1.0, 2.0) * 4, 0.0),
        ((1.0,) * 9, 0.0),
        ((1.0,) * 3 + (5.0,) * 3 + (2.0,) * 3, 1.0),
        ((4.0,) * 5 + (2.0,) * 5, -0.5),
        ((0.0,) * 5 + (2.0,) * 5, float("inf")),
    ],
)
def test_drift(samples: tuple[float, ...], change: float) -> None:
    """Drift is by how much the last third differs from the first; few samples show none."""
    assert drift(samples) == change


@pytest.mark.parametrize(
    ("samples", "conditions", "reasons", "refused"),
    [
        (QUIET, Conditions(), (), False),
        (QUIET, Conditions(load=0.2, throttles=()), (), False),
        (QUIET[:4], Conditions(), ("only 4 of at least 5 samples",), False),
        (
            (90.0, 95.0, 100.0, 106.0, 110.0),
            None,
            ("half of the samples span 11% of the median",),
            False,
        ),
        (
            (40.0, 70.0, 100.0, 130.0, 140.0),
            None,
            ("half of the samples span 60% of the median",),
            True,
        ),
        (
            (89.0,) * 3 + (100.0,) * 6,
            None,
            ("half of the samples span 11% of the median", "it rose by 12% during the run"),
            False,
        ),
        ((100.0,) * 9 + (85.0,) * 3, None, ("it fell by 15% during the run",), False),
        (QUIET, Conditions(load=0.21), ("others used over 20% of the processors",), False),
        (QUIET, Conditions(load=0.4), ("others used over 20% of the processors",), False),
        (QUIET, Conditions(load=0.41), ("others used over 40% of the processors",), True),
        (
            QUIET,
            Conditions(throttles=("heat", "power cap")),
            ("clocks were held down: heat",),
            False,
        ),
        (QUIET, Conditions(throttles=("power cap",)), (), False),
    ],
)
def test_verdicts(
    samples: tuple[float, ...],
    conditions: Conditions | None,
    reasons: tuple[str, ...],
    refused: bool,
) -> None:
    """Few samples, spread, drift, load and throttles make noise; wild spread refuses."""
    verdict = judge(samples, conditions)
    assert verdict.reasons == reasons
    assert verdict.refused == refused
    assert verdict.noisy == bool(reasons)


def test_a_change_that_is_looked_for() -> None:
    """A rate over time may change as it will; load and too few samples still count."""
    falling = tuple(float(100 - 9 * i) for i in range(11))
    assert judge(falling, Conditions(throttles=("heat",)), steady=False).reasons == ()
    verdict = judge(falling[:4], Conditions(load=0.5), steady=False)
    assert len(verdict.reasons) == 2
    assert verdict.refused


def test_processors_feel_others_sooner() -> None:
    """Where processors are measured, less load of others is too much."""
    assert judge(QUIET, Conditions(load=0.1), noisy_load=0.1).reasons == ()
    assert judge(QUIET, Conditions(load=0.11), noisy_load=0.1).reasons == (
        "others used over 10% of the processors",
    )


def test_rounds_that_differ() -> None:
    """Rounds that are each calm and far apart make noise."""
    samples = (100.0,) * 5 + (111.0,) * 3 + (100.0,) * 5
    assert judge(samples).reasons == ()
    assert judge(samples, rounds=(5, 3, 5)).reasons == ("rounds differ by 11%",)
    assert between_rounds((0.0, 0.0), (1, 1)) == 0
