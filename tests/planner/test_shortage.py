"""Why nothing fits, and what would cure it: cures are tried out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from hgx.planner.solve import solve
from tests.planner.made import MB, Case, block, case, device, options, registry, workload

if TYPE_CHECKING:
    from hgx.core.plan import Plan


def impossible(question: Case) -> Plan:
    """The plan that says that nothing fits."""
    plan = solve(*question)
    assert plan.status == "infeasible"
    assert (plan.predicted, plan.bound, plan.stages) == (None, None, ())
    return plan


def why(question: Case) -> tuple[str, ...]:
    """What is said where nothing fits."""
    return impossible(question).why


def test_cures_are_sentences_and_data() -> None:
    """Each is in the plan's words, after the headline, and as what is to be changed to what."""
    model = workload(blocks=[block(20 * MB, kv_width=4096)] * 4)
    asked = options(ctx=8192, parallel=2)
    question = case(device("b/cuda:0", 650 * MB), model=model, asked=asked)
    plan = impossible(question)
    assert plan.ctx == 8192
    assert plan.why[1:] == tuple(cure.text for cure in plan.cures)
    chosen = [cure for cure in plan.cures if cure.kind in ("ctx", "kv_type", "parallel")]
    assert len(chosen) == 3
    for cure in chosen:
        assert any(str(value) in cure.text for value in cure.change.values())
        changed = asked.model_copy(update=cure.change)
        assert solve(question.registry, question.workload, changed).status == "optimal"


def test_a_plan_with_cures_is_read_back() -> None:
    """The document keeps numbers, names and lists."""
    plan = impossible(
        case(
            device("b/cuda:0"),
            asked=options(ctx=10**6).model_copy(update={"exclude": ("b",), "only": ("b",)}),
        )
    )
    assert type(plan).model_validate_json(plan.model_dump_json()) == plan


class Clock:
    """A clock that goes on by a second whenever it is looked at."""

    now = 0.0

    def __call__(self) -> float:
        """Tell the time."""
        self.now += 1.0
        return self.now


def test_without_time_the_headline_is_there() -> None:
    """Cures that cannot be tried in time are missing, and nothing else."""
    question = case(device("b/cuda:0", 100 * MB))
    plan = solve(*question, clock=Clock())
    assert plan.status == "infeasible"
    assert plan.why[0] == why(question)[0]
    assert not plan.cures


def test_a_kv_type_that_the_model_cannot_have_is_not_proposed() -> None:
    """Rows of 80 elements cannot be quantised; that nothing fits is said all the same."""
    model = workload(blocks=[block(50 * MB, kv_width=80)] * 4)
    sentences = why(case(device("b/cuda:0", 100 * MB), model=model))
    assert not any("--kv-type" in sentence for sentence in sentences)


def test_the_headline_says_by_how_much() -> None:
    """The first sentence has what is needed, what for, and how much of it is missing."""
    headline = why(case(device("b/cuda:0", 100 * MB), device("c/cuda:0", 50 * MB)))[0]
    assert re.fullmatch(
        r"model.gguf needs 210 MiB for weights and KV at context 256, and .* of buffers per "
        r"device: [\d.]+ MiB more than 2 devices have together",
        headline,
    )


def test_less_than_what_is_short_does_not_help() -> None:
    """What the first sentence says is missing is missing: with a little less nothing fits."""
    question = case(device("b/cuda:0", 100 * MB), device("c/cuda:0", 50 * MB))
    found = re.search(r"([\d.]+) MiB more than", why(question)[0])
    assert found is not None
    less = int((float(found[1]) - 1) * 1024**2)
    larger = case(device("b/cuda:0", 100 * MB + less), device("c/cuda:0", 50 * MB))
    assert solve(*larger).status == "infeasible"


def test_room_in_pieces_is_told_apart_from_too_little_room() -> None:
    """Enough memory in parts too small for a block is another shortage than too little memory."""
    small = [device(f"{node}/cuda:0", 60 * MB) for node in "bcdefghi"]
    headline = why(case(*small, model=workload([70 * MB] * 2)))[0]
    assert headline.startswith("model.gguf needs ")
    assert headline.endswith("not in parts that hold blocks")


def test_wishes_are_part_of_the_headline() -> None:
    """Where there is room enough, what was asked for beside may be what is in the way."""
    two = [device(f"{node}/cuda:0", 120 * MB) for node in "bc"]
    asked = options().model_copy(update={"max_nodes": 2, "require": ("b", "c/cuda:0")})
    headline = why(case(*two, asked=asked))[0]
    assert headline.endswith("hold blocks, on 2 machines at most, with b and c/cuda:0")


def test_a_coordinator_without_devices_says_so() -> None:
    """Where nothing is reached the cause is a missing link, and a device of its own would help."""
    alone = registry(device("b/cuda:0"), nodes=("a",), links=[])
    sentences = why(Case(alone, workload(), options()))
    assert sentences[0] == "the coordinator a reaches no device"
    assert any("b/cuda:0 is out of reach" in sentence for sentence in sentences)
    assert any("one more device of" in sentence for sentence in sentences)
    assert not any("more memory" in sentence for sentence in sentences)


def test_a_coordinator_too_small_for_its_buffers_comes_first() -> None:
    """Whatever else is short, the coordinator's own RAM is named first."""
    asked = registry(device("b/cuda:0"), nodes=("a",), ram={"a": MB})
    assert why(Case(asked, workload(), options()))[0].startswith("the token embedding")


@pytest.mark.parametrize("memory", [100, 180])
def test_memory_that_is_proposed_cures(memory: int) -> None:
    """With as much more on the device that is named the model fits."""
    question = case(device("b/cuda:0", memory * MB), device("c/cuda:0", 30 * MB))
    (cure,) = (cure for cure in impossible(question).cures if cure.kind == "more_memory")
    more = cure.change["memory_bytes"]
    assert isinstance(more, int)
    devices = [
        device(one.id, one.memory_total_bytes + more * (one.id == cure.change["device"]))
        for one in question.registry.devices
    ]
    assert solve(*case(*devices)).status == "optimal"
