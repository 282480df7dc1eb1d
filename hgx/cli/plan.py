"""``hgx plan``: where the layers of a model should go, and how good that is proven to be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from hgx.cli.options import (
    ContextOption,
    DevicesOption,
    EngineDirOption,
    HomeOption,
    JsonOption,
    KvTypeOption,
    ModelArgument,
    ParallelOption,
    QuietOption,
    settings,
)

app = typer.Typer(rich_markup_mode=None, add_completion=False)

OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the plan as JSON.")
]


@app.command(short_help="Show where the layers of a model should go.")
def plan(
    context: typer.Context,
    model: ModelArgument,
    *,
    devices: DevicesOption = None,
    ctx: ContextOption = 4096,
    parallel: ParallelOption = 1,
    kv_type: KvTypeOption = "f16",
    prompt_tokens: Annotated[
        int, typer.Option("--prompt-tokens", min=1, help="Length of the prompt, for TTFT.")
    ] = 512,
    output_tokens: Annotated[
        int, typer.Option("--output-tokens", min=1, help="Length of the answer.")
    ] = 128,
    objective: Annotated[
        Literal["latency", "throughput"], typer.Option("--objective", help="What to minimise.")
    ] = "latency",
    coordinator: Annotated[
        str | None,
        typer.Option(
            "--coordinator", metavar="NODE", help="Node of the engine's client. Default: this one."
        ),
    ] = None,
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
      hgx plan model.gguf --json -o plan.json
      hgx plan model.gguf --verify               and what llama.cpp says of it

    Say which blocks go on which device, what memory that takes, how fast it will be, whether
    that is proven optimal and what limits it. Nothing is loaded; with --verify, llama.cpp's own
    programs are asked what they would do.
    """
    from hgx.cli.render.console import busy, plain, stderr, stdout
    from hgx.cli.render.plan import print_plan
    from hgx.cli.render.plan_verify import print_verified
    from hgx.core.options import PlanOptions
    from hgx.flows.inputs import find_model, find_registry
    from hgx.flows.plan import draft_plan, require_feasible
    from hgx.flows.plan_verify import verify_plan
    from hgx.store.atomic import write_atomically
    from hgx.store.home import Home
    from hgx.store.ledger import Ledger

    wanted = settings(context, home, quiet=quiet)
    where = Home(wanted.home)
    options = PlanOptions(
        ctx=ctx,
        parallel=parallel,
        kv_type=kv_type,
        prompt_tokens=prompt_tokens,
        output_tokens=output_tokens,
        objective=objective,
        coordinator=coordinator,
        headroom_bytes=_size(headroom),
        timeout_s=timeout,
        solver=solver,
    )
    placement = [_pinned(text) for text in pin or ()]
    registry = find_registry(where, devices)
    path = find_model(model, where).path
    with busy("Planning", quiet=wanted.quiet):
        found = draft_plan(
            path, registry, options, where.node_id(), placement, ledger=Ledger(where)
        )
    verified = None
    if verify and found.stages:
        with busy("Asking llama.cpp", quiet=wanted.quiet):
            found = verified = verify_plan(found, registry, options, where, engine_dir)
    text = found.model_dump_json(indent=2) + "\n"
    if output is not None:
        write_atomically(output, text)
    if as_json:
        typer.echo(text, nl=False)
    elif found.stages:
        print_plan(found, stdout())
        if verified is not None:
            print_verified(verified, stdout())
    require_feasible(found)
    if output is not None and not wanted.quiet:
        stderr().print(f"Wrote {plain(str(output))}")


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
