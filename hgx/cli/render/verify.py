"""What ``hgx bench --verify`` shows: predicted against measured, for each model and placement."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer
from rich.table import Table
from rich.text import Text

from hgx.cli.render.console import plain
from hgx.units import format_bytes, format_seconds

if TYPE_CHECKING:
    from pydantic import JsonValue
    from rich.console import Console

    from hgx.flows.verify import Error, Group, Quantity, Verification

_EMPTY = (
    "Nothing to compare yet: serve a model with `hgx serve MODEL`, ask it something, and come back"
)
_NAMES = {"tpot": "per token", "ttft": "first token"}


def print_verification(found: Verification, console: Console, messages: Console) -> None:
    """Print a table for each model and placement, and how far off all of them were.

    Args:
        found: What the ledger adds up to.
        console: Where results go.
        messages: Where it is said that there is nothing.
    """
    if not found.groups:
        messages.print(_EMPTY)
        return
    for group in found.groups:
        console.print(Text(_title(group), style="bold"))
        console.print(_table(group))
        console.print()
    for name, error in (
        ("predicted tokens/s", found.promised),
        ("without corrections", found.uncorrected),
    ):
        if error:
            console.print(_sentence(name, error))


def print_lines(found: Verification) -> None:
    """Print a line of JSON for each model and placement, and one for all."""
    for group in found.groups:
        typer.echo(json.dumps(_json(group)))
    overall: dict[str, JsonValue] = {
        name: error._asdict() if error else None
        for name, error in (("promised", found.promised), ("uncorrected", found.uncorrected))
    }
    typer.echo(json.dumps({"event": "verified_all", **overall}))


def _title(group: Group) -> str:
    stages = ", ".join(f"{device} {first}-{last}" for device, first, last in group.placement)
    model = f"{group.model} ({group.architecture}, {format_bytes(group.file_bytes)})"
    return plain(f"{model} on {stages}")


def _table(group: Group) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("TIME", no_wrap=True)
    for heading in ("REQUESTS", "PREDICTED", "MEASURED", "RATIO", "MIDDLE HALF OF ERRORS"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, found in _times(group).items():
        if found:
            table.add_row(_NAMES[name], *_cells(found))
    return table


def _cells(found: Quantity) -> tuple[str, ...]:
    low, high = found.quartiles
    return (
        str(found.requests),
        format_seconds(found.predicted_s),
        format_seconds(found.measured_s),
        f"{found.ratio:.2f}",
        f"{low:+.0%} to {high:+.0%}",
    )


def _sentence(name: str, error: Error) -> str:
    return (
        f"{name}: off by {error.median:.1%} at the median and {error.p90:.1%} at the 90th "
        f"percentile of {error.requests} requests"
    )


def _json(group: Group) -> dict[str, JsonValue]:
    times = {name: found and found._asdict() for name, found in _times(group).items()}
    return {"event": "verified", **group._asdict(), **times}


def _times(group: Group) -> dict[str, Quantity | None]:
    return {"tpot": group.tpot, "ttft": group.ttft}
