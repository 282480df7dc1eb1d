"""Every constraint, broken once: the message names who and how much."""

from __future__ import annotations

import pytest

from hgx.errors import Infeasible
from hgx.planner.constraints import bytes_short, device_limits, host_shortage
from hgx.planner.evaluate import evaluate
from hgx.planner.solve import solve
from tests.planner.made import MB, Case, case, device, options, registry, workload


def refusal(question: Case, *placement: tuple[str, int, int]) -> str:
    """What is said of a placement that breaks a constraint."""
    with pytest.raises(Infeasible) as caught:
        evaluate(question.registry, question.workload, placement, question.options)
    return caught.value.message


def test_a_device_takes_no_more_than_it_has() -> None:
    """The message names the device, its blocks, what they need, and by how much that is more."""
    question = case(device("b/cuda:0", 150 * MB))
    said = refusal(question, ("b/cuda:0", 0, 3))
    assert said.startswith("b/cuda:0 needs ")
    assert "for blocks 0 to 3 and the output head, but only 143 MiB may be taken: " in said
    assert said.endswith(" too much")


def test_an_inner_stage_is_named_without_the_head() -> None:
    """Only the last stage has the output head."""
    question = case(device("b/cuda:0", 100 * MB), device("c/cuda:0"))
    said = refusal(question, ("b/cuda:0", 0, 2), ("c/cuda:0", 3, 3))
    assert "for blocks 0 to 2, but only" in said


def test_a_shared_memory_is_taken_once() -> None:
    """Devices that each fit but not together are named with what they share."""
    question = case(device("b/cpu:0", 160 * MB), device("b/metal:0", 160 * MB, unified=True))
    said = refusal(question, ("b/metal:0", 0, 1), ("b/cpu:0", 2, 3))
    assert said.startswith("b/cpu:0 and b/metal:0 share one memory and need ")
    assert "but only 153 MiB may be taken: " in said
    assert said.endswith(" too much")


def test_the_coordinators_buffers_need_room() -> None:
    """The token embedding and host buffers must fit into the coordinator's RAM by themselves."""
    asked = registry(device("b/cuda:0"), nodes=("a",), ram={"a": 10 * MB})
    question = Case(asked, workload(), options())
    missing = host_shortage(question.problem())
    assert 10 * MB < missing < 20 * MB
    said = refusal(question, ("b/cuda:0", 0, 3))
    assert said.startswith("the token embedding and host buffers need ")
    assert said.endswith("more memory than the coordinator a may use")
    plan = solve(*question)
    assert (plan.status, plan.why[0]) == ("infeasible", said)


def test_a_node_without_a_link_is_out_of_reach() -> None:
    """The message names the device and the coordinator; the plan of the others says so too."""
    question = Case(
        registry(device("a/cuda:0"), device("b/cuda:0"), links=[]), workload(), options()
    )
    said = refusal(question, ("b/cuda:0", 0, 3))
    assert said == (
        "b/cuda:0 is out of reach: the registry has no link between its node and the coordinator a"
    )
    assert said in solve(*question).why


def test_a_pool_of_one_bounds_its_device() -> None:
    """A CPU takes no more than its node's RAM, the coordinator's buffers taken off it."""
    asked = registry(device("a/cpu:0", 900 * MB), ram={"a": 300 * MB})
    problem = Case(asked, workload(), options()).problem()
    own = problem.footprint.host_weights + problem.footprint.host_compute
    assert device_limits(problem) == {"a/cpu:0": 300 * MB - own}


@pytest.mark.parametrize("memory", [60, 100, 150])
def test_what_is_short_is_short(memory: int) -> None:
    """Where bytes are short, nothing fits, and with what is short once more there is no lack."""
    question = case(device("b/cuda:0", memory * MB), device("c/cuda:0", 50 * MB))
    problem = question.problem()
    short = bytes_short(problem)
    assert short > 0
    assert solve(*question).status == "infeasible"
    enough = case(device("b/cuda:0", memory * MB + round(short)), device("c/cuda:0", 50 * MB))
    assert bytes_short(enough.problem()) == pytest.approx(0.0, abs=1)


def test_a_shared_memory_counts_once() -> None:
    """Two devices that share a memory have it once, whatever each could take by itself."""
    one = case(device("b/cpu:0", 200 * MB))
    both = case(device("b/cpu:0", 200 * MB), device("b/metal:0", 200 * MB, unified=True))
    assert bytes_short(both.problem()) == bytes_short(one.problem()) > 0
