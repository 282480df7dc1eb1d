"""The ``hgx`` command: finds the subcommand, imports only that one, turns errors into exits."""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

from hgx._version import __version__
from hgx.cli.options import HomeOption, QuietOption, Settings
from hgx.errors import HgxError, StorageError

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = ("discover", "doctor", "pair", "peers", "bench", "thermal", "plan", "serve")
"""Subcommands in the order of use; each is the module of that name in this package."""


class LazyGroup(TyperGroup):
    """A group whose subcommands are imported when they are asked for, one at a time."""

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401 - what typer passes
        super().__init__(**attributes)
        # Only names: typer suggests the nearest one where a word is none of them.
        self.commands = {name: TyperCommand(name) for name in COMMANDS}

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


_UNWRITTEN = frozenset(
    {errno.EAGAIN, errno.EBADF, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC}
)
"""What the system says where a stream takes no more; files of hgx's own have StorageError."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Words after the program's name; the process's own when absent.

    Returns:
        The exit status: 0, the error's own code (docs/exit-codes.md), 2 for wrong usage, 130 for
        an interrupt; StorageError's where the output could not be written, 1 where nobody reads
        it any more.
    """
    try:
        status = _run(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()  # here a failure has its sentence; at the exit it has none
    except BrokenPipeError:
        _give_up_output()
        return 1
    except OSError as error:
        if error.errno not in _UNWRITTEN or error.filename is not None:
            raise
        _give_up_output()
        _complain(f"the output could not be written ({error.strerror}): send it to another place")
        return StorageError.exit_code
    return status


def _run(arguments: Sequence[str] | None) -> int:
    try:
        app(args=arguments, prog_name="hgx")
    except HgxError as error:
        _complain(error.message)
        return error.exit_code
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _complain(message: str) -> None:
    try:
        typer.echo(f"hgx: error: {message}", err=True)
    except OSError:  # the exit status tells it too
        _give_up_output()


def _give_up_output() -> None:
    """Send to nowhere what a stream still holds, or Python tries again at the exit and fails."""
    for stream in (sys.stdout, sys.stderr):
        if stream is None:
            continue
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
