"""The top of concave functions is found, and nothing is promised that is not there."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import highspy
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hgx.planner.search.bundle import SPARE, climb

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MANY = 3000
"""Points that are more than enough."""


class Planes(NamedTuple):
    """The least of some planes: ``min(heights + slopes @ point)``."""

    heights: Floats
    slopes: Floats

    def ask(self, point: Floats) -> tuple[float, Floats]:
        """Value and slope at a point."""
        values = self.heights + self.slopes @ point
        low = int(values.argmin())
        return float(values[low]), self.slopes[low]

    def top(self, floor: float) -> float:
        """The largest value there is, by linear programming; infinite where there is none."""
        highs = highspy.Highs()
        highs.setOptionValue("output_flag", False)
        floors = -highspy.kHighsInf if math.isinf(floor) else floor
        point = [highs.addVariable(floors) for _ in self.slopes[0]]
        value = highs.addVariable(-highspy.kHighsInf)
        for height, slope in zip(self.heights.tolist(), self.slopes.tolist(), strict=True):
            above = highs.qsum(a * x for a, x in zip(slope, point, strict=True))
            highs.addConstr(value - above <= height)
        highs.maximize(value)
        if highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return math.inf
        return float(highs.getInfo().objective_function_value)


class Asked:
    """A function that keeps the points it was asked at."""

    def __init__(self, planes: Planes) -> None:
        self.planes = planes
        self.points: list[Floats] = []

    def __call__(self, point: Floats) -> tuple[float, Floats]:
        """Give value and slope, and keep the point."""
        self.points.append(point.copy())
        return self.planes.ask(point)


@st.composite
def planes(draw: st.DrawFn) -> Planes:
    """Some planes in a few dimensions, some of them equal, or level in some direction."""
    dimensions, count = draw(st.integers(1, 6)), draw(st.integers(1, 15))
    numbers = st.integers(-12, 12).map(lambda quarters: quarters / 4)
    slopes = draw(
        st.lists(
            st.lists(numbers, min_size=dimensions, max_size=dimensions),
            min_size=count,
            max_size=count,
        )
    )
    heights = draw(st.lists(numbers, min_size=count, max_size=count))
    # However steep a direction, there is a plane that ends it.
    size = draw(st.sampled_from((4.0, 20.0)))
    ends = np.concatenate((np.eye(dimensions), -np.eye(dimensions)))
    return Planes(
        np.concatenate((heights, np.full(2 * dimensions, size))),
        np.concatenate((np.array(slopes), ends)),
    )


@settings(max_examples=150, deadline=None)
@given(
    function=planes(),
    floor=st.sampled_from((0.0, -1.0, -math.inf)),
    stride=st.sampled_from((1.0, 30.0)),
)
def test_it_finds_the_top(function: Planes, floor: float, stride: float) -> None:
    """Wherever it begins and whatever its first step is, it comes as near as it is asked to."""
    start = np.full(function.slopes.shape[1], 1.5)
    top = function.top(floor)
    assert math.isfinite(top)
    found = climb(function.ask, start, floor=floor, stride=stride, accuracy=1e-9, most=MANY)
    assert (found >= floor).all()
    assert top - 1e-3 <= function.ask(found)[0] <= top + 1e-6


@settings(max_examples=100, deadline=None)
@given(
    function=planes(),
    floor=st.sampled_from((0.0, -math.inf)),
    most=st.integers(1, 12),
    patience=st.integers(0, 12),
)
def test_it_stops_and_gives_a_point_that_is_no_worse(
    function: Planes, floor: float, most: int, patience: int
) -> None:
    """After so many points, or when time is up; every one is where it may be."""
    asked = Asked(function)
    looks = iter(range(10**9))
    start = np.full(function.slopes.shape[1], 0.5)
    found = climb(
        asked,
        start,
        floor=floor,
        stride=1.0,
        accuracy=1e-9,
        most=most,
        expired=lambda: next(looks) >= patience,
    )
    assert 1 <= len(asked.points) <= min(most, patience + 1)
    assert all((point >= floor).all() for point in asked.points)
    assert any((found == point).all() for point in asked.points)
    assert function.ask(found)[0] >= function.ask(start)[0]


@pytest.mark.parametrize("accuracy", [1.0, 0.1, 1e-2])
def test_it_asks_no_more_than_its_accuracy_needs(accuracy: float) -> None:
    """A rough answer needs fewer points than a fine one, and is as near as was wanted."""
    draw = np.random.default_rng(3)
    slopes = draw.normal(size=(300, 8))
    function = Planes(2.0 + draw.random(300), slopes - slopes.mean(axis=0))
    points: list[int] = []
    for wanted in (accuracy, accuracy / 1000):
        asked = Asked(function)
        found = climb(asked, np.ones(8), floor=0.0, stride=1.0, accuracy=wanted, most=MANY)
        assert function.top(0.0) - 10 * wanted <= function.ask(found)[0]
        points.append(len(asked.points))
    assert points[0] < points[1] < MANY


def test_planes_that_do_not_count_are_forgotten() -> None:
    """Of a bowl upside down every point has a plane of its own: more than are kept at a time."""
    curve, top, looks = 10.0 ** np.linspace(-1, 1, 12), np.linspace(0.2, 1.0, 12), list[None]()

    def bowl(point: Floats) -> tuple[float, Floats]:
        looks.append(None)
        return float(-curve @ (point - top) ** 2), -2 * curve * (point - top)

    found = climb(bowl, np.zeros(12), floor=0.0, stride=0.1, accuracy=1e-8, most=MANY)
    assert len(looks) > 2 * 12 + SPARE
    assert bowl(found)[0] > -1e-6


def test_a_level_function_has_its_top_everywhere() -> None:
    """Where the slope is nothing, the first point is the answer."""
    asked = Asked(Planes(np.array([2.0]), np.zeros((1, 3))))
    found = climb(asked, np.ones(3), floor=0.0, stride=1.0, accuracy=1e-6, most=MANY)
    assert found.tolist() == [1.0, 1.0, 1.0]
    assert len(asked.points) == 1


def test_a_function_that_is_infinite_is_asked_once() -> None:
    """There is nothing to climb from."""
    looks = list[None]()

    def ask(point: Floats) -> tuple[float, Floats]:
        looks.append(None)
        return math.inf, np.zeros(len(point))

    found = climb(ask, np.ones(2), floor=0.0, stride=1.0, accuracy=1e-6, most=MANY)
    assert (found.tolist(), len(looks)) == ([1.0, 1.0], 1)


@settings(max_examples=50, deadline=None)
@given(function=planes(), scale=st.sampled_from((1e-6, 1e6)))
def test_it_does_not_depend_on_units(function: Planes, scale: float) -> None:
    """Seconds or microseconds: with stride and accuracy to match, the same points are asked."""
    assume(function.slopes.any())
    values: list[float] = []
    for unit in (1.0, scale):
        scaled = Planes(unit * function.heights, function.slopes)
        start = np.full(function.slopes.shape[1], unit)
        found = climb(scaled.ask, start, floor=0.0, stride=unit, accuracy=1e-6 * unit, most=MANY)
        values.append(scaled.ask(found)[0] / unit)
    assert values[0] == pytest.approx(values[1], rel=1e-3, abs=1e-4)


def test_short_first_steps_find_the_same_top() -> None:
    """Where short steps promise nothing any more, longer ones are tried before that is the end."""
    centre = np.arange(1.0, 6.0)

    def ask(point: Floats) -> tuple[float, Floats]:
        return -float(np.abs(point - centre).sum()), np.sign(centre - point)

    start = np.zeros(5)
    for first in (None, 1e-3, 1e-6):
        top = climb(ask, start, floor=-math.inf, stride=1.0, first=first, accuracy=1e-4, most=MANY)
        assert top == pytest.approx(centre, abs=1e-2)
