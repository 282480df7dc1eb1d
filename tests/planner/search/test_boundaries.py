"""Whether the end is reached, with all boundaries in view."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hgx.planner.arcs import Arcs
from hgx.planner.constraints import device_limits
from hgx.planner.keys import CLOSED
from hgx.planner.placement import price
from hgx.planner.search.boundaries import Boundaries, state_keys
from hgx.planner.search.packing import Packing
from hgx.planner.search.within import StageTimes
from hgx.planner.tables import Tables, build_tables
from tests.planner.by_hand import allowed, never, placement_of_runs, slowest
from tests.planner.made import MB, SEVERAL, Case, case, cases, device, options, workload

if TYPE_CHECKING:
    from hgx.gguf.arrangement import Arrangement

WIDE = 1 << 14


def within(tables: Tables, time: float) -> Boundaries:
    """The search for a placement whose stages take no longer than a time."""
    arcs = Arcs(tables)
    return Boundaries(tables, arcs, StageTimes(arcs).within(time), Packing(arcs))


@settings(max_examples=120, deadline=None)
@given(
    question=cases(
        devices=4, blocks=5, coordinators=("a",), objectives=("throughput",), wishes=True
    ),
    which=st.sampled_from(SEVERAL),
    share=st.floats(0, 1),
)
def test_what_is_reached_in_a_time_is_found_and_nothing_else(
    question: Case, which: Arrangement, share: float
) -> None:
    """Whatever takes no longer than a time is found, unless there is nothing."""
    problem = question.problem(arrangement=which)._replace(pools=())
    tables = build_tables(problem, device_limits(problem))
    assume(tables.classes)
    times = sorted(slowest(problem, stages) for _, stages in allowed(problem))
    if not times:
        assert within(tables, 1e9).search(WIDE, never) == ((), False)
        return
    time = times[int(share * (len(times) - 1))] * (1 + 1e-12)
    runs, cut = within(tables, time).search(WIDE, never)
    stages = price(problem, placement_of_runs(tables, runs), device_limits(problem))
    assert slowest(problem, stages) <= time * (1 + 1e-9)
    assert [run.begin for run in runs] == [0, *(run.end for run in runs[:-1])]
    assert not cut
    assert within(tables, times[0] * (1 - 1e-6)).search(WIDE, never) == ((), False)


def relayed() -> Tables:
    """A quick device, and two on a far node, of which one spares the other the wire."""
    names = ("a/cuda:0", "b/cuda:0", "b/cuda:1")
    devices = [device(name, (80 + 20 * at) * MB) for at, name in enumerate(names)]
    question = case(*devices, model=workload([30 * MB] * 6), asked=options("throughput"))
    problem = question.problem()
    return build_tables(problem, device_limits(problem))


def test_a_cut_or_stopped_search_says_so() -> None:
    """What was not looked at may still be there."""
    tables = relayed()
    whole = within(tables, 1e9)
    runs, cut = whole.search(WIDE, never)
    assert runs
    assert not cut
    assert whole.states > 1
    assert within(tables, 1e9).search(WIDE, lambda: True) == ((), True)
    _, cut = within(tables, 1e9).search(0, never)
    assert cut


def test_prices_leave_out_what_is_hopeless() -> None:
    """Where all devices together cannot hold the model, hardly a state is opened."""
    tables = relayed()
    assert within(tables, 1e-9).search(WIDE, never) == ((), False)
    short = within(tables, 5e-4)
    assert short.search(WIDE, never) == ((), False)
    assert short.states <= 1 + len(tables.classes)


@pytest.mark.parametrize("most", [1, 3, 60_000])
def test_keys_tell_sets_apart(most: int) -> None:
    """Equal sets in the same mode have one number, and others another, also where sets are vast."""
    draw = np.random.default_rng(0)
    used = draw.integers(0, most + 1, (200, 70), dtype=np.uint16)
    used[100:] = used[:100]
    mode = np.full(200, CLOSED, dtype=np.int16)
    mode[100:150] = 0
    keys = state_keys(used, mode)
    assert (keys[150:] == keys[50:100]).all()
    assert len(set(keys.tolist())) == 150
