"""Two plans side by side: present and changed hardware, or an earlier plan and a later one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from hgx.cli.render.console import plain
from hgx.units import format_bytes, format_seconds, format_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from hgx.core.compared import Move, PlanChanges, Ratio, Run, Summary, WhatIfPlan
    from hgx.core.plan import Plan


def print_what_if(plan: WhatIfPlan, changed: Summary, console: Console) -> None:
    """Print what changes of hardware would bring, beside what there is.

    Args:
        plan: The plan for the changed hardware.
        changed: The same, as its baseline is.
        console: Where to.
    """
    console.print()
    console.print(Text(f"what if {plain(', '.join(plan.changes))}", style="bold"))
    console.print(_table(plan.baseline, changed, plan.ratio, ("PRESENT", "CHANGED")))


def print_changes(changes: PlanChanges, plan: Plan, console: Console) -> None:
    """Print what is different in a plan from an earlier one.

    Args:
        changes: What is.
        plan: The later one.
        console: Where to.
    """
    console.print()
    console.print(_table(changes.before, changes.after, changes.ratio, ("BEFORE", "AFTER")))
    console.print()
    for move in changes.moves:
        console.print(Text(_moved(move, plan.model.n_block)))
    if not changes.moves and set(changes.before.stages) == set(changes.after.stages):
        console.print(Text("no block moved"))
    for note in changes.notes:
        console.print(Text(f"- {plain(note)}", style="dim"))


def _table(before: Summary, after: Summary, ratio: Ratio | None, names: tuple[str, str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("", overflow="fold")
    for name in (*names, "RATIO"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in (*_figures(before, after, ratio), *_places(before, after)):
        table.add_row(*row)
    return table


def _figures(before: Summary, after: Summary, ratio: Ratio | None) -> Iterator[tuple[str, ...]]:
    names = ("speed", "first token after", "per token")
    parts = (ratio.tokens_per_s, ratio.ttft, ratio.tpot) if ratio else ()
    ratios = [f"{part:.2f}" for part in parts] or [""] * len(names)
    yield from zip(names, _predicted(before), _predicted(after), ratios, strict=True)
    yield "proof", _proof(before), _proof(after), ""
    if before.coordinator != after.coordinator:
        yield "coordinator", plain(before.coordinator or "-"), plain(after.coordinator or "-"), ""
    if before.ctx != after.ctx:
        yield "context", str(before.ctx or "-"), str(after.ctx or "-"), ""


def _predicted(one: Summary) -> tuple[str, str, str]:
    said = one.predicted
    if said is None:
        return "does not fit", "-", "-"
    seconds = format_seconds(said.ttft_s), format_seconds(said.tpot_s)
    return format_tokens(said.tokens_per_s), *seconds


def _proof(one: Summary) -> str:
    if one.status != "feasible":
        return one.status
    return "not proven" if one.gap is None else f"at most {one.gap:.1%} off"


def _places(before: Summary, after: Summary) -> Iterator[tuple[str, ...]]:
    for device in dict.fromkeys((*before.stages, *after.stages)):
        runs = before.stages.get(device), after.stages.get(device)
        yield plain(device), *map(_run, runs), ""


def _run(run: Run | None) -> str:
    if run is None:
        return "-"
    head = " + head" if run.output_head else ""
    blocks = f"{run.first_block}-{run.last_block}{head}"
    away = f", experts of {run.experts_away} away" if run.experts_away else ""
    return f"{blocks}{away}, {format_bytes(run.memory_bytes)}"


def _moved(move: Move, n_block: int) -> str:
    """Write a move; the layer after the last block is the output head."""
    last = min(move.last_layer, n_block - 1)
    count = last - move.first_layer + 1
    blocks = f"block {last}" if count == 1 else f"blocks {move.first_layer}-{last}"
    head = "the output head" if move.last_layer == n_block else ""
    what = " and ".join(filter(None, (blocks if count else "", head)))
    return f"moved: {what} from {_place(move.source)} to {_place(move.target)}"


def _place(device: str | None) -> str:
    return plain(device or "nowhere")
