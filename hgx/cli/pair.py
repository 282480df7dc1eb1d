"""``hgx pair``: let two machines trust each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hgx.cli.options import HomeOption, JsonOption, QuietOption, check_name, settings

if TYPE_CHECKING:
    from hgx.net.pairing_code import PairingCode

app = typer.Typer(rich_markup_mode=None, add_completion=False)

CodeArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="CODE",
        help="What the other machine shows; none to show one here.",
        show_default=False,
    ),
]
PeerOption = Annotated[
    str | None,
    typer.Option(
        "--peer", metavar="HOST:PORT", help="Where the code is shown, if it is not found by itself."
    ),
]
HostOption = Annotated[
    str | None,
    typer.Option("--host", help="Show a code at this address or name of this machine only."),
]
PortOption = Annotated[
    int | None,
    typer.Option(
        "--port",
        min=0,
        max=65535,
        help="Port to show a code at; 0 takes any free one. Default: 9475 if it is free.",
    ),
]
NameOption = Annotated[
    str | None,
    typer.Option("--name", help="This machine's name for the other. Default: the host's name."),
]


@app.command(short_help="Let two machines trust each other.")
def pair(
    context: typer.Context,
    code: CodeArgument = None,
    *,
    peer: PeerOption = None,
    host: HostOption = None,
    port: PortOption = None,
    name: NameOption = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
    quiet: QuietOption = False,
) -> None:
    """Examples:

    \b
      hgx pair                                       on one machine: shows a code
      hgx pair 7-velvet-otter                        on the other one
      hgx pair 7-velvet-otter --peer 10.0.0.7:9475   where it is not found

    Let two machines trust each other. One shows a code that is good for one attempt within five
    minutes, it is typed on the other, and both show the same four words. From then on plans use
    the devices of the other machine, and either may run a model's layers on the other: pair with
    machines of your own only. `hgx peers revoke` ends it.
    """
    from hgx.cli.render.console import busy
    from hgx.cli.render.pair import PairScreen
    from hgx.flows.pair import OfferWish, join_pairing, offer_pairing
    from hgx.store.home import Home

    typed = _code(code)
    _check_usage(typed, peer, host, port)
    check_name(name)
    wanted = settings(context, home, quiet=quiet)
    where = Home(wanted.home)
    screen = PairScreen(as_json=as_json, quiet=wanted.quiet)
    if typed is None:
        offer_pairing(where, name, OfferWish(host, port), screen)
    else:
        with busy("Pairing", quiet=wanted.quiet):
            join_pairing(where, name, typed, peer, screen)


def _code(words: list[str] | None) -> PairingCode | None:
    from hgx.net.pairing_code import parse_code

    try:
        return parse_code(" ".join(words)) if words else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="CODE") from error


def _check_usage(
    code: PairingCode | None, peer: str | None, host: str | None, port: int | None
) -> None:
    if code is None and peer is not None:
        msg = "it says where a code is shown: type that code too, or leave it out to show one here"
        raise typer.BadParameter(msg, param_hint="--peer")
    if code is not None and (host is not None or port is not None):
        msg = "this is for showing a code: leave it out, or the code"
        raise typer.BadParameter(msg, param_hint="--port" if host is None else "--host")
