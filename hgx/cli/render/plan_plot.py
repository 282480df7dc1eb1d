"""A plan as a picture: what every memory holds, and where one token spends its time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hgx.cli.render.svg import Chart, Part, Row, draw
from hgx.units import format_bytes, format_seconds, format_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hgx.core.explanation import StageCost
    from hgx.core.plan import HostMemory, Plan, Stage, StageMemory

_MEMORY: Final = {
    "weights": "#7aa7e9",
    "KV": "#5cc6ae",
    "compute": "#f0b95a",
    "free": "rest",
}
_TIME: Final = {
    "reading weights": "#7aa7e9",
    "reading KV": "#5cc6ae",
    "arithmetic": "#f0b95a",
    "launching blocks": "#858d98",
    "weights on disk": "#d3a27f",
    "experts in RAM": "#d3a27f",
    "drawing the token": "#c39be0",
    "network, there": "#ef8a80",
    "network, back": "#f5b3c3",
}

LISTED: Final = 12
"""Most devices without blocks that are named."""


def draw_plan(plan: Plan, costs: Sequence[StageCost]) -> str:
    """Draw a plan.

    Args:
        plan: A plan with stages.
        costs: What they take, in the same order.

    Returns:
        An SVG document.
    """
    title = plan.model.name or plan.model.path
    bars = list(_memory_rows(plan))
    largest = max(part.start + part.size for row in bars for part in row.parts)
    charts = [Chart("Memory", bars, largest, _MEMORY), _timeline(plan, costs)]
    return draw(title, [_promise(plan)], charts, _notes(plan))


def _promise(plan: Plan) -> str:
    if plan.predicted is None:
        return ""
    return (
        f"first token after {format_seconds(plan.predicted.ttft_s)}, then "
        f"{format_seconds(plan.predicted.tpot_s)} per token, "
        f"{format_tokens(plan.predicted.tokens_per_s)} ({plan.objective}, {plan.status})"
    )


def _notes(plan: Plan) -> Iterator[str]:
    """Name the devices that have no blocks."""
    used = {stage.device for stage in plan.stages}
    idle = [score.device for score in plan.scores if score.device not in used]
    for name in idle[:LISTED]:
        yield f"without blocks: {name}"
    if len(idle) > LISTED:
        yield f"and {len(idle) - LISTED} more"


def _memory_rows(plan: Plan) -> Iterator[Row]:
    for stage in plan.stages:
        yield _memory_row(stage.device, _blocks(stage), stage.memory)
    if plan.host is not None:
        held = f", experts of {plan.experts_away} blocks" if plan.experts_away else ""
        note = f"host: token embedding and buffers{held}"
        yield _memory_row(plan.host.node, note, plan.host.memory)


def _blocks(stage: Stage) -> str:
    head = " and output head" if stage.output_head else ""
    disk = stage.memory.mapped_bytes
    mapped = f", {format_bytes(disk)} of weights on disk" if disk else ""
    return f"blocks {stage.first_block} to {stage.last_block}{head}{mapped}"


def _memory_row(name: str, note: str, memory: StageMemory | HostMemory) -> Row:
    sizes = {
        "weights": memory.weights_bytes,
        "KV": memory.kv_bytes,
        "compute": memory.compute_bytes,
        "free": max(0, (memory.capacity_bytes or 0) - memory.total_bytes),
    }
    of = "" if memory.capacity_bytes is None else f" of {format_bytes(memory.capacity_bytes)}"
    parts = _in_a_row(0.0, ((kind, size, format_bytes(size)) for kind, size in sizes.items()))
    return Row(name, note, format_bytes(memory.total_bytes) + of, parts)


def _in_a_row(start: float, sizes: Iterable[tuple[str, float, str]]) -> tuple[Part, ...]:
    """Parts one after the other, of kind, size and size in words; those of no size are left out."""
    parts: list[Part] = []
    for kind, size, words in sizes:
        if size > 0:
            parts.append(Part(kind, start, size, f"{kind} {words}"))
            start += size
    return tuple(parts)


def _timeline(plan: Plan, costs: Sequence[StageCost]) -> Chart:
    """One token on its way: every device and every link has a row, and all share the clock."""
    host = plan.host.node if plan.host else "coordinator"
    lanes: dict[str, list[Part]] = {}
    now = 0.0

    def spend(lane: str, *seconds: tuple[str, float]) -> None:
        nonlocal now
        parts = _in_a_row(now, ((kind, size, format_seconds(size)) for kind, size in seconds))
        lanes.setdefault(lane, []).extend(parts)
        now += sum(size for _, size in seconds)

    for stage, cost in zip(plan.stages, costs, strict=True):
        work, wire = cost.token.work, cost.token.wire
        back_s = wire.hidden_out_s + wire.logits_s
        link = f"link {host} to {cost.node}"
        if cost.traffic is not None:
            spend(link, ("network, there", wire.total_s - back_s))
        spend(
            cost.device,
            ("reading weights", work.weights_s),
            ("reading KV", work.kv_s),
            ("arithmetic", work.arithmetic_s),
            ("launching blocks", work.launch_s),
            ("experts in RAM" if stage.experts_away else "weights on disk", work.away_s),
        )
        if cost.traffic is not None:
            spend(link, ("network, back", back_s))
        drawn_by = cost.device if plan.backend_sampling else f"{host} (host)"
        if work.sampling_s:
            spend(drawn_by, ("drawing the token", work.sampling_s))
    rows = [_lane(name, parts) for name, parts in lanes.items()]
    return Chart("One token", rows, now, _TIME, format_seconds)


def _lane(name: str, parts: list[Part]) -> Row:
    return Row(name, "", format_seconds(sum(part.size for part in parts)), tuple(parts))
