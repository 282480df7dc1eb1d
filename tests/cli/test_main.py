"""The hgx command itself: help, version, exits, and how little it imports."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import IO

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


@pytest.mark.parametrize(("word", "meant"), [("discver", "discover"), ("serv", "serve")])
def test_mistyped_commands(word: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A word that is nearly a command brings that command's name, and one that is not none."""
    assert main.run([word]) == 2
    assert f"Did you mean '{meant}'?" in capsys.readouterr().err
    assert main.run(["xyz"]) == 2
    assert "Did you mean" not in capsys.readouterr().err


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


LOOK = ("discover", "--local", "--no-measure", "--quiet")
WATCH = ("discover", "--local", "--watch", "--interval", "0.1", "--count", "2")
OUTPUTS = (("--version",), LOOK, (*LOOK, "--json"), WATCH, (*WATCH, "--json"))
NO_ROOM = "the output could not be written (No space left on device): send it to another place"
FULL = Path("/dev/full")

needs_full = pytest.mark.skipif(not FULL.exists(), reason="only Linux has a device that is full")


def started(
    arguments: tuple[str, ...], home: Path, out: IO[str] | int, err: IO[str] | int, buffered: str
) -> int:
    """Run hgx as a process of its own and return its exit status.

    Args:
        arguments: Words after ``hgx``.
        home: Its home directory.
        out: Where its results go.
        err: Where its messages go.
        buffered: Empty where Python may keep output back until there is more of it.
    """
    environment = os.environ | {"HGX_HOME": str(home), "PYTHONUNBUFFERED": buffered}
    command = [sys.executable, "-m", "hgx", *arguments]
    return subprocess.run(command, env=environment, stdout=out, stderr=err, check=False).returncode


def closed(*arguments: str, home: Path, number: int) -> subprocess.CompletedProcess[str]:
    """Run hgx with one of its streams closed from the beginning."""
    code = (
        f"import os, sys; os.close({number}); "
        "os.execv(sys.executable, [sys.executable, '-m', 'hgx', *sys.argv[1:]])"
    )
    command = [sys.executable, "-c", code, *arguments]
    environment = os.environ | {"HGX_HOME": str(home)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@needs_full
@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize("arguments", OUTPUTS, ids=" ".join)
def test_output_that_cannot_be_written(
    arguments: tuple[str, ...], buffered: str, tmp_path: Path
) -> None:
    """Where results cannot be written that is one sentence, with the code of storage."""
    said = tmp_path / "said"
    with FULL.open("w") as full, said.open("w") as err:
        assert started(arguments, tmp_path, full, err, buffered) == errors.StorageError.exit_code
    assert said.read_text().splitlines() == [f"hgx: error: {NO_ROOM}"]


@needs_full
@pytest.mark.parametrize("buffered", ["", "1"])
def test_messages_that_cannot_be_written(buffered: str, tmp_path: Path) -> None:
    """Where not even messages can be written the exit code still tells the error."""
    with FULL.open("w") as full:
        status = started(("plan", "gone.gguf"), tmp_path, subprocess.DEVNULL, full, buffered)
        assert status == errors.ModelError.exit_code
        assert started(LOOK, tmp_path, full, full, buffered) == errors.StorageError.exit_code


@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize("arguments", OUTPUTS, ids=" ".join)
def test_a_reader_that_is_gone(arguments: tuple[str, ...], buffered: str, tmp_path: Path) -> None:
    """Where nobody reads the results any more it ends quietly, with status 1."""
    reader, writer = os.pipe()
    os.close(reader)
    said = tmp_path / "said"
    with os.fdopen(writer, "w") as pipe, said.open("w") as err:
        assert started(arguments, tmp_path, pipe, err, buffered) == 1
    assert said.read_text() == ""


@pytest.mark.skipif(os.name == "nt", reason="Windows gives every process its streams")
@pytest.mark.parametrize("arguments", OUTPUTS, ids=" ".join)
def test_no_place_for_results(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """With stdout closed it does its work and says nothing."""
    done = closed(*arguments, home=tmp_path, number=1)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(os.name == "nt", reason="Windows gives every process its streams")
def test_no_place_for_messages(tmp_path: Path) -> None:
    """With stderr closed the results still come."""
    done = closed("discover", "--local", "--no-measure", "--json", home=tmp_path, number=2)
    assert done.returncode == 0
    assert '"devices"' in done.stdout


def test_other_failures_of_the_system_are_not_the_outputs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A failure that names a file, or that is none of writing, is not blamed on the output."""

    def fail(*_: object) -> None:
        (tmp_path / "gone").read_bytes()

    monkeypatch.setattr("hgx.flows.inputs.find_registry", fail)
    with pytest.raises(FileNotFoundError):
        main.run(["plan", "m.gguf"])
