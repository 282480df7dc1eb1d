"""Several quantisations of one model, drawn side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from hgx.cli.render.console import plain
from hgx.cli.render.plan import print_plan
from hgx.units import format_bytes, format_seconds, format_tokens

if TYPE_CHECKING:
    from rich.console import Console

    from hgx.core.quantisations import Quantisation, Selection

_FITS = {"optimal": "yes", "feasible": "yes", "infeasible": "no", None: "?"}
_PROVEN = {"optimal": "yes", "feasible": "no", "infeasible": "yes", None: "no"}


def print_selection(selection: Selection, console: Console) -> None:
    """Print what every quantisation would do, and the plan of the one that is chosen."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("MODEL", overflow="fold")
    for heading in ("SIZE", "BITS/WEIGHT"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("FITS", no_wrap=True)
    for heading in ("SPEED", "FIRST TOKEN"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("PROVEN", "FAST ENOUGH"):
        table.add_column(heading, no_wrap=True)
    for row in selection.quantisations:
        style = "bold" if row.path == selection.best else ""
        table.add_row(Text(plain(row.path)), *_cells(row), style=style)
    console.print(table)
    if selection.plan is not None:
        console.print()
        console.print(Text(f"best that is fast enough: {plain(selection.plan.model.path)}"))
        console.print()
        print_plan(selection.plan, console)


def _cells(row: Quantisation) -> list[str]:
    promised = row.predicted
    return [
        format_bytes(row.file_bytes),
        f"{row.bits_per_weight:.2f}",
        _FITS[row.status],
        "" if promised is None else format_tokens(promised.tokens_per_s),
        "" if promised is None else format_seconds(promised.ttft_s),
        _PROVEN[row.status],
        "yes" if row.meets else "no",
    ]
