"""Two plans compared: of other hardware in thought, or of another time."""

from __future__ import annotations

from hgx.core.base import Bytes, Identifier, NonNegative, Seconds, Strict
from hgx.core.plan import Plan, Predicted, Status


class Run(Strict):
    """What a device has in one of the plans.

    ``last_block`` is included; ``experts_away`` counts blocks whose routed experts are in the
    coordinator's RAM; ``memory_bytes`` is all that the stage takes.
    """

    first_block: int
    last_block: int
    output_head: bool
    experts_away: int
    memory_bytes: Bytes
    seconds_per_token: Seconds


class Summary(Strict):
    """The part of a plan that others are held against.

    ``gap`` is that of its bound: how far from optimal it can be at most, as a part; null where
    nothing is known of that. ``coordinator`` is null where no node was chosen, ``ctx`` where an
    older version wrote the plan.
    """

    ctx: int | None
    status: Status
    gap: NonNegative | None
    predicted: Predicted | None
    coordinator: Identifier | None
    stages: dict[Identifier, Run]


class Ratio(Strict):
    """Predictions of the later plan over those of the earlier one."""

    ttft: NonNegative
    tpot: NonNegative
    tokens_per_s: NonNegative


class WhatIfPlan(Plan):
    """A plan for changed hardware, and what is planned for the present one.

    Attributes:
        changes: As they were asked for.
        baseline: The plan for the hardware as it is.
        ratio: Changed over present; null where one of them is infeasible.
    """

    changes: tuple[str, ...]
    baseline: Summary
    ratio: Ratio | None


class Move(Strict):
    """A run of layers that another device has now; the output head is the layer after the blocks.

    ``source`` and ``target`` are ids of devices, null where a plan has the layers nowhere.
    """

    first_layer: int
    last_layer: int
    source: Identifier | None
    target: Identifier | None


class PlanChanges(Strict):
    """What is different in a plan from an earlier one.

    Attributes:
        before: The earlier plan.
        after: The later one.
        moves: Layers that changed their device, in their order; none where the models have
            different numbers of blocks.
        ratio: Later over earlier; null where one of them is infeasible.
        notes: Sentences: what else is different, so that figures may not be comparable.
    """

    before: Summary
    after: Summary
    moves: tuple[Move, ...]
    ratio: Ratio | None
    notes: tuple[str, ...]
