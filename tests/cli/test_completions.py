"""Shell completion: the scripts in completions/, and what they ask of hgx."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

SCRIPTS = Path(__file__).parents[2] / "completions"


class Generator(Protocol):
    """What completions/generate.py offers."""

    FILES: Mapping[str, str]

    def script(self, shell: str) -> str:
        """Return the script for a shell."""
        ...


def load_generator() -> Generator:
    """Import completions/generate.py, which is in no package."""
    spec = spec_from_file_location("generate", SCRIPTS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return cast("Generator", module)


GENERATOR = load_generator()


@pytest.mark.parametrize("shell", GENERATOR.FILES)
def test_scripts_are_current(shell: str) -> None:
    """The script of every shell is the one that the generator writes today."""
    kept = (SCRIPTS / GENERATOR.FILES[shell]).read_text(encoding="utf-8")
    assert kept == GENERATOR.script(shell), "stale: run python completions/generate.py"


@pytest.mark.parametrize(
    ("shell", "variables"),
    [
        ("bash", {"COMP_WORDS": "hgx pl", "COMP_CWORD": "1"}),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "hgx pl"}),
        ("fish", {"_TYPER_COMPLETE_ARGS": "hgx pl", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}),
        (
            "powershell",
            {"_TYPER_COMPLETE_ARGS": "hgx pl", "_TYPER_COMPLETE_WORD_TO_COMPLETE": "pl"},
        ),
    ],
)
def test_answers_every_shell(shell: str, variables: dict[str, str]) -> None:
    """Asked as a shell's script asks, hgx completes a subcommand."""
    asked = {"_HGX_COMPLETE": f"complete_{shell}", **variables}
    done = subprocess.run(
        [sys.executable, "-c", "from hgx.__main__ import main; main()"],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "plan" in done.stdout
    assert "discover" not in done.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_completes(tmp_path: Path) -> None:
    """A real bash that has read the script completes an option of a subcommand."""
    hgx = tmp_path / "hgx"
    hgx.write_text(f'#!/bin/sh\nexec {sys.executable} -m hgx "$@"\n', encoding="utf-8")
    hgx.chmod(0o755)
    words = "COMP_WORDS=(hgx plan --obj); COMP_CWORD=2; _hgx_completion hgx"
    done = subprocess.run(
        ["bash", "-c", f"source {SCRIPTS / 'hgx.bash'}; {words}; echo ${{COMPREPLY[@]}}"],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "--objective"
