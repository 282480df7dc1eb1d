"""Served requests: what is written down of one, and what all of them teach the planner."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hgx.core.served import Expected, ServedRequest, ServedStage, rates_key
from hgx.errors import StorageError
from hgx.planner.anatomy import answer_of
from hgx.planner.calibrate import NO_CORRECTIONS, Correction, calibrate
from hgx.planner.forecast import forecast

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from hgx.core.plan import Plan
    from hgx.core.registry import Registry
    from hgx.core.served import Measured
    from hgx.planner.forecast import Forecast
    from hgx.planner.placement import Placement
    from hgx.planner.problem import Question
    from hgx.store.ledger import Ledger

NEWEST = 500
"""Requests to learn from: older ones would add little."""


class Lessons(NamedTuple):
    """What served requests teach.

    Attributes:
        corrections: By id of device.
        notes: Why there are none, where the ledger cannot be used; one sentence.
    """

    corrections: Mapping[str, Correction] = NO_CORRECTIONS
    notes: tuple[str, ...] = ()


class Answered(NamedTuple):
    """A request as it was answered.

    Attributes:
        at: When the answer ended.
        prompt_tokens: Length of the prompt.
        cached_tokens: Those of them that were not computed again.
        output_tokens: Length of the answer.
        parallel: Conversations that were answered at the same time, this one included.
        measured: What it took.
    """

    at: datetime
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    parallel: int
    measured: Measured


def learn(registry: Registry, ledger: Ledger | None) -> Lessons:
    """Learn from the ledger what predictions for a registry's devices lack.

    A plan without corrections is better than none, so that a ledger that cannot be read is a note.

    Args:
        registry: The devices.
        ledger: Where served requests are; nothing is learnt where null.
    """
    if ledger is None:
        return Lessons()
    try:
        requests = ledger.requests(NEWEST)
    except StorageError as error:
        return Lessons(notes=(f"not corrected by served requests: {error.message}",))
    return Lessons(calibrate(registry, requests))


def served_request(question: Question, plan: Plan, answered: Answered) -> ServedRequest:
    """Put a request beside what is predicted of it, as the ledger keeps it.

    Args:
        question: What the plan answers, with the corrections it was made with.
        plan: What serves; it has a host and stages.
        answered: The request.

    Raises:
        ValueError: The plan is infeasible: nothing serves.
    """
    answer = answer_of(plan)
    if answer is None:
        msg = "a plan without stages serves nothing"
        raise ValueError(msg)
    registry, workload, options, _ = question
    asked = options.model_copy(
        update={
            "prompt_tokens": max(1, answered.prompt_tokens),
            "cached_tokens": answered.cached_tokens,
            "output_tokens": max(1, answered.output_tokens),
            "parallel": answered.parallel,
        }
    )
    question = question._replace(options=asked)
    promised = forecast(question, answer)
    predicted = forecast(question._replace(corrections=NO_CORRECTIONS), answer)
    return ServedRequest(
        at=answered.at,
        model=workload.name or workload.path,
        architecture=workload.architecture,
        file_bytes=workload.file_bytes,
        ctx=options.ctx,
        parallel=answered.parallel,
        kv_type=options.kv_type,
        prompt_tokens=answered.prompt_tokens,
        cached_tokens=answered.cached_tokens,
        output_tokens=answered.output_tokens,
        predicted=Expected(ttft_s=predicted.ttft_s, tpot_s=predicted.tpot_s),
        promised=Expected(ttft_s=promised.ttft_s, tpot_s=promised.tpot_s),
        measured=answered.measured,
        stages=tuple(_stages(registry, answer.placement, predicted)),
    )


def _stages(registry: Registry, placement: Placement, predicted: Forecast) -> Iterator[ServedStage]:
    keys = {device.id: rates_key(device) for device in registry.devices}
    for (device, first, last), seconds in zip(placement, predicted.devices, strict=True):
        yield ServedStage(
            device=device,
            first_block=first,
            last_block=last,
            rates=keys[device],
            decode_s=seconds.decode_s,
            prefill_s=seconds.prefill_s,
        )
