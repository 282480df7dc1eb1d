"""Stages as arcs: the same numbers as in the tables, where they are finite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hgx.planner.arcs import Arcs
from hgx.planner.problem import Arrangement
from tests.planner.by_hand import allowed, runs_of, slowest, tables_of
from tests.planner.made import LONG_PROMPT, MB, Case, case, cases, device, options, workload

if TYPE_CHECKING:
    from hgx.planner.tables import Tables

ARRANGEMENTS = (Arrangement.HOST_FIRST, Arrangement.PIPELINE)


@settings(max_examples=60, deadline=None)
@given(
    question=cases(devices=4, blocks=6, coordinators=("a",)), which=st.sampled_from(ARRANGEMENTS)
)
def test_arcs_are_the_entries_of_the_tables(question: Case, which: Arrangement) -> None:
    """Every stage that leaves a block for the output head is there once, and nothing else."""
    tables = tables_of(question.problem(arrangement=which))
    assume(tables.classes)
    arcs, n = Arcs(tables), tables.n_block
    for k, one in enumerate(tables.classes):
        for begin in range(n):
            by_length = one.inner[begin, begin + 1 : n]
            expected = np.full(max(arcs.longest, len(by_length)), np.inf)
            expected[: len(by_length)] = by_length
            assert expected[: arcs.longest] == pytest.approx(arcs.inner[begin, k])
            assert np.isinf(expected[arcs.longest :]).all()
            reachable = arcs.ends[begin] <= n
            taken = one.stage_bytes.inner[begin, begin + 1 : n + 1][: arcs.longest]
            assert arcs.bytes[begin][reachable] == pytest.approx(taken)
        assert arcs.last[:, k] == pytest.approx(one.last[:n])
        assert arcs.last_bytes[:, k] == pytest.approx(one.last_bytes[:n])


def seconds(arcs: Arcs, runs: tuple[tuple[int, int, int], ...]) -> list[float]:
    """Seconds of runs without wire."""
    inner = [float(arcs.inner[begin, k, end - begin - 1]) for k, begin, end in runs[:-1]]
    return [*inner, float(arcs.last[runs[-1][1], runs[-1][0]])]


@settings(max_examples=60, deadline=None)
@given(
    question=cases(coordinators=("a",), objectives=("balanced",), prompts=(100, LONG_PROMPT)),
    which=st.sampled_from(ARRANGEMENTS),
    share=st.floats(0, 1),
)
def test_what_a_cap_allows_is_there(question: Case, which: Arrangement, share: float) -> None:
    """No stage of a placement within the cap is left out, whatever wire it has."""
    problem = question.problem(arrangement=which)
    found = [(placement, slowest(problem, stages)) for placement, stages in allowed(problem)]
    assume(found)
    peaks = sorted(peak for _, peak in found)
    cap = peaks[int(share * (len(peaks) - 1))] * (1 + 1e-9)
    arcs_of: Tables = tables_of(problem, cap)
    arcs = Arcs(arcs_of)
    for placement, peak in found:
        if peak <= cap:
            assert np.isfinite(seconds(arcs, runs_of(arcs_of, placement))).all()


def test_a_cap_leaves_out_what_is_always_beyond_it() -> None:
    """A stage that alone takes longer than the cap is no arc."""
    question = case(
        device("b/cuda:0"), device("c/cuda:0", bandwidth=1e10), asked=options("balanced")
    )
    problem = question.problem()
    free, capped = Arcs(tables_of(problem)), Arcs(tables_of(problem, cap=0.5))
    assert np.isfinite(free.last).all()
    assert np.isfinite(capped.last).all(axis=0).tolist() == [True, False]
    assert np.isinf(capped.inner[:, 1]).sum() > np.isinf(free.inner[:, 1]).sum()


def test_classes_keep_their_place() -> None:
    """Counts, far nodes, who has no wire and who may be first are those of the classes."""
    devices = [device(name) for name in ("a/cpu:0", "b/cuda:0", "c/cuda:0", "c/cuda:1", "d/cuda:0")]
    question = case(*devices, model=workload([50 * MB] * 3))
    first, pipeline = (Arcs(tables_of(question.problem(arrangement=one))) for one in ARRANGEMENTS)
    assert first.counts.tolist() == [1.0, 2.0, 2.0]
    assert (first.n_group, first.group.tolist()) == (1, [1, 1, 0])
    assert (first.free, pipeline.free) == ((0,), ())
    assert (first.opening, pipeline.opening) == ((0,), (1, 2))
    # The host is a worker on the loopback unless it is first; on the wire it costs alike.
    assert (first.turn > 0).all()


def test_a_model_of_one_block_has_no_inner_stages() -> None:
    """The only block stands beside the output head."""
    arcs = Arcs(tables_of(case(device("b/cuda:0"), model=workload([50 * MB])).problem()))
    assert (arcs.longest, arcs.inner.shape) == (1, (1, 1, 1))
    assert np.isinf(arcs.inner).all()
    assert np.isfinite(arcs.last).all()
