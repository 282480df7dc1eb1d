"""The hgx command itself: help, version, exits, and how little it imports."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from hgx import errors
from hgx._version import __version__
from hgx.cli import main
from hgx.errors import HgxError

DOCS = Path(__file__).parents[2] / "docs"


def every_error() -> list[type[HgxError]]:
    """List the classes of errors.py."""
    found = [HgxError, *HgxError.__subclasses__()]
    return [error for error in found if error.__module__ == errors.__name__]


def made(error: type[HgxError]) -> HgxError:
    """Make an error of a class."""
    if issubclass(error, errors.PeerError):
        return error("it broke", "closed", "mend it")
    return (
        error("it broke", "mend it") if issubclass(error, errors.Unavailable) else error("it broke")
    )


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """``hgx --version`` prints the version and nothing else."""
    assert main.run(["--version"]) == 0
    assert capsys.readouterr().out == f"hgx {__version__}\n"


@pytest.mark.parametrize("command", ["", *main.COMMANDS])
def test_help_opens_with_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every help page opens with examples, and the first of them is of that command."""
    assert main.run([*command.split(), "--help"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[0].startswith("Usage: hgx")
    assert lines[1] == "Examples:"
    assert lines[2].startswith(f"hgx {command}".strip())


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """The help page names every subcommand with one line of its own."""
    main.run(["--help"])
    listed = capsys.readouterr().out.partition("Commands:")[2].split("\n")
    assert [line.split()[0] for line in listed if line.strip()] == list(main.COMMANDS)


def test_help_fits_a_small_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """No line of any help page is longer than 80 columns."""
    for command in ("", *main.COMMANDS):
        main.run([*command.split(), "--help"])
        assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pln"], "No such command 'pln'"),
        (["plan"], "Missing argument"),
        (["plan", "m.gguf", "--bogus"], "No such option: --bogus"),
        (["plan", "m.gguf", "--solver", "psychic"], "psychic"),
        (["plan", "m.gguf", "--headroom", "much"], "'much' is not a size"),
        (["plan", "m.gguf", "--pin", "tower"], "'tower' is not DEVICE=FIRST-LAST"),
    ],
)
def test_wrong_usage(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong usage exits with 2 and says on stderr what is wrong."""
    assert main.run(arguments) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert not shown.out


@pytest.mark.parametrize("error", every_error())
def test_errors_become_exits(
    error: type[HgxError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every error is one line on stderr and the exit code of its class, without a traceback."""
    broken = made(error)

    def fail(*_: object) -> None:
        raise broken

    monkeypatch.setattr("hgx.flows.inputs.find_registry", fail)
    assert main.run(["plan", "m.gguf"]) == error.exit_code
    shown = capsys.readouterr()
    assert shown.err == f"hgx: error: {broken.message}\n"
    assert not shown.out


def test_exit_codes_differ_and_are_documented() -> None:
    """Every class of errors has an exit code of its own, listed in docs/exit-codes.md."""
    codes = {error.exit_code: error.__name__ for error in every_error()}
    assert len(codes) == len(every_error())
    text = (DOCS / "exit-codes.md").read_text(encoding="utf-8")
    for code, name in codes.items():
        assert f"| {code} | `{name}` |" in text


def test_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt exits with 130."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hgx.flows.inputs.find_registry", interrupt)
    assert main.run(["plan", "m.gguf"]) == 130


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import hgx", {"numpy", "pydantic", "rich", "typer"}),
        (
            "from hgx.cli.main import run; run(['--version'])",
            {"numpy", "pydantic", "fastapi", "rich", "hgx.cli.plan"},
        ),
        (
            "from hgx.cli.main import run; run(['--help'])",
            {"numpy", "pydantic", "fastapi", "uvicorn", "rich"},
        ),
    ],
)
def test_imports_what_it_needs(statement: str, absent: set[str]) -> None:
    """What is quick to ask imports nothing heavy."""
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not absent & set(done.stdout.split())


def test_commands_are_modules() -> None:
    """Every subcommand is the module of its name, with an app of its own."""
    for name in main.COMMANDS:
        assert importlib.import_module(f"hgx.cli.{name}").app


def test_runs_as_a_module() -> None:
    """``python -m hgx`` is the same command."""
    done = subprocess.run(
        [sys.executable, "-m", "hgx", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"hgx {__version__}\n"
