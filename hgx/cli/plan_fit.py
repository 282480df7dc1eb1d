"""``hgx plan --fit``: several quantisations of one model, and the best that is fast enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from hgx.core.options import PlanOptions
    from hgx.core.registry import Registry
    from hgx.flows.quantisations import Speed
    from hgx.store.home import Home

FitOption = Annotated[
    float | None,
    typer.Option(
        "--fit",
        min=0.0,
        metavar="TOKENS/S",
        help="Say which of several quantisations is the best that gives so many tokens/s.",
    ),
]
MaxTtftOption = Annotated[
    float | None,
    typer.Option(
        "--max-ttft",
        min=0.0,
        metavar="SECONDS",
        help="With --fit: the first token after so many seconds at most.",
    ),
]


class Output(NamedTuple):
    """Where results go.

    Attributes:
        file: A file for the document, or null.
        json: Whether the document goes to stdout, in place of a table.
        quiet: Whether to leave out everything but results and errors.
    """

    file: Path | None
    json: bool
    quiet: bool


def read_speed(
    models: list[str], fit: float | None, max_ttft: float | None, *, single: bool
) -> Speed | None:
    """Put together how fast a model is to be; None where that was not said.

    Args:
        models: What the user named.
        fit: Tokens per second.
        max_ttft: Seconds.
        single: Whether there is an option that is for one model.

    Raises:
        BadParameter: What was named does not go together.
    """
    from hgx.flows.quantisations import Speed

    if fit is not None and single:
        msg = (
            "it compares models: --ctx max, --pin, --verify, --what-if, --diff, --emit, --explain "
            "and --plot are for one"
        )
        raise typer.BadParameter(msg, param_hint="--fit")
    if fit is not None:
        return Speed(fit, max_ttft)
    if max_ttft is not None:
        msg = "it says with --fit how fast a model is to be: add that, or leave it out"
        raise typer.BadParameter(msg, param_hint="--max-ttft")
    if len(models) > 1:
        msg = "of several quantisations one is chosen by its speed: add --fit, or name one model"
        raise typer.BadParameter(msg, param_hint="MODEL")
    return None


def select(
    models: list[str],
    registry: Registry,
    options: PlanOptions,
    home: Home,
    *,
    speed: Speed,
    output: Output,
) -> None:
    """Show several quantisations side by side, and which is chosen.

    Raises:
        Infeasible: None is fast enough; it says how near the nearest comes.
        HgxError: Of the kinds that ``select_quantisation`` names.
    """
    from hgx.cli.render.console import busy, plain, stderr, stdout
    from hgx.cli.render.quantisations import print_selection
    from hgx.flows.inputs import find_header
    from hgx.flows.quantisations import require_selected, select_quantisation
    from hgx.store.atomic import write_atomically
    from hgx.store.ledger import Ledger

    files = [find_header(model, home) for model in models]
    with busy("Planning", quiet=output.quiet):
        selection = select_quantisation(
            files, registry, options, home.node_id(), speed, ledger=Ledger(home)
        )
    text = selection.model_dump_json(indent=2) + "\n"
    if output.file is not None:
        write_atomically(output.file, text)
    if output.json:
        typer.echo(text, nl=False)
    else:
        print_selection(selection, stdout())
    require_selected(selection)
    if output.file is not None and not output.quiet:
        stderr().print(f"Wrote {plain(str(output.file))}")
