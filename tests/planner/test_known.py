"""What a prediction rests on, and how sure it is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from hgx.core.benchmark import Benchmark
from hgx.planner.anatomy import answer_of, dissect, links_of, price_answer
from hgx.planner.calibrate import Correction, Factor
from hgx.planner.evaluate import evaluate
from hgx.planner.known import numbers, uncertainty
from hgx.planner.problem import Question
from tests.planner.made import Case, case, device, options, rates, with_devices, with_engine
from tests.planner.requests import NOON

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hgx.core.explanation import Known
    from hgx.core.plan import Objective
    from hgx.planner.anatomy import Priced

TWO = (("a/cuda:0", 0, 1), ("b/cuda:0", 2, 3))


def priced(
    question: Case,
    *placement: tuple[str, int, int],
    corrections: Mapping[str, Correction] | None = None,
) -> Priced:
    """A placement, priced."""
    learnt = corrections or {}
    plan = evaluate(
        question.registry, question.workload, placement, question.options, corrections=learnt
    )
    answer = answer_of(plan)
    assert answer is not None
    return price_answer(Question(*question, learnt), answer)


def told(one: Priced, *assumed: tuple[str, str]) -> dict[tuple[str, str], Known]:
    """Numbers by subject and quantity."""
    links = links_of(one.answer.coordinator, dissect(one))
    return {
        (number.subject, number.quantity): number
        for number in numbers(one, links, frozenset(assumed))
    }


def test_rates_have_their_rank() -> None:
    """Each rate says where it comes from and whether it scattered; launching is a default."""
    evidence = {
        "memory_bandwidth_bytes_per_s": {"rank": "driver", "noisy": True},
        "compute_flops_per_s": {"rank": "vendor"},
    }
    one = device("a/cuda:0", free=900_000_000).model_copy(update={"evidence": evidence})
    found = told(priced(case(one), ("a/cuda:0", 0, 3)))
    bandwidth = found["a/cuda:0", "memory bandwidth"]
    assert (bandwidth.rank, bandwidth.value) == ("driver", 1e11)
    assert bandwidth.note == "scattered while it was measured"
    assert (found["a/cuda:0", "arithmetic"].rank, found["a/cuda:0", "arithmetic"].note) == (
        "vendor",
        None,
    )
    assert found["a/cuda:0", "launching a block"].rank == "default"
    assert found["a/cuda:0", "memory"].value == 900_000_000
    assert found["a", "drawing a token"].rank == "default"


def test_rates_of_the_engine_are_by_type() -> None:
    """A type that was not measured says what stands for it."""
    one = with_engine(device("a/cuda:0"), rates(Q4_K=2e-11))
    found = told(priced(case(one), ("a/cuda:0", 0, 3)))
    assert found["a/cuda:0", "reading Q4_K"].value == pytest.approx(5e10)
    assert found["a/cuda:0", "reading Q4_K"].rank == "engine"
    assert found["a/cuda:0", "reading Q4_K"].note is None
    assert found["a/cuda:0", "reading Q6_K"].note == "measured as Q4_K"
    assert found["a/cuda:0", "arithmetic with Q4_K"].value == pytest.approx(5e12)
    assert found["a/cuda:0", "launching a block"].rank == "engine"
    assert found["a/cuda:0", "memory bandwidth"].note == "for KV and attention"


def test_links_have_their_rank() -> None:
    """A link was measured, assumed, or written down by somebody."""
    question = case(device("a/cuda:0"), device("b/cuda:0"))
    found = told(priced(question, *TWO))
    assert found["b", "link, round trip"].rank is None
    assert found["b", "link, to it"].value == 1e8
    found = told(priced(question, *TWO), ("a", "b"))
    assert found["b", "link, round trip"].rank == "default"
    benchmark = Benchmark(
        name="rtt",
        unit="s",
        median=1e-3,
        quartiles=(1e-3, 1e-3),
        samples=(1e-3,),
        method="pings",
        measured_at=NOON,
    )
    links = tuple(
        one.model_copy(update={"benchmarks": {"rtt": benchmark}}) for one in question.registry.links
    )
    measured = question._replace(registry=question.registry.model_copy(update={"links": links}))
    assert told(priced(measured, *TWO))["b", "link, back from it"].rank == "link"


def test_the_own_loopback_is_assumed() -> None:
    """A CPU of the coordinator behind other stages is reached over a loopback nobody measured."""
    question = case(device("b/cuda:0"), device("a/cpu:0"))
    found = told(priced(question, ("b/cuda:0", 0, 1), ("a/cpu:0", 2, 3)))
    assert found["a", "link, round trip"].rank == "default"


def test_what_was_learnt_has_its_error() -> None:
    """Factors come with their standard error and with how many requests they rest on."""
    learnt = {"a/cuda:0": Correction(Factor(1.2, 0.05, 9))}
    found = told(priced(case(device("a/cuda:0")), ("a/cuda:0", 0, 3), corrections=learnt))
    factor = found["a/cuda:0", "decode takes, of what its rates say"]
    assert (factor.value, factor.error, factor.rank) == (1.2, 0.05, "served")
    assert factor.note == "from 9 served requests"
    assert not any(quantity.startswith("prefill") for _, quantity in found)


@pytest.mark.parametrize("objective", ["latency", "throughput"])
def test_errors_add_up_in_squares(objective: Objective) -> None:
    """Per token they are those of each device's own seconds; of the rate, relative to its step."""
    question = case(
        device("a/cuda:0", bandwidth=1e10), device("b/cuda:0"), asked=options(objective, parallel=2)
    )
    bare = priced(question, *TWO)
    own = [stage.decode_s - stage.wire_s for stage in bare.stages]
    learnt = {
        "a/cuda:0": Correction(Factor(1.0, 0.1, 9), Factor(1.0, 0.2, 9)),
        "b/cuda:0": Correction(Factor(1.0, 0.3, 9), Factor(1.0, 0.1, 9)),
    }
    error = uncertainty(priced(question, *TWO, corrections=learnt))
    assert error.tpot_s == pytest.approx(math.hypot(0.1 * own[0], 0.3 * own[1]))
    seconds = [stage.decode_s for stage in bare.stages]
    step, off = sum(seconds), math.hypot(0.1 * own[0], 0.3 * own[1])
    if objective == "throughput":
        step, off = seconds[0], 0.1 * own[0]
    assert error.tokens_per_s == pytest.approx(2 / step * off / step)
    assert error.ttft_s is not None
    assert error.ttft_s > 0


def test_nothing_is_claimed_of_devices_that_never_served() -> None:
    """One device without requests leaves the whole unknown; each phase is for itself."""
    question = case(device("a/cuda:0"), device("b/cuda:0"))
    known = Correction(Factor(1.0, 0.1, 9))
    error = uncertainty(priced(question, *TWO, corrections={"a/cuda:0": known}))
    assert (error.ttft_s, error.tpot_s, error.tokens_per_s) == (None, None, None)
    both = {"a/cuda:0": known, "b/cuda:0": known}
    error = uncertainty(priced(question, *TWO, corrections=both))
    assert error.ttft_s is None
    assert error.tpot_s is not None


def test_types_without_rates_go_by_the_general_ones() -> None:
    """An engine that was measured with no type at all changes nothing but launching."""
    empty = rates()
    question = with_devices(case(device("a/cuda:0")), [with_engine(device("a/cuda:0"), empty)])
    found = told(priced(question, ("a/cuda:0", 0, 3)))
    assert not any(quantity.startswith("reading") for _, quantity in found)
    assert found["a/cuda:0", "memory bandwidth"].note is None
    assert found["a/cuda:0", "launching a block"].rank == "engine"
