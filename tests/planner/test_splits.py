"""Rules of thumb, and how they compare."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given, settings

from hgx.errors import OutOfTime
from hgx.planner.anatomy import answer_of, price_answer
from hgx.planner.evaluate import evaluate
from hgx.planner.problem import Question
from hgx.planner.solve import solve
from hgx.planner.splits import compare
from tests.planner.made import MB, Case, case, cases, device, objective_of, registry, workload

if TYPE_CHECKING:
    from hgx.core.explanation import Rule, Split
    from hgx.core.plan import Plan


def splits(question: Case, plan: Plan | None = None) -> dict[Rule, Split]:
    """What the rules give beside the best plan, or beside the one given, by rule."""
    answer = answer_of(plan or solve(*question))
    assert answer is not None
    priced = price_answer(Question(*question), answer)
    return {one.rule: one for one in compare(priced, None, pinned=plan is not None)}


def runs(split: Split) -> list[tuple[str, int, int]]:
    """The placement of a split."""
    return [(run.device, run.first_block, run.last_block) for run in split.runs]


@settings(max_examples=40, deadline=None)
@given(question=cases(devices=4, coordinators=("a",)))
def test_no_rule_is_better_than_the_optimum(question: Case) -> None:
    """Each rule's placement takes what it takes by itself, and never less than the plan."""
    plan = solve(*question)
    assume(plan.stages)
    assume(question.options.objective != "balanced")  # objective_of cannot tell it
    found = splits(question)
    assert list(found) == ["memory", "speed", "fastest_first"]
    for split in found.values():
        if split.refused is not None:
            assert split.predicted is split.longer is None
            continue
        own = evaluate(question.registry, question.workload, runs(split), question.options)
        assert split.predicted == own.predicted
        assert split.longer == pytest.approx(objective_of(own) / objective_of(plan) - 1, abs=1e-9)
        assert split.longer is not None
        assert split.longer > -1e-9


def test_proportions() -> None:
    """Blocks go by memory, or by bandwidth; the largest remainder gets what is left over."""
    question = case(
        device("a/cuda:0", 300 * MB, 1e12),
        device("b/cuda:0", 600 * MB, 1e11),
        model=workload([10 * MB] * 10),
    )
    found = splits(question)
    assert runs(found["memory"]) == [("a/cuda:0", 0, 2), ("b/cuda:0", 3, 9)]
    assert runs(found["speed"]) == [("a/cuda:0", 0, 8), ("b/cuda:0", 9, 9)]


def test_the_fastest_has_the_last_blocks_as_far_as_they_fit() -> None:
    """The host's CPU does the first blocks, and the fastest card the output head."""
    question = case(
        device("a/cpu:0", 2000 * MB, 2e10),
        device("b/cuda:0", 150 * MB, 1e11),
        device("c/cuda:0", 150 * MB, 9e11),
        model=workload([50 * MB] * 6),
    )
    (first, *_), (second, *_), (third, *_) = runs(splits(question)["fastest_first"])
    assert (first, second, third) == ("a/cpu:0", "b/cuda:0", "c/cuda:0")


def test_all_on_the_fastest_where_it_fits() -> None:
    """One device that holds everything is left alone."""
    question = case(device("a/cuda:0", bandwidth=1e12), device("b/cuda:0"))
    assert runs(splits(question)["fastest_first"]) == [("a/cuda:0", 0, 3)]


def test_a_cpu_beside_a_card_is_left_out_where_that_is_better() -> None:
    """The rules get the better of two chances: with CPUs that stand beside cards, and without."""
    question = case(
        device("a/cpu:0", 3000 * MB, 1e10), device("a/cuda:0", bandwidth=1e12), device("b/cuda:0")
    )
    found = splits(question)
    assert all(run.device != "a/cpu:0" for run in found["memory"].runs)


def test_of_one_shared_memory_the_fastest_device_is_used() -> None:
    """A memory is not counted twice: the slower device of it gets nothing."""
    known = registry(
        device("a/cpu:0", 500 * MB, 1e10),
        device("a/metal:0", 500 * MB, 1e11, unified=True),
        device("b/cpu:0", 300 * MB, 1e10),
        ram={"a": 500 * MB},
    )
    question = case()._replace(registry=known)
    assert [run.device for run in splits(question)["memory"].runs] == ["a/metal:0", "b/cpu:0"]


def test_what_does_not_fit_is_said_to_be_so() -> None:
    """By speed nearly all goes to a fast card that is too small; the sentence says by how much."""
    question = case(device("a/cuda:0", 100 * MB, 1e13), device("b/cuda:0", 400 * MB, 1e10))
    split = splits(question)["speed"]
    assert split.refused is not None
    assert "a/cuda:0 needs" in split.refused
    assert split.runs


def test_a_pinned_placement_is_held_against_the_best() -> None:
    """Beside a placement of one's own, the planner's is one more, and takes less."""
    question = case(device("a/cuda:0", bandwidth=1e12), device("b/cuda:0", bandwidth=1e10))
    plan = evaluate(question.registry, question.workload, [("b/cuda:0", 0, 3)], question.options)
    best = splits(question, plan)["best"]
    assert runs(best) == [("a/cuda:0", 0, 3)]
    assert best.longer == pytest.approx(objective_of(solve(*question)) / objective_of(plan) - 1)


def test_a_best_that_was_not_found_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where time ended the search, that is why there is nothing beside a pinned placement."""

    def late(*_: object) -> None:
        raise OutOfTime("no placement was found within 1 s")

    monkeypatch.setattr("hgx.planner.splits.solve_within", late)
    question = case(device("a/cuda:0"))
    plan = evaluate(question.registry, question.workload, [("a/cuda:0", 0, 3)], question.options)
    best = splits(question, plan)["best"]
    assert best.refused == "no placement was found within 1 s"
    assert best.predicted is best.longer is None
