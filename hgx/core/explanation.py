"""Why a plan is as it is, in numbers: what a token takes, what binds, and what would change that.

Seconds and bytes of a token are those of one step: one token of every conversation.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hgx.core.base import Bytes, NonNegative, Seconds, Strict
from hgx.core.plan import Plan, Predicted
from hgx.core.registry import EvidenceRank

Rank = EvidenceRank | Literal["served", "link"]
"""Where a number comes from: as for a device's rates, or learnt from served requests, or a link
that was measured."""

Binds = Literal["bandwidth", "arithmetic", "launch", "sampling", "away", "link", "memory"]
"""What a plan is limited by; ``launch`` is what a block costs whatever its size, ``away`` that its
weights or experts are elsewhere."""

Improvable = Literal["memory", "bandwidth", "arithmetic", "link"]
"""What one can have more of."""


class WorkSeconds(Strict):
    """What a stage's device spends its time on; they add up.

    Reading and arithmetic of a block overlap, and the longer of the two counts.

    Attributes:
        weights_s: Reading weights.
        kv_s: Reading the KV cache and recurrent states.
        arithmetic_s: Arithmetic, of blocks where it takes longer than reading.
        launch_s: What blocks cost whatever their size.
        sampling_s: Drawing tokens, as long as the coordinator takes.
        away_s: What blocks take beyond that whose weights come from the disk, or whose experts are
            in the coordinator's RAM.
    """

    weights_s: Seconds
    kv_s: Seconds
    arithmetic_s: Seconds
    launch_s: Seconds
    sampling_s: Seconds
    away_s: Seconds = 0.0

    @property
    def total_s(self) -> float:
        """All of it."""
        return sum(dict(self).values())


class WireSeconds(Strict):
    """What the wire between coordinator and stage takes; they add up.

    Attributes:
        round_trip_s: There and back, however little crosses.
        control_s: Positions and the mask.
        engine_s: What the engine takes for a stage on the wire besides.
        hidden_in_s: Hidden states to the stage.
        hidden_out_s: Hidden states back.
        logits_s: Logits, or what was drawn, to the coordinator; also what drawing takes longer on
            a device than on the coordinator.
    """

    round_trip_s: Seconds = 0.0
    control_s: Seconds = 0.0
    engine_s: Seconds = 0.0
    hidden_in_s: Seconds = 0.0
    hidden_out_s: Seconds = 0.0
    logits_s: Seconds = 0.0

    @property
    def total_s(self) -> float:
        """All of it."""
        return sum(dict(self).values())


class PhaseSeconds(Strict):
    """A token, or the whole prompt, on one stage: on its device, and on its wire."""

    work: WorkSeconds
    wire: WireSeconds

    @property
    def total_s(self) -> float:
        """All of it."""
        return self.work.total_s + self.wire.total_s


class Traffic(Strict):
    """Bytes that cross a wire for one token: to the stage, and back to the coordinator."""

    there_bytes: Bytes
    back_bytes: Bytes


class StageCost(Strict):
    """What one stage takes.

    Attributes:
        device: Its id.
        node: Its node.
        token: Seconds per token.
        prompt: Seconds for the prompt.
        weights_bytes: Weights read per token, wherever they are.
        kv_bytes: KV cache and recurrent states read per token.
        flops: Operations per token.
        traffic: What crosses its wire per token; null where it has none.
    """

    device: str
    node: str
    token: PhaseSeconds
    prompt: PhaseSeconds
    weights_bytes: Bytes
    kv_bytes: Bytes
    flops: NonNegative
    traffic: Traffic | None


class LinkCost(Strict):
    """What the link from the coordinator to a node takes, for all stages there together."""

    coordinator: str
    node: str
    token: WireSeconds
    prompt: WireSeconds
    traffic: Traffic


class Binding(Strict):
    """Something that limits the plan.

    Attributes:
        kind: What of it.
        subject: Id of a device, or of the node at a link's other end.
        share: Part of the objective that it takes; null for memory.
        left_bytes: Memory left that is too little for one more block; null for all else.
    """

    kind: Binds
    subject: str
    share: Annotated[float, Field(ge=0, le=1)] | None
    left_bytes: Bytes | None = None


class Marginal(Strict):
    """What more of one thing would bring, by solving the changed problem.

    Attributes:
        kind: More of what: so much more memory, else twice as much.
        subject: Id of a device, or of the node at a link's other end.
        extra_bytes: How much more memory; null for all else.
        gain: How much faster by the objective: 0.11 where 1.11 times as much gets done.
        proven: Whether it is proven that no placement gains more.
        predicted: What the best placement found promises.
    """

    kind: Improvable
    subject: str
    extra_bytes: Bytes | None
    gain: NonNegative
    proven: bool
    predicted: Predicted


Reason = Literal["unpaired", "battery", "refused", "unreachable", "impossible", "slower", "open"]
"""Why a device has no blocks: its node is not trusted, its node's battery does not last, the user
does not want it, no link leads there, no placement with it fits, the best with it is no faster, or
that was not found out."""


class LeftOut(Strict):
    """A device without blocks.

    Attributes:
        device: Its id.
        reason: Why.
        longer: Part by which the best placement found with it takes longer, by the objective; below
            0 where it is faster. Null where there is none.
        proven: Whether it is proven that no placement with it takes less.
    """

    device: str
    reason: Reason
    longer: float | None = None
    proven: bool = False


class Run(Strict):
    """Consecutive blocks on a device, ends included."""

    device: str
    first_block: int
    last_block: int


Rule = Literal["memory", "speed", "fastest_first", "best"]
"""How blocks may be split: in proportion to memory, in proportion to the memory's bandwidth, the
fastest device filled first, or as the planner would."""


class Split(Strict):
    """Another way to place the model, and how it compares.

    Attributes:
        rule: How blocks are split.
        runs: The placement, in pipeline order.
        predicted: What it promises; null where it cannot be.
        longer: Part by which it takes longer than the plan, by the objective; null likewise.
        refused: Why it cannot be; null where it can.
    """

    rule: Rule
    runs: tuple[Run, ...]
    predicted: Predicted | None
    longer: float | None
    refused: str | None = None


class Known(Strict):
    """One number that the prediction rests on.

    Attributes:
        subject: Id of a device, of the node at a link's other end, or of the coordinator.
        quantity: What it is of it, in words.
        value: How much.
        unit: Of value and error; ``times`` for a factor.
        rank: Where it comes from; null where the registry does not say.
        error: Standard error, where known.
        note: What else must be known of it.
    """

    subject: str
    quantity: str
    value: float
    unit: Literal["bytes", "bytes_per_s", "flops_per_s", "s", "times"]
    rank: Rank | None
    error: NonNegative | None = None
    note: str | None = None


class Uncertainty(Strict):
    """Standard errors of what is predicted.

    Null where served requests do not tell of every device in use: then nothing is known of it.
    """

    ttft_s: Seconds | None
    tpot_s: Seconds | None
    tokens_per_s: NonNegative | None


class Explanation(Strict):
    """All that can be said of a plan.

    Attributes:
        objective_s: What the plan minimises, in seconds: all shares and gains are of it.
        stages: What each stage takes, in pipeline order.
        links: What each link takes.
        binds: What limits the plan, the largest share first, full memories last.
        marginals: What more of something would bring, the largest gain first.
        left_out: Devices without blocks.
        splits: How others would place the model.
        known: What the prediction rests on.
        error: Standard errors of what the plan promises.
        unasked: How many changed problems were not solved for want of time.
    """

    objective_s: Seconds
    stages: tuple[StageCost, ...]
    links: tuple[LinkCost, ...]
    binds: tuple[Binding, ...]
    marginals: tuple[Marginal, ...]
    left_out: tuple[LeftOut, ...]
    splits: tuple[Split, ...]
    known: tuple[Known, ...]
    error: Uncertainty
    unasked: int


class ExplainedPlan(Plan):
    """A plan, and why it is as it is."""

    explanation: Explanation
