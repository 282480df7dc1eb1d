"""A plan, drawn for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from hgx.cli.render.console import plain
from hgx.units import format_bytes, format_seconds, format_tokens

if TYPE_CHECKING:
    from rich.console import Console

    from hgx.core.plan import HostMemory, Plan, StageMemory


def print_plan(plan: Plan, console: Console) -> None:
    """Print a plan: model, placement with memory, prediction, proof, and what limits it."""
    console.print(Text(_model_line(plan), style="bold"))
    if plan.stages:
        console.print()
        console.print(_stages_table(plan))
        console.print()
        console.print(Text(_prediction(plan)))
        console.print(Text(_proof(plan)))
    for sentence in plan.why:
        console.print(Text(f"- {plain(sentence)}", style="dim"))


def _model_line(plan: Plan) -> str:
    model = plan.model
    name = plain(model.name or model.path)
    size = f"{model.parameters / 1e9:.3g} B" if model.parameters >= 1e9 else ""
    size = size or f"{model.parameters / 1e6:.3g} M"
    return (
        f"{name}: {plain(model.architecture)}, {size} parameters, {model.n_block} blocks, "
        f"{format_bytes(model.file_bytes)}"
    )


def _stages_table(plan: Plan) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("DEVICE", overflow="fold")
    table.add_column("BLOCKS", no_wrap=True)
    for heading in ("WEIGHTS", "KV", "COMPUTE", "TOTAL", "OF", "PER TOKEN"):
        table.add_column(heading, justify="right", no_wrap=True)
    for stage in plan.stages:
        head = " + head" if stage.output_head else ""
        table.add_row(
            Text(plain(stage.device)),
            f"{stage.first_block}-{stage.last_block}{head}",
            *_memory_cells(stage.memory),
            format_seconds(stage.seconds_per_token),
        )
    if plan.host is not None:
        cells = _memory_cells(plan.host.memory)
        table.add_row(Text(f"{plain(plan.host.node)} (host)"), beside_stages(plan), *cells, "")
    return table


def beside_stages(plan: Plan) -> str:
    """Say what the coordinator's RAM holds of the model beside its stages."""
    return f"embedding, experts of {away}" if (away := plan.experts_away) else "embedding"


def _memory_cells(memory: StageMemory | HostMemory) -> list[str]:
    sizes = (memory.weights_bytes, memory.kv_bytes, memory.compute_bytes, memory.total_bytes)
    capacity = memory.capacity_bytes
    return [*map(format_bytes, sizes), "?" if capacity is None else format_bytes(capacity)]


def _prediction(plan: Plan) -> str:
    if plan.predicted is None:
        return ""
    upto = "up to " if plan.objective == "throughput" and len(plan.stages) > 1 else ""
    return (
        f"predicted: first token after {format_seconds(plan.predicted.ttft_s)}, then "
        f"{format_seconds(plan.predicted.tpot_s)} per token, "
        f"{upto}{format_tokens(plan.predicted.tokens_per_s)}"
        + (f"; {format_tokens(plan.burst.tokens_per_s)} while cool" if plan.burst else "")
    )


def _proof(plan: Plan) -> str:
    took = f"in {format_seconds(plan.solver.elapsed_s)}"
    if plan.status == "optimal":
        return f"{plan.objective}: proven optimal {took}"
    if plan.bound is None:
        return f"{plan.objective}: not proven"
    how = "as pinned" if plan.solver.name == "pinned" else f"found {took}"
    return f"{plan.objective}: {how}; at most {plan.bound.gap:.1%} from optimal"
