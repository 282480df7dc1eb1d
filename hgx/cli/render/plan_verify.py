"""What ``hgx plan --verify`` adds: the plan beside what llama.cpp says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from hgx.cli.render.console import plain
from hgx.cli.render.plan import beside_stages
from hgx.units import MIB, format_bytes

if TYPE_CHECKING:
    from rich.console import Console

    from hgx.core.verified import Share, Verified, VerifiedDevice, VerifiedPlan


def print_verified(plan: VerifiedPlan, console: Console) -> None:
    """Print, per device, what was planned, what llama.cpp says, and how far apart they are."""
    verified = plan.verified
    console.print()
    console.print(_table(plan, verified))
    console.print()
    console.print(Text(_verdict(verified)))
    for sentence in verified.warnings:
        console.print(Text(f"warning: {plain(sentence)}", style="yellow"))
    for sentence in verified.notes:
        console.print(Text(f"- {plain(sentence)}", style="dim"))
    stand_ins = [plain(row.device) for row in verified.devices if row.stand_in and row.device]
    if stand_ins:
        console.print(
            Text(
                f"- on this machine's loopback, stand-ins answered for {', '.join(stand_ins)}: how "
                "a GPU aligns its memory and what its driver takes is not checked",
                style="dim",
            )
        )


def _verdict(verified: Verified) -> str:
    build = f"build {verified.build} " if verified.build else ""
    how = "differs from" if verified.warnings else "agrees with"
    return (
        f"llama.cpp {build}({plain(verified.source)}) {how} the plan; its figures are whole MiB, "
        "rounded down, and nothing was loaded"
    )


def _table(plan: VerifiedPlan, verified: Verified) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("DEVICE", overflow="fold")
    table.add_column("", no_wrap=True)
    table.add_column("LAYERS", no_wrap=True)
    for heading in ("WEIGHTS", "KV", "COMPUTE", "TOTAL"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in verified.devices:
        mine, theirs = _sizes(row.planned), _sizes(row.llama_cpp)
        apart = [_signed(after - before) for before, after in zip(mine, theirs, strict=True)]
        names = Text(plain(_name(row, plan)))
        table.add_row(names, "planned", _layers(row.planned, plan), *map(format_bytes, mine))
        layers = "?" if _unsaid(row) else _layers(row.llama_cpp, plan)
        table.add_row("", "llama.cpp", layers, *map(format_bytes, theirs))
        table.add_row("", "difference", "", *apart)
    return table


def _name(row: VerifiedDevice, plan: VerifiedPlan) -> str:
    if row.stand_in and row.device:
        return row.device
    node = plan.host.node if plan.host else "coordinator"
    return f"{row.device} and host" if row.device else f"{node} (host)"


def _layers(share: Share, plan: VerifiedPlan) -> str:
    if share.first_layer is None or share.last_layer is None:
        return beside_stages(plan)
    last = min(share.last_layer, plan.model.n_block - 1)
    return f"{share.first_layer}-{last}" + (" + head" if share.last_layer > last else "")


def _unsaid(row: VerifiedDevice) -> bool:
    """Whether layers were planned here of which llama.cpp says nothing."""
    return row.planned.first_layer is not None and row.llama_cpp.first_layer is None


def _sizes(share: Share) -> tuple[int, ...]:
    return share.weights_bytes, share.kv_bytes, share.compute_bytes, share.total_bytes


def _signed(off: int) -> str:
    """Write a difference; below a MiB it is rounding."""
    if abs(off) < MIB:
        return "-"
    return f"{'+' if off > 0 else ''}{format_bytes(off)}"
