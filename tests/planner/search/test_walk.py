"""Shortest paths: how long they are, and who follows whom on them."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hgx.planner.arcs import Arcs
from hgx.planner.search.walk import Walk
from tests.planner.by_hand import allowed, steps_of, summed, tables_of
from tests.planner.made import MB, PROMPTS, SEVERAL, case, cases, device, link, registry, workload

if TYPE_CHECKING:
    from hgx.gguf.arrangement import Arrangement
    from tests.planner.made import Case


@settings(max_examples=100, deadline=None)
@given(
    question=cases(devices=4, coordinators=("a",), objectives=("latency",), prompts=PROMPTS),
    which=st.sampled_from(SEVERAL),
)
def test_the_path_is_as_long_as_its_stages(question: Case, which: Arrangement) -> None:
    """Its steps follow each other, cost what is ahead together, and no placement costs less."""
    problem = question.problem(arrangement=which)
    tables = tables_of(problem)
    assume(tables.classes)
    arcs = Arcs(tables)
    walk = Walk(arcs, arcs.added_ways)
    for _, stages in allowed(problem):
        assert walk.ahead[0, 0] <= summed(problem, stages) * (1 + 1e-9)
        for before, step in pairwise(steps_of(tables, stages)):
            held = 0 if step.entered else 1 + before.at
            assert np.isfinite(walk.ahead[held, step.begin])
    assume(np.isfinite(walk.ahead[0, 0]))
    steps = list(walk.path())
    assert sum(arcs.added_ways.at(step) for step in steps) == pytest.approx(walk.ahead[0, 0])
    assert [step.begin for step in steps] == [0, *(step.end for step in steps[:-1])]
    assert [step.final for step in steps] == [False] * (len(steps) - 1) + [True]
    for before, step in pairwise(steps):
        assert before.left is step.entered
        if not step.entered:
            assert arcs.beside(before.at, step.at)
            assert before.at != step.at or arcs.counts[step.at] > 1


@pytest.mark.parametrize("devices", [1, 2, 3])
def test_a_node_does_not_hand_over_to_itself_for_ever(devices: int) -> None:
    """On a far node with a slow wire each device has one stage; two of them take turns but once."""
    names = [f"c/cuda:{index}" for index in range(devices)]
    question = case(*(device(name, 60 * MB, 1e11 * (9 + at)) for at, name in enumerate(names)))
    slow = registry(
        *question.registry.devices,
        nodes=("a",),
        links=[link("a", "c").model_copy(update={"rtt_s": 1.0})],
    )
    model = workload([50 * MB] * 6, head=MB)
    arcs = Arcs(tables_of(question._replace(registry=slow, workload=model).problem()))
    steps = list(Walk(arcs, arcs.added_ways).path())
    entries = sum(step.entered for step in steps)
    assert len(steps) == 6
    assert entries == {1: 6, 2: 3, 3: 1}[devices]
    assert all(one.at != other.at for one, other in pairwise(steps) if not other.entered)
