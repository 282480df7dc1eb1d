"""``hgx bench``: how fast this machine's devices, its disk and its links really are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hgx.cli.options import EngineDirOption, HomeOption, JsonOption, QuietOption, settings

if TYPE_CHECKING:
    from hgx.store.home import Home

app = typer.Typer(rich_markup_mode=None, add_completion=False)

DevicesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="DEVICE",
        help="Devices of this machine, as cpu:0. Default: all, the disk, and links to peers.",
        show_default=False,
    ),
]
QuickOption = Annotated[
    bool, typer.Option("--quick", help="Under 10 s per device; else about 30 s.")
]
SustainedOption = Annotated[
    float,
    typer.Option(
        "--sustained",
        metavar="SECONDS",
        min=0,
        max=3600,
        help="First load each device for so long without a pause, and tell what it keeps up; "
        "at least 5.",
        show_default=False,
    ),
]
DiskOption = Annotated[bool, typer.Option("--no-disk", help="Leave the disk out.")]
LinksOption = Annotated[bool, typer.Option("--no-links", help="Leave links to peers out.")]
CompareOption = Annotated[
    tuple[Path, Path] | None,
    typer.Option(
        "--compare",
        metavar="A B",
        help="Measure nothing; say which differences between two files are real.",
        show_default=False,
    ),
]
VerifyOption = Annotated[
    bool,
    typer.Option(
        "--verify", help="Measure nothing; compare predictions with what served requests took."
    ),
]
EngineOption = Annotated[
    bool,
    typer.Option(
        "--engine",
        help="Measure with llama.cpp itself, on small invented models: what plans rest on best.",
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="With --engine: measure the quantisation types of this GGUF file (or demo) too.",
        show_default=False,
    ),
]
RegistryOption = Annotated[
    Path | None,
    typer.Option(
        "--registry",
        metavar="FILE",
        help="The registry to write into. Default: the home's, made where absent.",
    ),
]


@app.command(short_help="Measure devices, disk and links, and remember the results.")
def bench(
    context: typer.Context,
    devices: DevicesArgument = None,
    *,
    quick: QuickOption = False,
    sustained: SustainedOption = 0.0,
    no_disk: DiskOption = False,
    no_links: LinksOption = False,
    compare: CompareOption = None,
    verify: VerifyOption = False,
    engine: EngineOption = False,
    model: ModelOption = None,
    engine_dir: EngineDirOption = None,
    registry: RegistryOption = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
    quiet: QuietOption = False,
) -> None:
    """Examples:

    \b
      hgx bench                             all devices, the disk, and links
      hgx bench cpu:0 --quick               one device, under 10 s
      hgx bench cuda:0 --sustained 300      what it keeps up when it is hot
      hgx bench --json > today.jsonl        a line per event
      hgx bench --compare old.json today.jsonl   what really changed
      hgx bench --verify                    were the plans right?
      hgx bench --engine --model x.gguf     what plans of this model rest on best

    Measure how fast devices read memory, multiply and exchange data with the host, how fast
    the disk is read, and how fast the links to peers are. A result that scatters or
    drifts, or that others' load or heat spoilt, is marked noisy; one that says nothing is
    refused. All else goes into the registry, where `hgx plan` finds it. With --engine, measure
    how fast llama.cpp's own programs are with weights of each quantisation type: about a
    minute per device with --quick, some minutes without.
    """
    # Imported here, so that `hgx --help` is quick: it imports this module for its first line.
    from hgx.bench.timing import SHORTEST_SUSTAINED_S
    from hgx.cli.render.bench import Lines, Screen, print_comparison
    from hgx.cli.render.console import stdout
    from hgx.flows.bench import Wish
    from hgx.flows.bench import bench as run
    from hgx.flows.bench_engine import EngineWish, bench_engine
    from hgx.flows.compare import compare_files
    from hgx.flows.inputs import find_model
    from hgx.store.home import Home

    if 0 < sustained < SHORTEST_SUSTAINED_S:
        msg = f"{sustained:g} s are too short for a burst and a steady part: give at least "
        raise typer.BadParameter(f"{msg}{SHORTEST_SUSTAINED_S:g}", param_hint="--sustained")
    if model is not None and not engine:
        raise typer.BadParameter("it says what to measure with --engine", param_hint="--model")
    wanted = settings(context, home, quiet=quiet)
    if compare:
        print_comparison(compare_files(*compare), stdout(), as_json=as_json)
        return
    if verify:
        _verify(Home(wanted.home), as_json=as_json)
        return
    where, effort = Home(wanted.home), "quick" if quick else "normal"
    with Lines() if as_json else Screen(quiet=wanted.quiet) as show:
        if engine:
            file = find_model(model, where).path if model else None
            asked = EngineWish(tuple(devices or ()), effort, file, engine_dir)
            bench_engine(where, asked, show, registry_path=registry)
            return
        wish = Wish(
            devices=tuple(devices or ()),
            effort=effort,
            sustained_s=sustained,
            disk=not no_disk,
            links=not no_links,
        )
        run(where, wish, show, registry_path=registry)


def _verify(home: Home, *, as_json: bool) -> None:
    from hgx.cli.render.console import stderr, stdout
    from hgx.cli.render.verify import print_lines, print_verification
    from hgx.flows.verify import verify
    from hgx.store.ledger import Ledger

    found = verify(Ledger(home).requests())
    if as_json:
        print_lines(found)
    else:
        print_verification(found, stdout(), stderr())
