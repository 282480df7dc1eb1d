"""The bound by priced paths is below every placement, whatever the prices."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hgx.planner.arcs import Arcs
from hgx.planner.layer import CLOSED
from hgx.planner.paths import Prices, path_bound
from hgx.planner.placement import weighted
from hgx.planner.problem import Arrangement, Weights
from tests.planner.by_hand import allowed, least_sum, never, slowest, summed, tables_of
from tests.planner.made import LONG_PROMPT, MB, Case, case, cases, device, options, workload
from tests.planner.oracles import highs

if TYPE_CHECKING:
    from hgx.core.plan import Objective
    from hgx.planner.paths import PathBound
    from hgx.planner.placement import PricedStage
    from hgx.planner.problem import Problem
    from hgx.planner.tables import Tables

SUMS: tuple[Objective, ...] = ("latency", "balanced")
"""Objectives of which stages add up, in part at least."""

ARRANGEMENTS = (Arrangement.HOST_FIRST, Arrangement.PIPELINE)


@st.composite
def priced(draw: st.DrawFn, tables: Tables, scale: float) -> Prices:
    """Any prices, some of them absurd."""
    amounts = st.sampled_from((0.0, 0.01, 0.3, 1.0, 20.0))
    device = [scale * draw(amounts) for _ in tables.classes]
    pool = [scale * draw(amounts) / max(1.0, size) for size in tables.pool_capacity]
    return Prices(np.array(device), np.array(pool))


@settings(max_examples=100, deadline=None)
@given(
    question=cases(coordinators=("a",), objectives=SUMS, prompts=(100, LONG_PROMPT)),
    which=st.sampled_from(ARRANGEMENTS),
    steps=st.sampled_from((0, 1, 40)),
    data=st.data(),
)
def test_no_placement_is_below_the_bound(
    question: Case, which: Arrangement, steps: int, data: st.DataObject
) -> None:
    """Whatever prices the ascent begins with, whatever it aims at, and however far it goes."""
    problem = question.problem(arrangement=which)
    tables = tables_of(problem)
    assume(tables.classes)
    best = least_sum(problem)
    scale = 1.0 if math.isinf(best) else best
    prices = data.draw(priced(tables, scale))
    target = scale * data.draw(st.sampled_from((0.1, 1.0, 3.0, math.inf)))
    bound = path_bound(tables, Arcs(tables), prices, target, steps)
    assert bound.root() <= best * (1 + 1e-9)


@settings(max_examples=60, deadline=None)
@given(
    question=cases(coordinators=("a",), objectives=("balanced",), prompts=(100, LONG_PROMPT)),
    which=st.sampled_from(ARRANGEMENTS),
    share=st.floats(0, 1),
)
def test_no_placement_within_a_cap_is_below_the_capped_bound(
    question: Case, which: Arrangement, share: float
) -> None:
    """With a cap on the slowest stage the bound holds for what keeps to it."""
    problem = question.problem(arrangement=which)
    peaks = sorted(slowest(problem, stages) for _, stages in allowed(problem))
    assume(peaks)
    cap = peaks[int(share * (len(peaks) - 1))] * (1 + 1e-9)
    tables, best = tables_of(problem, cap), least_sum(problem, cap)
    bound = path_bound(tables, Arcs(tables), free(tables), best, 40)
    assert bound.root() <= best * (1 + 1e-9)


def free(tables: Tables) -> Prices:
    """No prices at all."""
    return Prices(np.zeros(len(tables.classes)), np.zeros(len(tables.pool_capacity)))


def rests(
    problem: Problem, tables: Tables, bound: PathBound, stages: list[PricedStage]
) -> list[tuple[float, float]]:
    """Before each stage of a placement: what the bound says is left, and what really is."""
    of_device = {name: at for at, one in enumerate(tables.classes) for name in one.devices}
    used, mode = np.zeros((1, len(tables.classes))), np.full(1, CLOSED, dtype=np.int16)
    found: list[tuple[float, float]] = []
    for at, stage in enumerate(stages):
        rest = float(bound.rest(used, mode)[0, stage.first_block])
        found.append((rest, sum(weighted(one, problem.total) for one in stages[at:])))
        used[0, of_device[stage.slot.device]] += 1
        following = stages[at + 1].slot if at + 1 < len(stages) else None
        stays = following and stage.slot.remote and stage.slot.node == following.node
        mode[0] = tables.classes[of_device[stage.slot.device]].group if stays else CLOSED
    return found


@settings(max_examples=60, deadline=None)
@given(
    question=cases(coordinators=("a",), objectives=SUMS, prompts=(100, LONG_PROMPT)),
    which=st.sampled_from(ARRANGEMENTS),
    data=st.data(),
)
def test_no_rest_of_a_placement_is_below_the_bound_of_its_state(
    question: Case, which: Arrangement, data: st.DataObject
) -> None:
    """Wherever a placement is cut in two, what is left to pay is not overestimated."""
    problem = question.problem(arrangement=which)
    tables = tables_of(problem)
    assume(tables.classes)
    best = least_sum(problem)
    assume(math.isfinite(best))
    prices = data.draw(priced(tables, best))
    bound = path_bound(tables, Arcs(tables), prices, best, data.draw(st.sampled_from((0, 25))))
    for _, stages in allowed(problem):
        for claimed, real in rests(problem, tables, bound, stages):
            assert 0.0 <= claimed <= real * (1 + 1e-9)
        assert bound.root() <= summed(problem, stages) * (1 + 1e-9)


def mixed() -> Case:
    """Twenty blocks for six devices, of which the quick ones are scarce and two share a node."""
    names = ("a/cuda:0", "b/cuda:0", "c/cuda:0", "c/cuda:1", "d/cuda:0", "e/cuda:0")
    devices = [
        device(name, (220 + 60 * at) * MB, 1e12 / (1 + at % 4)) for at, name in enumerate(names)
    ]
    return case(*devices, model=workload([(30 + 7 * (at % 5)) * MB for at in range(20)]))


def test_steps_come_near_the_linear_relaxation() -> None:
    """The best prices are worth the linear program over all stages, and no prices more."""
    problem = mixed().problem()
    tables = tables_of(problem)
    relaxed = highs.solve(problem, 20.0, relaxed=True).bound
    whole = highs.solve(problem, 20.0).bound
    start = path_bound(tables, Arcs(tables), free(tables), whole, 0).root()
    end = path_bound(tables, Arcs(tables), free(tables), whole, 300).root()
    assert start < 0.9 * relaxed
    assert 0.99 * relaxed <= end <= relaxed * (1 + 1e-7)


def test_without_a_target_or_time_the_prices_stay() -> None:
    """Nothing known to aim at, or no time: the bound is that of the prices given."""
    tables = tables_of(mixed().problem())
    arcs, prices = Arcs(tables), Prices(np.full(len(tables.classes), 0.01), np.zeros(0))
    kept = path_bound(tables, arcs, prices, math.inf, 40)
    stopped = path_bound(tables, arcs, prices, 10.0, 40, expired=lambda: True)
    moved = path_bound(tables, arcs, prices, 10.0, 40, expired=never)
    assert kept.root() == stopped.root() < moved.root()
    assert (kept.prices.device == prices.device).all()


def test_where_nothing_fits_the_bound_is_infinite() -> None:
    """Devices that hold a block each and never the head show at once that there is no way."""
    question = case(
        device("b/cuda:0", 100 * MB), model=workload([50 * MB] * 2, head=400 * MB), asked=options()
    )
    problem = question.problem()._replace(peak=Weights())
    tables = tables_of(problem)
    assert path_bound(tables, Arcs(tables), free(tables), 1.0, 40).root() == math.inf


def test_nothing_is_left_to_pay_at_the_end() -> None:
    """Behind the last block the bound is nothing."""
    tables = tables_of(mixed().problem())
    bound = path_bound(tables, Arcs(tables), free(tables), 1.0, 5)
    used = np.zeros((2, len(tables.classes)))
    assert bound.rest(used, np.array([CLOSED, 0], dtype=np.int16))[:, -1].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("price", [0.0, 0.5])
def test_a_shared_memory_has_a_price_as_long_as_one_of_its_devices_is_unused(price: float) -> None:
    """The room of a memory is taken off what is left once, and not when all of it is used."""
    near = [device(f"b/cpu:{index}", 160 * MB, 5e11 / (1 + index)) for index in range(2)]
    question = case(*near, device("c/cuda:0", 400 * MB, 1e11), model=workload([50 * MB] * 4))
    problem = question.problem()
    tables = tables_of(problem)
    assert len(tables.pool_capacity) == 1
    per_byte = price / tables.pool_capacity
    prices = Prices(np.zeros(len(tables.classes)), per_byte)
    bound = path_bound(tables, Arcs(tables), prices, math.inf, 0)
    shared = tables.pools[0]
    closed = np.full(2, CLOSED, dtype=np.int16)
    used = np.array([0 * shared, shared])
    half, none = bound.rest(used, closed)[:, 1]
    assert half == pytest.approx(max(0.0, none - price))
