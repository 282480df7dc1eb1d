"""Why a plan is as it is, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hgx.planner.calibrate import Correction, Factor
from hgx.planner.evaluate import evaluate
from hgx.planner.solve import solve
from hgx.units import format_tokens
from tests.planner.made import (
    MB,
    Case,
    block,
    case,
    device,
    link,
    options,
    rates,
    registry,
    with_engine,
    workload,
)

if TYPE_CHECKING:
    from hgx.core.registry import Device


def why(question: Case, *placement: tuple[str, int, int]) -> str:
    """What is said of the best placement, or of the one given; one sentence per line."""
    if placement:
        return "\n".join(
            evaluate(question.registry, question.workload, placement, question.options).why
        )
    return "\n".join(solve(*question).why)


@pytest.mark.parametrize(
    ("slow", "said"),
    [
        (device("b/cuda:0", bandwidth=1e9), "the memory bandwidth of b/cuda:0: "),
        (device("b/cuda:0", bandwidth=1e12, flops=1e9), "the arithmetic of b/cuda:0: "),
        (device("b/cuda:0", bandwidth=1e15, flops=1e18), "the wire to b: "),
    ],
)
def test_what_limits_is_named(slow: Device, said: str) -> None:
    """Of the slowest stage, the longest of reads, arithmetic and wire is what limits."""
    question = case(slow, device("a/cuda:0", bandwidth=1e14, flops=1e17))
    assert f"limited by {said}" in why(question, ("b/cuda:0", 0, 2), ("a/cuda:0", 3, 3))


def test_a_full_device_is_named() -> None:
    """A device whose room is less than a block is full, and the sentence says what is left."""
    question = case(device("a/cuda:0", 135 * MB, 1e12), device("b/cuda:0"))
    said = why(question, ("a/cuda:0", 0, 1), ("b/cuda:0", 2, 3))
    assert "a/cuda:0 is full: " in said
    assert "b/cuda:0 is full" not in said


def test_one_device_for_all_is_not_called_full() -> None:
    """Where one device holds everything, how much is left does not matter."""
    assert "is full" not in why(case(device("b/cuda:0", 260 * MB)))


def test_devices_left_out_are_named() -> None:
    """Up to eight are named; that they would be slower is said where it is proven."""
    idle = [device(f"n{at}/cuda:0", bandwidth=1e9) for at in range(10)]
    question = case(device("a/cuda:0"), *idle)
    said = why(question)
    assert "left out: n0/cuda:0, n1/cuda:0" in said
    assert "n7/cuda:0 and 2 more; no use of them is faster" in said
    slow = why(question, ("n0/cuda:0", 0, 3))
    assert "no use of them is faster" not in slow


def test_devices_out_of_reach_are_named() -> None:
    """A device without a link is not called slow but out of reach."""
    lonely = registry(device("a/cuda:0"), device("b/cuda:0"), links=[])
    said = why(Case(lonely, workload(), options()))
    assert "b/cuda:0 is out of reach" in said
    assert "left out" not in said


def test_streams_that_take_turns_are_slower() -> None:
    """Under throughput with several stages, the rate of stages that take turns is said as well."""
    devices = [device(f"{node}/cuda:0", 170 * MB) for node in "bc"]
    question = case(*devices, asked=options("throughput", parallel=2))
    rate = 2 / sum(stage.seconds_per_token for stage in solve(*question).stages)
    assert f"when they take turns, as with few streams, it is {format_tokens(rate)}" in why(
        question
    )
    assert "take turns" not in why(case(device("b/cuda:0"), asked=options("throughput")))
    assert "take turns" not in why(case(*devices))


def test_a_context_beyond_training_is_pointed_out() -> None:
    """A longer context than the model was trained for works, and is worth a sentence."""
    asked = options(ctx=4096)
    for trained, said in ((2048, True), (4096, False), (None, False)):
        question = case(device("a/cuda:0"), model=workload(n_ctx_train=trained), asked=asked)
        assert ("was trained for" in why(question)) == said


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        (None, "not measured: the rates of a/cuda:0 are of unknown origin"),
        ("vendor", "not measured: the rates of a/cuda:0 are vendor figures"),
        ("driver", ""),
        ("engine", ""),
    ],
)
def test_what_was_not_measured_is_said(evidence: str | None, said: str) -> None:
    """Only devices that the plan uses and nobody measured are named."""
    used = device("a/cuda:0", bandwidth=1e12).model_copy(update={"evidence": evidence})
    sentences = why(case(used, device("b/cuda:0")))
    assert said in sentences
    assert ("the rates of" in sentences) == bool(said)


def test_what_was_measured_badly_is_said() -> None:
    """A plan that rests on a rate that scattered says so."""
    noise = {"compute_flops_per_s": {"rank": "driver", "noisy": True}}
    used = device("a/cuda:0", bandwidth=1e12).model_copy(update={"evidence": noise})
    said = "noisy: the rates of a/cuda:0 scattered; hgx bench measures them properly"
    assert said in why(case(used, device("b/cuda:0")))


def test_a_wire_can_be_what_limits_the_best_plan() -> None:
    """Where only a far device has room, its wire is named with its share of a token."""
    far = registry(device("b/cuda:0", bandwidth=1e12), nodes=("a",), links=[link("a", "b", 0.5)])
    said = why(Case(far, workload(), options()))
    assert "limited by the wire to b: 100% of the 50" in said


def test_blocks_of_different_kinds_are_weighed_by_number() -> None:
    """Arithmetic limits a stage where it limits more than half of its blocks."""
    heavy = [block(50 * MB, flops=1e12)] * 3 + [block(50 * MB, flops=0.0)]
    said = why(case(device("a/cuda:0", flops=1e12), model=workload(blocks=heavy)))
    assert "limited by the arithmetic of a/cuda:0: 100%" in said


def test_the_engines_measurements_are_named() -> None:
    """Devices measured with the engine are named, with the types that others stand for."""
    one = with_engine(device("a/cuda:0"), rates(Q4_K=1e-10))
    said = why(case(one))
    assert "measured with the engine: a/cuda:0 (Q6_K as Q4_K)" in said
    assert "the rates of" not in said
    assert "limited by reading and unpacking weights on a/cuda:0" in said
    for nothing in (rates(), rates(later=1e-10)):
        assert "with the engine" not in why(case(with_engine(device("a/cuda:0"), nothing)))
    both = with_engine(device("a/cuda:0"), rates(Q4_K=1e-10, Q6_K=1e-10))
    assert "measured with the engine: a/cuda:0\n" in why(case(both)) + "\n"


def test_types_that_hardly_matter_are_not_named() -> None:
    """Norms in F32 are a thousandth of the weights: what stands for them is not worth a word."""
    small = block().model_copy(update={"weight_bytes": {"Q4_K": 50 * MB, "F32": 50_000}})
    one = with_engine(device("a/cuda:0"), rates(Q4_K=1e-10, Q6_K=1e-10))
    assert "F32" not in why(case(one, model=workload(blocks=[small])))


def test_fixed_costs_of_the_engine_are_not_assumed() -> None:
    """Launching is called assumed only where it was not measured."""
    fixed = rates(Q4_K=1e-18, Q6_K=1e-18).model_copy(update={"decode_layer_s": 0.1})
    said = why(case(with_engine(device("a/cuda:0", bandwidth=1e18, flops=1e18), fixed)))
    assert "limited by launching blocks on a/cuda:0: 100%" in said


def test_corrections_are_told() -> None:
    """What served requests changed is said with its error, and what they confirmed is not."""
    question = case(device("a/cuda:0"), device("b/cuda:0"), device("c/cuda:0"))
    learnt = {
        "a/cuda:0": Correction(Factor(1.084, 0.02, 12), Factor(0.7, 0.1, 4)),
        "b/cuda:0": Correction(Factor(1.001, 0.02, 12)),
    }
    plan = solve(*question, corrections=learnt)
    (said,) = [sentence for sentence in plan.why if "corrected" in sentence]
    assert said == (
        "corrected by 12 served requests: a/cuda:0 takes 1.08 ± 0.02 times as long to decode and "
        "0.70 ± 0.10 times as long to prefill as its rates say"
    )
    limit, uncorrected = (one.why[0].split(" of the ")[0] for one in (plan, solve(*question)))
    assert limit == uncorrected  # what it spends its time on is stretched with the whole
