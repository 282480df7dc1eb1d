"""Cures: each makes the model fit, and a step less of it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given, settings

from hgx.gguf.arrangement import Arrangement
from hgx.planner.cures import find_cures, largest, smallest
from hgx.planner.fits import fits
from hgx.planner.problem import Question, build_problem
from hgx.units import MIB, parse_bytes
from tests.planner.made import MB, Case, block, case, cases, device, options, registry, workload

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hgx.core.plan import Cure
    from hgx.core.registry import Device
    from hgx.core.workload import Workload

SIZES = ("q8_0", "q5_1", "q5_0", "q4_1", "q4_0")


def sure(question: Question) -> bool:
    """Whether it fits, with all the time there is."""
    return fits(question, None, lambda: False) is True


def cures(question: Question) -> dict[str, Cure]:
    """All cures by their kind, coordinated from node ``a``."""
    problem = build_problem(question, "a", Arrangement.ALONE)
    return {cure.kind: cure for cure in find_cures(problem, lambda _: sure)}


def with_option(question: Question, **changes: object) -> Question:
    """The same question with other options."""
    return question._replace(options=question.options.model_copy(update=changes))


def with_devices(question: Question, devices: Iterable[Device]) -> Question:
    """The same question with other devices."""
    known = question.registry.model_copy(update={"devices": tuple(devices)})
    return question._replace(registry=known)


def with_memory(question: Question, name: str, more: int) -> Question:
    """The same question with more memory on a device of its own."""
    return with_devices(
        question,
        (
            device(
                one.id,
                one.memory_total_bytes + more * (one.id == name),
                unified=one.unified_memory,
            )
            for one in question.registry.devices
        ),
    )


def with_new_device(question: Question, size: int) -> Question:
    """The same question with one more device where the coordinator is."""
    return with_devices(question, (*question.registry.devices, device("a/more:0", size)))


def check(question: Question, cure: Cure) -> None:
    """Check that a change of memory is enough, and that a MiB less is not."""
    size = cure.change["memory_bytes"]
    assert isinstance(size, int)
    if cure.kind == "new_device":
        assert sure(with_new_device(question, size))
        assert size <= MIB or not sure(with_new_device(question, size - MIB))
        return
    assert sure(with_memory(question, str(cure.change["device"]), size))
    for one in question.registry.devices:
        assert size <= MIB or not sure(with_memory(question, one.id, size - MIB))


@settings(max_examples=20)
@given(cases(devices=3, blocks=3, coordinators=("a",)))
def test_memory_that_is_proposed_is_enough_and_no_more_than_that(case_: Case) -> None:
    """On the device that is named, and on a new one; a MiB less is too little on any."""
    question = Question(*case_)
    question = with_devices(
        question,
        (
            device(one.id, one.memory_total_bytes // 3, unified=one.unified_memory)
            for one in question.registry.devices
        ),
    )
    assume(not sure(question))
    found = cures(question)
    assert found
    for kind in ("more_memory", "new_device"):
        if kind in found:
            check(question, found[kind])


def long_conversation(memory: int, **changes: object) -> Question:
    """A model whose KV cache is most of it: 16 MiB per block and 1024 tokens."""
    asked = options(ctx=8192, parallel=3).model_copy(update=changes)
    model = workload(blocks=[block(20 * MB, kv_width=4096)] * 4)
    devices = [device(name, memory * MB) for name in ("b/cuda:0", "c/cuda:0")]
    return Question(*case(*devices, model=model, asked=asked))


@pytest.mark.parametrize("memory", [250, 400, 600, 800])
@pytest.mark.parametrize("headroom", [0, 100 * MIB])
def test_every_option_that_is_proposed_is_the_nearest_that_fits(memory: int, headroom: int) -> None:
    """Context, streams, headroom and KV type: what is proposed fits, the next step does not."""
    question = long_conversation(memory, headroom_bytes=headroom)
    found = cures(question)
    assert not sure(question)
    for kind, step in (("ctx", 256), ("parallel", 1), ("headroom_bytes", MIB)):
        if kind in found:
            value = found[kind].change[kind]
            assert isinstance(value, int)
            assert sure(with_option(question, **{kind: value}))
            assert not sure(with_option(question, **{kind: value + step}))
    if "kv_type" in found:
        chosen = found["kv_type"].change["kv_type"]
        for name in SIZES[: SIZES.index(str(chosen)) + 1]:
            assert sure(with_option(question, kv_type=name)) is (name == chosen)


def test_each_kind_is_found() -> None:
    """Where several changes help, all are there, in words that the command line takes."""
    found = cures(long_conversation(940, headroom_bytes=60 * MIB))
    assert list(found) == [
        *("ctx", "kv_type", "parallel"),
        *("new_device", "quantisation", "headroom_bytes", "more_memory"),
    ]
    assert found["kv_type"].text == "it fits with --kv-type q8_0"
    assert found["ctx"].text == f"it fits with --ctx {found['ctx'].change['ctx']}"
    assert (
        found["parallel"].text == f"it fits with --parallel {found['parallel'].change['parallel']}"
    )
    left = found["headroom_bytes"].change["headroom_bytes"]
    assert isinstance(left, int)
    said = found["headroom_bytes"].text
    assert said == f"it fits with --headroom {left // MIB}MiB, at the risk of running out of memory"


def test_all_of_the_headroom_is_named_without_a_unit() -> None:
    """Nought bytes are nought."""
    question = Question(*case(device("b/cuda:0", 240 * MB), asked=options()))
    assert sure(question)
    for left in range(1, 40):
        tried = with_option(question, headroom_bytes=left * MIB)
        if not sure(tried):
            assert sure(with_option(question, headroom_bytes=(left - 1) * MIB))
            said = cures(tried)["headroom_bytes"].text
            word = f"{left - 1}MiB" if left > 1 else "0"
            assert said.startswith(f"it fits with --headroom {word}, ")
            return
    pytest.fail("it fits with any headroom")


def test_what_only_a_search_finds_is_proposed() -> None:
    """A context with which only one order of devices holds the model is found all the same."""
    asked = options(ctx=16384)
    model = workload(
        blocks=[block(size * MB, kv_width=256) for size in (60, 90, 40)], head=MB, embedding=MB
    )
    sizes = {"b/cuda:0": 105, "c/cuda:0": 75, "d/cuda:0": 55}
    devices = [device(name, size * MB) for name, size in sizes.items()]
    question = Question(*case(*devices, model=model, asked=asked))
    assert not sure(question)
    value = cures(question)["ctx"].change["ctx"]
    assert isinstance(value, int)
    assert sure(with_option(question, ctx=value))
    assert not sure(with_option(question, ctx=value + 256))


def test_a_kv_type_that_the_model_cannot_have_is_not_proposed() -> None:
    """The question whether it fits answers for that."""
    question = long_conversation(700)

    def only_context(changed: Question) -> bool:
        return changed.options.kv_type == "f16" and sure(changed)

    problem = build_problem(question, "a", Arrangement.ALONE)
    assert "kv_type" not in {cure.kind for cure in find_cures(problem, lambda _: only_context)}


@pytest.mark.parametrize(
    ("wish", "change", "words"),
    [
        ({"max_nodes": 1}, {"max_nodes": 3}, "it fits with --max-nodes 3"),
        ({"exclude": ("b",)}, {"exclude": ()}, "it fits without --exclude"),
        ({"only": ("b", "a/cpu:0")}, {"only": ()}, "it fits without --only"),
        ({"require": ("a/cpu:0",)}, {"require": ()}, "it fits without --require"),
    ],
)
def test_wishes_that_are_in_the_way_are_named(
    wish: dict[str, object], change: dict[str, object], words: str
) -> None:
    """Where a model fits without what the user asked for beside, that is said."""
    model = workload([70 * MB] * 2)
    devices = [device(f"{node}/cuda:0", 100 * MB) for node in "bc"]
    known = registry(device("a/cpu:0", 40 * MB), *devices)
    question = with_option(Question(known, model, options()), **wish)
    assert not sure(question)
    (kind,) = wish
    found = cures(question)[kind]
    assert (found.change, found.text) == (change, words)
    assert sure(with_option(question, **found.change))


def test_a_new_device_is_one_that_may_be_used() -> None:
    """Where the user names all that may be used, the new one is meant too."""
    question = Question(*case(device("b/cuda:0", 100 * MB), device("a/new:0", 10 * MB)))
    question = with_option(question, only=("b/cuda:0",))
    size = cures(question)["new_device"].change["memory_bytes"]
    assert isinstance(size, int)
    assert sure(with_option(with_new_device(question, size), only=("b/cuda:0", "a/more:0")))


def test_memory_is_proposed_for_a_shared_memory_as_a_whole() -> None:
    """More memory on a device with unified memory is more RAM of its node."""
    devices = [device("b/cpu:0", 100 * MB), device("b/metal:0", 150 * MB, unified=True)]
    known = registry(*devices, nodes=("a",), ram={"b": 150 * MB})
    found = cures(Question(known, workload(), options()))["more_memory"]
    assert found.change["device"] == "b/metal:0"
    assert " more memory on b/metal:0" in found.text


def test_headroom_is_part_of_what_is_proposed() -> None:
    """Where not even the headroom is there, more memory makes up for that first."""
    asked = options().model_copy(update={"headroom_bytes": 200 * MB})
    question = Question(*case(device("b/cuda:0", 100 * MB), asked=asked))
    found = cures(question)
    assert found["new_device"].change["memory_bytes"] > 400 * MB  # pyright: ignore[reportOperatorIssue] - it is a number
    for kind in ("more_memory", "new_device"):
        check(question, found[kind])


def test_a_smaller_quantisation_is_the_largest_that_fits() -> None:
    """A file of the size that is named fits where one that is larger by a thousandth does not."""
    question = Question(*case(device("b/cuda:0", 180 * MB)))
    found = cures(question)["quantisation"]
    size, whole = found.change["file_bytes"], question.workload.file_bytes
    assert isinstance(size, int)
    for more, fit in ((0, True), (whole // 1000 + 1, False)):
        assert sure(question._replace(workload=scaled(question, (size + more) / whole))) is fit
    said = found.text.partition("at most ")[2].partition(" instead of")[0]
    assert 0.98 * size < parse_bytes(said) <= size


def scaled(question: Question, share: float) -> Workload:
    """The model with all its tensors larger or smaller."""
    model = question.workload
    sizes = [int(sum(part.weight_bytes.values()) * share) for part in model.blocks]
    head = int(20 * MB * share)
    return workload(sizes, head=head, embedding=head)


def test_nobody_quantises_to_nothing() -> None:
    """Below one and a half bits per weight no file is proposed."""
    assert "quantisation" not in cures(Question(*case(device("b/cuda:0", 40 * MB))))


def test_sizes_in_words_are_enough() -> None:
    """Rounded to three digits, what is said to be enough still is."""
    question = Question(*case(device("b/cuda:0", 100 * MB)))
    for kind, words in (("more_memory", " more memory"), ("new_device", " on a")):
        cure = cures(question)[kind]
        said = parse_bytes(
            cure.text.removeprefix("it would fit with ")
            .partition(words)[0]
            .removeprefix("one more device of ")
        )
        size = cure.change["memory_bytes"]
        assert isinstance(size, int)
        assert size <= said <= 1.02 * size


@pytest.mark.parametrize("limit", range(-1, 6))
def test_bisection_finds_the_last_and_the_first(limit: int) -> None:
    """As going through all would; None where none fits."""
    steps = range(5)
    assert largest(steps, lambda step: step <= limit) == (min(limit, 4) if limit >= 0 else None)
    first = max(limit, 0) if limit <= 4 else None
    assert smallest(steps, lambda step: step >= limit) == first
    assert largest(range(0), lambda _: True) is None
