"""``hgx discover``: what devices this machine has and how fast they are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hgx.cli.options import HomeOption, JsonOption, QuietOption, settings

app = typer.Typer(rich_markup_mode=None, add_completion=False)

RegistryOption = Annotated[
    Path | None,
    typer.Option(
        "--registry",
        metavar="FILE",
        help="The registry to write. Default: registry.json in the home directory.",
    ),
]


@app.command(short_help="Find and measure the devices of this machine.")
def discover(
    context: typer.Context,
    *,
    registry: RegistryOption = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
    quiet: QuietOption = False,
) -> None:
    """Examples:

    \b
      hgx discover                               find, measure, remember
      hgx discover --registry lab.json           write into a file of your own
      hgx discover --json | jq '.devices[].id'   for scripts

    Find the devices of this machine, measure them for about a second, and write them into the
    registry, where `hgx plan` and `hgx serve` look. Other machines in it stay as they are.
    """
    # Imported here, so that `hgx --help` is quick: it imports this module for its first line.
    from hgx.cli.render.console import plain, stderr, stdout
    from hgx.cli.render.devices import devices_table
    from hgx.flows.discover import discover as run
    from hgx.store.home import Home
    from hgx.store.registry_file import registry_text

    wanted = settings(context, home, quiet=quiet)
    found = run(Home(wanted.home), registry)
    if as_json:
        typer.echo(registry_text(found.registry, ascii_only=True), nl=False)
    else:
        stdout().print(devices_table(found.registry.devices))
    if not wanted.quiet:
        for item in found.missing:
            stderr().print(plain(f"note: {item.message}"), style="dim")
        stderr().print(f"Wrote {plain(str(found.path))}")
