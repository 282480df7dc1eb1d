"""The ``hgx`` command: finds the subcommand, imports only that one, turns errors into exits."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer
import typer.main
from typer.core import TyperGroup

from hgx._version import __version__
from hgx.cli.options import HomeOption, QuietOption, Settings
from hgx.errors import HgxError

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = ("discover", "bench", "plan", "serve")
"""Subcommands in the order of use; each is the module of that name in this package."""


class LazyGroup(TyperGroup):
    """A group whose subcommands are imported when they are asked for, one at a time."""

    def list_commands(self, ctx: object) -> list[str]:  # noqa: ARG002 - the signature is typer's
        """Name all subcommands without importing any."""
        return list(COMMANDS)

    def get_command(self, ctx: object, cmd_name: str):  # noqa: ARG002, ANN201
        """Import and build one subcommand, or return None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        command = typer.main.get_command(import_module(f"hgx.cli.{cmd_name}").app)
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=LazyGroup,
    name="hgx",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hgx {__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    *,
    home: HomeOption = None,
    quiet: QuietOption = False,
    version: Annotated[  # noqa: ARG001 - handled by its callback, before anything else
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Print version."),
    ] = False,
) -> None:
    """Examples:

    \b
      hgx serve demo --prompt "Once upon a time"   a first answer, on this machine
      hgx discover                                 what devices are here
      hgx plan model.gguf --devices registry.json  where the layers should go
      hgx serve model.gguf                         OpenAI's API on 127.0.0.1

    Run one language model on all the machines you own.
    """
    context.obj = Settings(home=home, quiet=quiet)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Words after the program's name; the process's own when absent.

    Returns:
        The exit status: 0, the error's own code (docs/exit-codes.md), 2 for wrong usage, 130 for
        an interrupt.
    """
    try:
        app(args=arguments, prog_name="hgx")
    except HgxError as error:
        typer.echo(f"hgx: error: {error.message}", err=True)
        return error.exit_code
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
