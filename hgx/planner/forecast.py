"""What one request should take with a placement that serves, device by device."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hgx.planner.constraints import device_limits
from hgx.planner.placement import block_seconds_of, first_token_s, price
from hgx.planner.problem import arrange, build_problem

if TYPE_CHECKING:
    from hgx.planner.placement import Placement
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


def forecast(
    question: Question, coordinator: str, placement: Placement, *, mapped: bool = False
) -> Forecast:
    """Predict one request; whether the placement fits into memory is not asked.

    Args:
        question: Its options are of this request: its prompt and what of it is cached, its
            answer, and as many conversations in parallel as there were.
        coordinator: Node that serves.
        placement: On devices that the coordinator reaches.
        mapped: Whether the coordinator's CPU reads its weights from the disk.
    """
    used = {device for device, _, _ in placement}
    devices = tuple(one for one in question.registry.devices if one.id in used)
    registry = question.registry.model_copy(update={"devices": devices})
    question = question._replace(registry=registry)
    arrangement = arrange(question, coordinator, [device for device, _, _ in placement])
    problem = build_problem(question, coordinator, arrangement, mapped=mapped)
    stages = price(problem, placement, device_limits(problem))
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
