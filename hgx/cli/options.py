"""Options that more than one subcommand has, and the settings they add up to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from hgx.flows.context import Longest


@dataclass(frozen=True)
class Settings:
    """What holds for the whole command.

    Attributes:
        home: Directory given with ``--home`` or HGX_HOME, or null for the user's data directory.
        quiet: Whether to leave out everything but results and errors.
    """

    home: Path | None = None
    quiet: bool = False


HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="DIR",
        help="Where everything hgx keeps lives; else HGX_HOME, else the user's data directory.",
    ),
]

QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors only.")]

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, for scripts.")]


ModelsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="MODEL",
        help="A GGUF file, the https:// or hf:// address of one, or demo for the demo model; with "
        "--fit several quantisations of one.",
    ),
]

DevicesOption = Annotated[
    Path | None,
    typer.Option(
        "--devices",
        metavar="FILE",
        help="Registry of devices. Default: the home's, made by a discover where absent.",
    ),
]

DEFAULT_CTX = 4096

ContextOption = Annotated[
    str,
    typer.Option(
        "--ctx",
        metavar="TOKENS",
        help="Context of one conversation, in tokens; max for the longest that fits, max:TOKENS "
        "for one beyond what the model was trained for.",
    ),
]

ParallelOption = Annotated[int, typer.Option("--parallel", min=1, help="Conversations at a time.")]

KvTypeOption = Annotated[
    Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"],
    typer.Option("--kv-type", metavar="TYPE", help="KV cache: f16, q8_0, q4_0, ..."),
]

EngineDirOption = Annotated[
    Path | None,
    typer.Option(
        "--engine-dir",
        metavar="DIR",
        help="Folder of llama.cpp's programs; else HGX_LLAMA_CPP, else PATH and where packages put "
        "them.",
    ),
]


def check_name(name: str | None) -> None:
    """Refuse a name that no node can have in the network, with one that it can.

    Raises:
        BadParameter: It is none.
    """
    from hgx.net.advert import is_name
    from hgx.store.home import id_from_host_name

    if name is not None and not is_name(name):
        instead = id_from_host_name(name)
        msg = f"a name has 1 to 63 letters, digits, hyphens and underscores, such as {instead}"
        raise typer.BadParameter(msg, param_hint="--name")


def read_context(text: str) -> tuple[int, Longest | None]:
    """Read ``--ctx``: a number of tokens, ``max``, or ``max:TOKENS``.

    Returns:
        The number, or any where the longest that fits is wished; and that wish, or None.

    Raises:
        BadParameter: It is none of these.
    """
    from hgx.flows.context import Longest

    word, colon, number = text.rpartition(":")
    if text == "max":
        return DEFAULT_CTX, Longest()
    if number.isdecimal() and int(number) > 0 and (word, colon) in (("", ""), ("max", ":")):
        return int(number), Longest(int(number)) if colon else None
    msg = f"{text!r} is not a number of tokens such as 8192, nor max, nor max:TOKENS"
    raise typer.BadParameter(msg, param_hint="--ctx")


def complete_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Name nodes and devices of the registry for the shell; nothing where there is none to read.

    Args:
        ctx: Has the options before the word, whose names are typer's.
        incomplete: What there is of the word.
    """
    from hgx.errors import HgxError
    from hgx.store.home import Home
    from hgx.store.registry_file import load_registry

    path = ctx.params.get("devices") or Home(settings(ctx, ctx.params.get("home")).home).registry
    try:
        registry = load_registry(path)
    except HgxError:
        return []
    names = (*(node.id for node in registry.nodes), *(device.id for device in registry.devices))
    return [name for name in names if name.startswith(incomplete)]


def settings(context: typer.Context, home: Path | None = None, *, quiet: bool = False) -> Settings:
    """Join what stood before the subcommand with what stood behind it; the latter wins."""
    outer = context.obj if isinstance(context.obj, Settings) else Settings()
    return Settings(home=home or outer.home, quiet=quiet or outer.quiet)
