"""How many blocks leave their experts to the host: the best number, and the proof that it is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hgx.core.workload import Block, KvShape
from hgx.gguf.arrangement import Arrangement
from hgx.planner.candidate import Candidate
from hgx.planner.experts import mixture
from hgx.planner.search.experts import search_numbers
from hgx.planner.solve import solve
from tests.planner.made import MB, WHOLE, case, device, objective_of, options, workload
from tests.planner.oracle import Oracle

if TYPE_CHECKING:
    from hgx.planner.experts import Mixture
    from tests.planner.made import Case


def never() -> bool:
    """Let a search go on."""
    return False


@st.composite
def mixtures(draw: st.DrawFn) -> Case:
    """One or two cards, maybe a far device, and a CPU; unequal blocks, memory rather tight."""
    experts = st.integers(0, 8).map(lambda size: 50 * size * MB)
    blocks = [
        Block(
            weight_bytes={"Q4_K": 40 * MB + size},
            expert_bytes=size,
            expert_share=0.125,
            flops_per_token=4.0 * (40 * MB + size / 8),
            attention_flops=1000.0,
            kv=KvShape(k_width=64, v_width=64),
            scratch=512,
        )
        for size in draw(st.lists(experts, min_size=2, max_size=5))
    ]
    names = ["a/cuda:0", *draw(st.sampled_from([[], ["a/cuda:1"], ["b/cuda:0"]]))]
    memory, rate = st.integers(1, 12), st.sampled_from([1e11, 3e11, 1e12])
    cards = [device(name, 100 * MB * draw(memory), draw(rate)) for name in names]
    host = device("a/cpu:0", 200 * MB * draw(memory), draw(st.sampled_from([2e10, 1e11])), 1e12)
    asked = options(
        draw(st.sampled_from(["latency", "throughput", "balanced"])),
        prompt_tokens=draw(st.sampled_from([100, 1100])),
    )
    return case(*cards, host, model=workload(blocks=blocks), asked=asked)


def apart(question: Case, arrangement: Arrangement) -> Mixture:
    """The problem with experts on the host; one that has none is not looked at."""
    mixed = mixture(question.problem(arrangement=arrangement))
    assume(mixed is not None)
    assert mixed is not None
    return mixed


def least(mixed: Mixture) -> float:
    """The least objective of all numbers of blocks, each by itself."""
    numbers = range(1, mixed.problem.n_block + 1)
    return min(Oracle(mixed.between(count, count)).best() for count in numbers)


@settings(max_examples=60, deadline=None)
@given(question=mixtures(), known=st.sampled_from([math.inf, 1.2, 1.0, 0.8]))
def test_the_best_number_is_found_and_proven(question: Case, known: float) -> None:
    """It is what trying all numbers gives, where that beats what is known."""
    for arrangement in (Arrangement.ALONE, Arrangement.PIPELINE):
        mixed = mixture(question.problem(arrangement=arrangement))
        if mixed is None:
            continue
        wanted = least(mixed)
        target = known * wanted if wanted < math.inf else math.inf
        given_up = Candidate(mixed.problem, target, ())
        found, bound, _ = search_numbers(mixed, given_up, never)
        assert found.objective == pytest.approx(min(wanted, target), rel=1e-9)
        assert bool(found.placement) == (wanted < target * (1 - 1e-9))
        assert min(bound, found.objective) == pytest.approx(found.objective, rel=1e-8)


@settings(max_examples=40, deadline=None)
@given(question=mixtures(), numbers=st.tuples(st.integers(1, 5), st.integers(1, 5)))
def test_a_range_is_no_worse_than_any_number_in_it(
    question: Case, numbers: tuple[int, int]
) -> None:
    """The relaxation has a lower objective than every problem that it stands for."""
    mixed = apart(question, Arrangement.PIPELINE)
    least, most = (min(number, mixed.problem.n_block) for number in sorted(numbers))
    relaxed = Oracle(mixed.between(least, most)).best()
    for count in range(least, most + 1):
        assert relaxed <= Oracle(mixed.between(count, count)).best() * (1 + 1e-12)


@settings(max_examples=40, deadline=None)
@given(question=mixtures())
def test_a_search_cut_short_has_a_bound(question: Case) -> None:
    """Nothing better than what is known is found, and the bound holds."""
    mixed = apart(question, Arrangement.ALONE)
    found, bound, states = search_numbers(
        mixed, Candidate(mixed.problem, math.inf, ()), lambda: True
    )
    assert (found.placement, states) == ((), 0)
    assert bound <= least(mixed) * (1 + 1e-9)


def test_more_blocks_than_there_are_have_none_away() -> None:
    """A number that cannot be is not looked for."""
    devices = (device("a/cuda:0", 900 * MB), device("a/cpu:0", 900 * MB))
    blocks = [Block(weight_bytes={"Q4_K": 90 * MB}, expert_bytes=80 * MB, expert_share=0.1)] * 3
    asked = options().model_copy(update={"cpu_experts": 4})
    question = case(*devices, model=workload(blocks=blocks), asked=asked)
    mixed = mixture(question.problem(arrangement=Arrangement.ALONE))
    assert mixed is not None
    nothing = Candidate(mixed.problem, math.inf, ())
    assert search_numbers(mixed, nothing, never) == (nothing, math.inf, 0)


@settings(max_examples=60, deadline=None)
@given(question=mixtures())
def test_a_plan_is_the_best_of_all_ways(question: Case) -> None:
    """Whole blocks everywhere, or experts on the host: the plan is the better, and proven."""
    ways = [question.problem(arrangement=one) for one in WHOLE]
    best = min(Oracle(one).best() for one in ways)
    for one in ways:
        mixed = mixture(one)
        if mixed is not None:
            best = min(best, least(mixed))
    plan = solve(*question)
    if best == math.inf:
        assert plan.status == "infeasible"
        return
    assert plan.status == "optimal"
    assert objective_of(plan, question) == pytest.approx(best, rel=1e-6)
