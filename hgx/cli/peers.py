"""``hgx peers``: which machines are paired with this one, and an end to it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from hgx.cli.options import HomeOption, JsonOption, QuietOption, settings

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.callback(invoke_without_command=True, short_help="List the paired machines, or revoke one.")
def peers(
    context: typer.Context,
    *,
    as_json: JsonOption = False,
    home: HomeOption = None,
    quiet: QuietOption = False,
) -> None:
    """Examples:

    \b
      hgx peers                 who is paired with this machine
      hgx peers revoke laptop   and is not any more

    List the machines that are paired with this one. `hgx pair` adds one.
    """
    context.obj = settings(context, home, quiet=quiet)
    if context.invoked_subcommand is not None:
        return
    from hgx.cli.render.peers import show_peers
    from hgx.flows.peer_list import known_peers
    from hgx.store.home import Home

    show_peers(known_peers(Home(context.obj.home)), as_json=as_json, quiet=context.obj.quiet)


@app.command(short_help="Trust a machine no more.")
def revoke(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="As `hgx peers` shows it, or the first digits of its certificate."
        ),
    ],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    home: HomeOption = None,
    quiet: QuietOption = False,
) -> None:
    """Examples:

    \b
      hgx peers revoke laptop         asks first
      hgx peers revoke 3f9a --yes     by its certificate, in a script

    Trust a machine no more: what it runs here ends, and no plan uses its devices. What was
    measured of it stays. The other machine still trusts this one until it revokes it too.
    """
    from hgx.cli.render.peers import show_revoked
    from hgx.flows.peer_list import find_peer, revoke_peer
    from hgx.store.home import Home

    wanted = settings(context, home, quiet=quiet)
    where = Home(wanted.home)
    peer = find_peer(where, name)
    if not yes:
        if not sys.stdin.isatty():
            msg = f"say --yes to revoke {peer.name} where nobody can be asked"
            raise typer.BadParameter(msg, param_hint="--yes")
        question = f"Trust {peer.name} (certificate {peer.fingerprint[:16]}) no more?"
        typer.confirm(question, abort=True, err=True)
    revoke_peer(where, peer)
    show_revoked(peer, quiet=wanted.quiet)
