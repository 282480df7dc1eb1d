"""Whether anything fits: as trying every placement says, and never a guess."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings

from hgx.core.workload import Block
from hgx.errors import ModelError, RegistryError
from hgx.gguf.arrangement import Arrangement
from hgx.planner.feasible import Judge, feasible
from hgx.planner.fits import fits
from hgx.planner.greedy import solve_greedily
from hgx.planner.problem import Question, build_problem
from hgx.planner.timer import Timer
from tests.planner.made import (
    MB,
    Case,
    best_by_hand,
    block,
    case,
    cases,
    device,
    options,
    registry,
    workload,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def never() -> bool:
    """No limit of time."""
    return False


def tight() -> Case:
    """Three devices that hold a model in one order only, which is none by size."""
    model = workload([60 * MB, 90 * MB, 40 * MB], head=MB, embedding=MB)
    sizes = {"b/cuda:0": 105 * MB, "c/cuda:0": 75 * MB, "d/cuda:0": 55 * MB}
    return case(*(device(name, size) for name, size in sizes.items()), model=model)


@settings(max_examples=60)
@given(cases())
def test_it_is_what_trying_all_says(question: Case) -> None:
    """True where some placement breaks no limit, False where every one does."""
    assert fits(Question(*question), None, never) is math.isfinite(best_by_hand(question))


def test_what_only_a_search_finds_is_found() -> None:
    """Where the greedy solver has nothing in any order it tries, the exact one decides."""
    question = tight()
    problem = question.problem()
    assert not solve_greedily(problem, ["b/cuda:0", "c/cuda:0", "d/cuda:0"])[1]
    assert fits(Question(*question), None, never) is True


def test_without_time_nothing_is_claimed() -> None:
    """Neither that it fits nor that it does not."""
    assert fits(Question(*tight()), None, lambda: True) is None


def test_time_may_end_within_the_search() -> None:
    """What the greedy solver does not find and the exact one may not look for stays open."""
    answers = iter([False])
    problem = tight().problem()
    assert feasible([problem], lambda: next(answers, True)) is None


def test_what_all_devices_together_do_not_hold_takes_no_search() -> None:
    """It is known without a look at the clock."""

    def look() -> bool:
        pytest.fail("looked at the clock")

    assert fits(Question(*case(device("b/cuda:0", 60 * MB))), None, look) is False


def test_machines_that_may_take_part_count() -> None:
    """Two devices of one node are on one machine; the coordinator is one more."""
    model = workload([70 * MB] * 2)
    asked = options().model_copy(update={"max_nodes": 2})
    apart = case(*(device(f"{node}/cuda:0", 100 * MB) for node in "bc"), model=model, asked=asked)
    beside = case(*(device(f"b/cuda:{at}", 100 * MB) for at in (0, 1)), model=model, asked=asked)
    assert fits(Question(*apart), None, never) is False
    assert fits(Question(*beside), None, never) is True


def experts(wished: int | None) -> Question:
    """A mixture of experts that a card holds without the experts of its blocks only."""
    one = Block(
        weight_bytes={"Q4_K": 50 * MB}, expert_bytes=40 * MB, expert_share=0.25, scratch=512
    )
    model = workload(blocks=[one] * 4, embedding=MB).model_copy(update={"n_expert_used": 2})
    known = registry(device("a/cuda:0", 110 * MB), device("a/cpu:0", 150 * MB))
    asked = options().model_copy(update={"cpu_experts": wished, "only": ("a/cuda:0",)})
    return Question(known, model, asked)


@pytest.mark.parametrize(
    ("wished", "fit"), [(None, True), (3, True), (1, False), (4, False), (0, False)]
)
def test_experts_in_the_host_s_memory_count(wished: int | None, *, fit: bool) -> None:
    """A model fits that does so with experts away, where that is not forbidden."""
    assert fits(experts(wished), None, never) is fit


def test_weights_on_the_disk_count_where_they_may() -> None:
    """A model larger than all memory fits where its weights may be read from the disk."""
    known = registry(device("a/cpu:0", 100 * MB), ram={"a": 100 * MB})
    node = known.nodes[0].model_copy(update={"disk_read_bytes_per_s": 1e9})
    question = Question(known.model_copy(update={"nodes": (node,)}), workload(), options())
    assert fits(question, None, never) is False
    assert fits(question, None, never, from_disk=True) is True


def test_an_unknown_coordinator_is_an_error() -> None:
    """As where a plan is asked for."""
    asked = case(device("b/cuda:0"), asked=options(coordinator="z"))
    with pytest.raises(RegistryError, match="'z' is not in the registry"):
        fits(Question(*asked), None, never)


class Clock:
    """A clock that stands still until it is set."""

    now = 0.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


@pytest.mark.parametrize(("answer", "sure"), [(True, True), (False, False), (None, False)])
def test_a_judge_claims_nothing_that_is_not_sure(answer: bool | None, *, sure: bool) -> None:
    """Undecided is "no"; and so is everything without time."""
    clock = Clock()

    def decide(_: Question, __: Callable[[], bool]) -> bool | None:
        return answer

    fit = Judge(decide, Timer(clock, 2.0)).share(2)
    assert fit(Question(*tight())) is sure
    clock.now = 1.0
    assert not fit(Question(*tight()))


def test_what_a_model_cannot_be_run_with_does_not_fit() -> None:
    """An error of the model is no error of the search."""

    def refuse(_: Question, __: Callable[[], bool]) -> bool:
        raise ModelError("rows of 80 elements")

    assert not Judge(refuse, Timer(Clock(), 1.0)).share(1)(Question(*tight()))


def test_a_judge_gives_one_question_a_part_of_the_time() -> None:
    """Of four seconds that are left for two kinds, one."""
    clock, asked = Clock(), list[bool]()

    def decide(_: Question, expired: Callable[[], bool]) -> bool:
        for now in (0.9, 1.1):
            clock.now = now
            asked.append(expired())
        return True

    assert Judge(decide, Timer(clock, 4.0)).share(2)(Question(*tight()))
    assert asked == [False, True]


def test_equal_room_is_one_class_whatever_the_speed() -> None:
    """Many devices that differ in speed alone are decided at once."""
    devices = [device(f"n{at}/cuda:0", 100 * MB, 1e11 + at) for at in range(40)]
    model = workload(blocks=[block(70 * MB)] * 41)
    question = Question(*case(*devices, model=model))
    assert fits(question, None, never) is False
    problem = build_problem(question, "a", Arrangement.PIPELINE)
    assert feasible([problem], never) is False
