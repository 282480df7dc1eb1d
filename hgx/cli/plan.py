"""``hgx plan``: where the layers of a model should go, and how good that is proven to be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from hgx.cli.options import (
    DEFAULT_CTX,
    ContextOption,
    DevicesOption,
    EngineDirOption,
    HomeOption,
    JsonOption,
    KvTypeOption,
    ModelsArgument,
    ParallelOption,
    QuietOption,
    complete_names,
    read_context,
    settings,
)
from hgx.cli.plan_compare import DiffOption, EmitOption, WhatIfOption, read_comparison
from hgx.cli.plan_fit import FitOption, MaxTtftOption, Output, read_speed, select
from hgx.cli.plan_insight import ExplainOption, PlotOption  # noqa: TC001 - typer needs them
from hgx.cli.plan_one import Wish, plan_one
from hgx.cli.plan_wishes import (
    CpuExpertsOption,
    DurationOption,
    ExcludeOption,
    MaxNodesOption,
    NodeToleranceOption,
    OnlyOption,
    RequireOption,
    RpcOption,
    part,
)

app = typer.Typer(rich_markup_mode=None, add_completion=False)

OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the plan as JSON.")
]


@app.command(short_help="Show where the layers of a model should go.")
def plan(
    context: typer.Context,
    models: ModelsArgument,
    *,
    devices: DevicesOption = None,
    ctx: ContextOption = str(DEFAULT_CTX),
    parallel: ParallelOption = 1,
    kv_type: KvTypeOption = "f16",
    prompt_tokens: Annotated[
        int, typer.Option("--prompt-tokens", min=1, help="Length of the prompt, for TTFT.")
    ] = 512,
    output_tokens: Annotated[
        int, typer.Option("--output-tokens", min=1, help="Length of the answer.")
    ] = 128,
    objective: Annotated[
        Literal["latency", "throughput", "balanced"],
        typer.Option("--objective", help="What to minimise."),
    ] = "latency",
    coordinator: Annotated[
        str | None,
        typer.Option(
            "--coordinator",
            metavar="NODE",
            autocompletion=complete_names,
            help="Node of the engine's client. Default: this one.",
        ),
    ] = None,
    exclude: ExcludeOption = None,
    only: OnlyOption = None,
    require: RequireOption = None,
    max_nodes: MaxNodesOption = None,
    node_tolerance: NodeToleranceOption = None,
    cpu_experts: CpuExpertsOption = None,
    duration: DurationOption = None,
    rpc: RpcOption = "async",
    fit: FitOption = None,
    max_ttft: MaxTtftOption = None,
    headroom: Annotated[
        str,
        typer.Option("--headroom", metavar="SIZE", help="Memory to leave free on every device."),
    ] = "512MiB",
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.001, help="Longest time to search, in seconds.")
    ] = 5.0,
    solver: Annotated[
        Literal["auto", "exact", "greedy"],
        typer.Option("--solver", help="exact proves, greedy answers at once, auto does both."),
    ] = "auto",
    pin: Annotated[
        list[str] | None,
        typer.Option(
            "--pin",
            metavar="DEVICE=FIRST-LAST",
            help="Take the placement from you and predict it; once per device, in order.",
        ),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify", help="Ask llama.cpp where it would put the layers, and what they take."
        ),
    ] = False,
    engine_dir: EngineDirOption = None,
    what_if: WhatIfOption = None,
    diff: DiffOption = None,
    emit: EmitOption = None,
    explain: ExplainOption = False,
    plot: PlotOption = None,
    output: OutputOption = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
    quiet: QuietOption = False,
) -> None:
    """Examples:

    \b
      hgx plan model.gguf                        on the devices discover found
      hgx plan model.gguf --devices registry.json --ctx 16384 --kv-type q8_0
      hgx plan model.gguf --pin tower/cuda:0=0-23 --pin laptop/cpu:0=24-31
      hgx plan model.gguf --ctx max              with the longest context
      hgx plan q4.gguf q6.gguf q8.gguf --fit 20  the best with 20 tokens/s
      hgx plan model.gguf --exclude phone --max-nodes 2
      hgx plan model.gguf --json -o plan.json
      hgx plan model.gguf --diff plan.json       what is different by now
      hgx plan model.gguf --what-if +rtx3060 --what-if link:tower-laptop=1gbps
      hgx plan --what-if list                    what can be added
      hgx plan model.gguf --emit llama.cpp       the commands, to run it by hand
      hgx plan https://HOST/model.gguf           before anything is downloaded
      hgx plan hf://OWNER/REPO/model.gguf        likewise, from the model hub
      hgx plan model.gguf --verify               and what llama.cpp says of it
      hgx plan model.gguf --explain              what binds, and what would help
      hgx plan model.gguf --plot plan.svg        memory and one token's way, drawn

    Say which blocks go on which device, what memory that takes, how fast it will be, whether
    that is proven optimal and what limits it. Nothing is loaded; with --verify, llama.cpp's own
    programs are asked what they would do.
    """
    from hgx.core.options import PlanOptions
    from hgx.flows.inputs import find_registry
    from hgx.flows.plan_battery import with_battery_now
    from hgx.store.home import Home

    wanted = settings(context, home, quiet=quiet)
    where = Home(wanted.home)
    tokens, longest = read_context(ctx)
    comparison = read_comparison(what_if, diff, emit, as_json=as_json)
    single = any((pin, verify, comparison.wished, explain, plot, longest))
    speed = read_speed(models, fit, max_ttft, single=single)
    options = PlanOptions(
        ctx=tokens,
        parallel=parallel,
        kv_type=kv_type,
        prompt_tokens=prompt_tokens,
        output_tokens=output_tokens,
        objective=objective,
        coordinator=coordinator,
        headroom_bytes=_size(headroom),
        timeout_s=timeout,
        solver=solver,
        rpc=rpc,
        max_nodes=max_nodes,
        node_tolerance=part(node_tolerance),
        cpu_experts=cpu_experts,
        duration_s=duration,
        exclude=tuple(exclude or ()),
        only=tuple(only or ()),
        require=tuple(require or ()),
    )
    registry = with_battery_now(find_registry(where, devices), options, where.node_id())
    if speed is not None:
        shown = Output(output, as_json, wanted.quiet)
        select(models, registry, options, where, speed=speed, output=shown)
        return
    wish = Wish(
        placement=tuple(_pinned(text) for text in pin or ()),
        longest=longest,
        comparison=comparison,
        explain=explain,
        verify=verify,
        engine_dir=engine_dir,
        plot=plot,
        output=output,
        as_json=as_json,
        quiet=wanted.quiet,
    )
    plan_one(models[0], registry, options, where, wish)


def _size(text: str) -> int:
    from hgx.units import parse_bytes

    try:
        return parse_bytes(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--headroom") from error


def _pinned(text: str) -> tuple[str, int, int]:
    """Read ``DEVICE=FIRST-LAST``, or ``DEVICE=BLOCK`` for a single block."""
    match = re.fullmatch(r"(?P<device>.+)=(?P<first>\d+)(?:-(?P<last>\d+))?", text)
    if match is None:
        msg = f"{text!r} is not DEVICE=FIRST-LAST, such as tower/cuda:0=0-23"
        raise typer.BadParameter(msg, param_hint="--pin")
    first = int(match["first"])
    return match["device"], first, int(match["last"] or first)
