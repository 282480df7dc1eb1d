"""One request, predicted device by device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hgx.planner.anatomy import Answer
from hgx.planner.forecast import forecast
from hgx.planner.problem import Question
from hgx.planner.solve import solve
from tests.planner.made import MB, case, cases, device, placement_of

if TYPE_CHECKING:
    from tests.planner.made import Case


@settings(max_examples=50, deadline=None)
@given(question=cases())
def test_a_request_takes_what_the_plan_promises(question: Case) -> None:
    """For the prompt and answer that a plan is for, both predict the same."""
    plan = solve(*question)
    if plan.predicted is None or plan.host is None:
        return
    found = forecast(Question(*question), Answer(plan.host.node, placement_of(plan)))
    assert found.ttft_s == pytest.approx(plan.predicted.ttft_s)
    assert found.tpot_s == pytest.approx(plan.predicted.tpot_s)
    assert sum(it.decode_s for it in found.devices) <= found.tpot_s * (1 + 1e-9)
    assert sum(it.prefill_s for it in found.devices) <= found.ttft_s * (1 + 1e-9)


@given(cached=st.integers(0, 255))
def test_a_cached_prompt_is_quicker(cached: int) -> None:
    """The more of a prompt is cached, the sooner its first token comes."""
    question = case(device("a/cuda:0", flops=1e11), device("b/cuda:0", flops=1e11))
    placement = (("a/cuda:0", 0, 1), ("b/cuda:0", 2, 3))

    def ttft(tokens: int) -> float:
        update = {"prompt_tokens": 256, "cached_tokens": tokens}
        asked = question.options.model_copy(update=update)
        return forecast(Question(*question._replace(options=asked)), Answer("a", placement)).ttft_s

    assert ttft(cached) <= ttft(0)
    assert ttft(255) < ttft(0) / 10


def test_devices_have_their_share_and_the_wire_none() -> None:
    """What is left of a token beside its devices is what the wire takes."""
    question = case(device("a/cuda:0"), device("b/cuda:0"))
    placement = (("a/cuda:0", 0, 1), ("b/cuda:0", 2, 3))
    found = forecast(Question(*question), Answer("a", placement))
    near, far = question.problem().slots
    assert found.devices[0].decode_s == pytest.approx(near.decode.blocks[:2].sum())
    assert found.devices[1].decode_s == pytest.approx(far.decode.blocks[2:].sum())
    assert found.devices[1].prefill_s == pytest.approx(far.prefill.blocks[2:].sum())
    wire = far.decode.hop.turn + far.decode.hop.enter + far.decode.hop.finish
    assert found.tpot_s - sum(it.decode_s for it in found.devices) == pytest.approx(wire)


def test_what_serves_need_not_fit_any_more() -> None:
    """Memory that others have taken since does not matter for how long a request takes."""
    full = case(device("a/cuda:0", 1000 * MB, free=0))
    assert forecast(Question(*full), Answer("a", (("a/cuda:0", 0, 3),))).tpot_s > 0
