"""Why nothing fits, and what would cure it: cures are tried out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from hgx.planner.solve import solve
from tests.planner.made import MB, Case, block, case, device, options, registry, workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hgx.core.options import PlanOptions


def why(question: Case) -> tuple[str, ...]:
    """What is said where nothing fits."""
    plan = solve(*question)
    assert plan.status == "infeasible"
    assert (plan.predicted, plan.bound, plan.stages) == (None, None, ())
    return plan.why


def cured(asked: PlanOptions, sentences: tuple[str, ...]) -> Iterator[PlanOptions]:
    """Options with each cure that is proposed as an option of the command line."""
    for sentence in sentences:
        if match := re.match(r"it fits with --([\w-]+) (\w+)", sentence):
            name = match[1].replace("-", "_").replace("headroom", "headroom_bytes")
            value = match[2] if name == "kv_type" else int(match[2])
            yield asked.model_copy(update={name: value})


def long_conversation(memory: int, **changes: int) -> Case:
    """A model whose KV cache is most of it: 16 MiB per block and 1024 tokens."""
    asked = options(ctx=8192, parallel=2).model_copy(update=changes)
    model = workload(blocks=[block(20 * MB, kv_width=4096)] * 4)
    return case(
        device("b/cuda:0", memory * MB), device("c/cuda:0", memory * MB), model=model, asked=asked
    )


@pytest.mark.parametrize("memory", [300, 400, 500, 600])
@pytest.mark.parametrize("headroom", [0, 100 * MB])
def test_every_option_that_is_proposed_cures(memory: int, headroom: int) -> None:
    """Solved again with the context, KV type, streams or headroom proposed, the model fits."""
    question = long_conversation(memory, headroom_bytes=headroom)
    proposals = list(cured(question.options, why(question)))
    assert proposals
    for asked in proposals:
        assert solve(question.registry, question.workload, asked).status == "optimal"


def test_the_context_proposed_is_the_longest() -> None:
    """One step of 256 tokens more, and nothing fits again."""
    question = long_conversation(400)
    (asked, *_) = cured(question.options, why(question))
    longer = asked.model_copy(update={"ctx": asked.ctx + 256})
    assert solve(question.registry, question.workload, longer).status == "infeasible"


def test_all_cures_are_named() -> None:
    """Shorter context, smaller KV type, one stream and no headroom are each tried."""
    said = "; ".join(why(long_conversation(650, headroom_bytes=60 * MB)))
    for cure in ("--ctx ", "--kv-type q8_0", "--parallel 1", "--headroom 0, at the risk"):
        assert f"it fits with {cure}" in said


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


@pytest.mark.parametrize("sizes", [(100,), (100, 50), (70, 70, 70), (60,) * 8])
def test_memory_that_is_proposed_cures(sizes: tuple[int, ...]) -> None:
    """With what is said to be missing on the device that is named, and 1% for digits, it fits."""
    devices = [
        device(f"{node}/cuda:0", size * MB) for node, size in zip("bcdefghi", sizes, strict=False)
    ]
    model = workload([70 * MB] * 3)
    said = "; ".join(why(case(*devices, model=model)))
    found = re.search(r"it would fit with ([\d.]+) MiB more memory on (\S+?)(;|$)", said)
    assert found is not None
    missing = int(1.01 * float(found[1]) * 1024**2)
    larger = [
        device(one.id, one.memory_total_bytes + missing * (one.id == found[2])) for one in devices
    ]
    assert solve(*case(*larger, model=model)).status == "optimal"


def test_memory_is_proposed_for_a_shared_memory_as_a_whole() -> None:
    """More memory on a device with unified memory is more for all that share it."""
    devices = [device("b/cpu:0", 100 * MB), device("b/metal:0", 150 * MB, unified=True)]
    said = "; ".join(why(case(*devices)))
    assert re.search(r"it would fit with [\d.]+ MiB more memory on b/metal:0", said)


def test_devices_without_any_room_are_no_base_for_a_proposal() -> None:
    """Where even the headroom is not there, how much memory is missing is not guessed."""
    asked = options().model_copy(update={"headroom_bytes": 200 * MB})
    said = "; ".join(why(case(device("b/cuda:0", 100 * MB), asked=asked)))
    assert "more memory on" not in said


def test_less_than_what_is_short_does_not_help() -> None:
    """What the first sentence says is missing is missing: with a little less nothing fits."""
    question = case(device("b/cuda:0", 100 * MB), device("c/cuda:0", 50 * MB))
    found = re.search(r"([\d.]+) MiB more than", why(question)[0])
    assert found is not None
    less = int((float(found[1]) - 1) * 1024**2)
    larger = case(device("b/cuda:0", 100 * MB + less), device("c/cuda:0", 50 * MB))
    assert solve(*larger).status == "infeasible"


def test_a_smaller_quantisation_is_proposed_where_it_is_near() -> None:
    """Within a fifth of the weights a smaller file may help; below that none does."""
    near, hopeless = ("; ".join(why(case(device("b/cuda:0", memory * MB)))) for memory in (180, 40))
    assert "or with a smaller quantisation of the same model: at most " in near
    assert "smaller quantisation" not in hopeless


def test_room_in_pieces_is_told_apart_from_too_little_room() -> None:
    """Enough memory in parts too small for a block is another shortage than too little memory."""
    small = [device(f"{node}/cuda:0", 60 * MB) for node in "bcdefghi"]
    headline = why(case(*small, model=workload([70 * MB] * 2)))[0]
    assert headline.startswith("model.gguf needs ")
    assert "not in parts that hold blocks" in headline


def test_a_coordinator_without_devices_says_so() -> None:
    """Where nothing is reached the cause is a missing link, and no memory would help."""
    alone = registry(device("b/cuda:0"), nodes=("a",), links=[])
    sentences = why(Case(alone, workload(), options()))
    assert sentences[0] == "the coordinator a reaches no device"
    assert any("b/cuda:0 is out of reach" in sentence for sentence in sentences)
    assert not any("more memory" in sentence for sentence in sentences)


def test_a_coordinator_too_small_for_its_buffers_comes_first() -> None:
    """Whatever else is short, the coordinator's own RAM is named first."""
    asked = registry(device("b/cuda:0"), nodes=("a",), ram={"a": MB})
    assert why(Case(asked, workload(), options()))[0].startswith("the token embedding")
