"""``hgx doctor``: what is wrong on this machine, and what to do about it."""

from __future__ import annotations

from typing import Annotated

import typer

from hgx.cli.options import EngineDirOption, HomeOption, JsonOption, QuietOption, settings

app = typer.Typer(rich_markup_mode=None, add_completion=False)

WARNINGS, FAULTS = 11, 12
"""Exit codes where there is nothing worse than a warning, and where there is a fault."""

MulticastOption = Annotated[
    bool,
    typer.Option(
        "--multicast/--no-multicast", help="Try multicast, as `hgx discover --diagnose` does."
    ),
]
_EPILOG = (
    f"Exit code: 0 where nothing is worse than a note, {WARNINGS} where there are warnings, "
    f"{FAULTS} where there are faults."
)


@app.command(short_help="Say what is wrong on this machine, and how to mend it.", epilog=_EPILOG)
def doctor(
    context: typer.Context,
    *,
    engine_dir: EngineDirOption = None,
    multicast: MulticastOption = True,
    as_json: JsonOption = False,
    home: HomeOption = None,
    quiet: QuietOption = False,
) -> None:
    """Examples:

    \b
      hgx doctor                                  look at everything
      hgx doctor --quiet                          what is wrong, and nothing else
      hgx doctor --engine-dir ~/llama.cpp/build   with another llama.cpp
      hgx doctor --json | jq .first               for scripts

    Look at place, permissions, engines, drivers, ports and peers, and say of each fault what to
    do about it. A warning means that hgx works, with less than there is; a fault that something
    is broken or unsafe. Nothing is changed, and nothing is announced.
    """
    from hgx.cli.render.console import busy
    from hgx.cli.render.doctor import show_checks
    from hgx.flows.doctor import Wish, examine, worst
    from hgx.store.home import Home

    wanted = settings(context, home, quiet=quiet)
    with busy("Examining this machine", quiet=wanted.quiet or as_json):
        checks = examine(Home(wanted.home), Wish(engine_dir, multicast))
    show_checks(checks, as_json=as_json, quiet=wanted.quiet)
    raise typer.Exit({"warning": WARNINGS, "fault": FAULTS}.get(worst(checks), 0))
