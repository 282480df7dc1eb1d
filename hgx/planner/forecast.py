"""What one request should take with a placement that serves, device by device."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hgx.planner.anatomy import problem_of
from hgx.planner.constraints import device_limits
from hgx.planner.placement import block_seconds_of, first_token_s, price

if TYPE_CHECKING:
    from hgx.planner.anatomy import Answer
    from hgx.planner.problem import Question


class DeviceSeconds(NamedTuple):
    """What a stage's device takes, without the wire: per token, and for the prompt."""

    decode_s: float
    prefill_s: float


class Forecast(NamedTuple):
    """Times of one request, the wire included, and what each stage's device has of them."""

    ttft_s: float
    tpot_s: float
    devices: tuple[DeviceSeconds, ...]


def forecast(question: Question, answer: Answer) -> Forecast:
    """Predict one request; whether the placement fits into memory is not asked.

    Args:
        question: Its options are of this request: its prompt and what of it is cached, its
            answer, and as many conversations in parallel as there were.
        answer: What serves.
    """
    used = {device for device, _, _ in answer.placement}
    devices = tuple(
        one
        for one in question.registry.devices
        if one.id in used or (answer.experts_away and one.node == answer.coordinator)
    )
    registry = question.registry.model_copy(update={"devices": devices})
    question = question._replace(registry=registry)
    problem = problem_of(question, answer)
    stages = price(problem, answer.placement, device_limits(problem))
    return Forecast(
        ttft_s=first_token_s(problem, stages),
        tpot_s=sum(stage.decode_s for stage in stages),
        devices=tuple(
            DeviceSeconds(
                *(
                    block_seconds_of(
                        phase, stage.first_block, stage.last_block, head=stage.output_head
                    )
                    for phase in (stage.slot.decode, stage.slot.prefill)
                )
            )
            for stage in stages
        ),
    )
