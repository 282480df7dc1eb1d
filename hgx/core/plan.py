"""The plan document: a placement with its prediction and its proof."""

from __future__ import annotations

from typing import Literal

from hgx.core.base import Bytes, Document, NonNegative, Seconds, Strict

Objective = Literal["latency", "throughput", "balanced"]
"""latency: ttft_s + output_tokens · tpot_s. throughput: the slowest stage's seconds per token.
balanced: the mean of latency and of output_tokens times the slowest stage's seconds per token;
where micro-batches of a prompt overlap, one stage is the slowest in prompt and tokens together."""

Status = Literal["optimal", "feasible", "infeasible"]

CureKind = Literal[
    "ctx",
    "kv_type",
    "parallel",
    "max_nodes",
    "exclude",
    "only",
    "require",
    "headroom_bytes",
    "more_memory",
    "new_device",
    "quantisation",
]


class ModelSummary(Strict):
    """The model a plan is for."""

    path: str
    architecture: str
    name: str | None
    parameters: int
    file_bytes: Bytes
    n_block: int
    n_embd: int
    n_vocab: int


class Predicted(Strict):
    """What the plan promises. Under throughput, ``tokens_per_s`` counts all streams together."""

    ttft_s: Seconds
    tpot_s: Seconds
    tokens_per_s: NonNegative


class Bound(Strict):
    """The proof: no placement can have an objective below ``value`` seconds.

    ``gap`` is (objective - value) / objective, in 0..1; 0 when the plan is proven optimal.
    """

    value: Seconds
    gap: NonNegative


class SolverReport(Strict):
    """Which solver answered, how long it took, and how many search states it opened."""

    name: str
    elapsed_s: Seconds
    nodes: int


class StageMemory(Strict):
    """Bytes a stage takes on its device; ``capacity_bytes`` is what it may take.

    ``mapped_bytes`` are weights that stay on the disk and are read as they are used: they are not
    among ``weights_bytes`` then.
    """

    weights_bytes: Bytes
    kv_bytes: Bytes
    compute_bytes: Bytes
    total_bytes: Bytes
    capacity_bytes: Bytes
    mapped_bytes: Bytes = 0


class Stage(Strict):
    """A run of consecutive blocks on one device, ends included.

    ``seconds_per_token`` is its share of ``tpot_s``: arithmetic, memory reads and network.
    ``experts_away`` counts the blocks, from its first on, whose routed experts are in the
    coordinator's RAM instead, and are its CPU's work.
    """

    device: str
    first_block: int
    last_block: int
    output_head: bool
    memory: StageMemory
    seconds_per_token: Seconds
    experts_away: int = 0


class HostMemory(Strict):
    """Bytes in the coordinator's RAM beside its stages; capacity is null where unknown."""

    weights_bytes: Bytes
    kv_bytes: Bytes
    compute_bytes: Bytes
    total_bytes: Bytes
    capacity_bytes: Bytes | None


class Host(Strict):
    """The coordinator: token embedding and host buffers live there, traffic goes through it."""

    node: str
    memory: HostMemory


class DeviceScore(Strict):
    """A device judged in 0..1 per aspect, and the weighted sum the greedy solver orders by."""

    device: str
    compute: float
    memory: float
    bandwidth: float
    network: float
    thermal: float
    total: float


class Cure(Strict):
    """The smallest change of its kind that makes a model fit, all else as it is.

    Attributes:
        kind: What is changed; the name of an option where it is one.
        change: To what: an option by its name; ``device`` and by how many ``memory_bytes``;
            ``node`` of a new device and its ``memory_bytes``; or ``file_bytes`` at most.
        text: The same in words.
    """

    kind: CureKind
    change: dict[str, int | str | tuple[str, ...]]
    text: str


class Plan(Document):
    """Which blocks go on which device, what that will do, and how good it is proven to be.

    ``backend_sampling`` tells whether tokens are drawn by the device that has the output head, so
    that no logits cross the network. ``ctx`` is the context of one conversation, in tokens, null
    where an older version wrote the plan. ``burst`` is what the same placement promises while
    devices are cool, where the plan is for a long run that some of them cannot keep up; ``cures``
    are what would make an infeasible one feasible.
    """

    version: Literal[1] = 1
    model: ModelSummary
    objective: Objective
    status: Status
    predicted: Predicted | None
    bound: Bound | None
    solver: SolverReport
    stages: tuple[Stage, ...]
    backend_sampling: bool = False
    host: Host | None
    scores: tuple[DeviceScore, ...]
    why: tuple[str, ...]
    ctx: int | None = None
    burst: Predicted | None = None
    cures: tuple[Cure, ...] = ()

    @property
    def placement(self) -> tuple[tuple[str, int, int], ...]:
        """``(device, first_block, last_block)`` of every stage, as the planner takes it."""
        return tuple((it.device, it.first_block, it.last_block) for it in self.stages)

    @property
    def experts_away(self) -> int:
        """Blocks, from the first on, whose routed experts are in the coordinator's RAM."""
        return sum(stage.experts_away for stage in self.stages)

    @property
    def mapped(self) -> bool:
        """Whether weights of any stage stay on the disk."""
        return any(stage.memory.mapped_bytes for stage in self.stages)
