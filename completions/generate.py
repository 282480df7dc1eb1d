"""Write the completion scripts of all shells: ``python completions/generate.py``.

The scripts ask ``hgx`` itself at every Tab, so they change only with the library that draws them.
"""

from __future__ import annotations

from pathlib import Path

from typer.completion import (
    get_completion_script,  # pyright: ignore[reportPrivateImportUsage] - typer's only way
)

FILES = {"bash": "hgx.bash", "zsh": "_hgx", "fish": "hgx.fish", "powershell": "hgx.ps1"}
"""File names per shell, as the shells' own directories expect them."""


def script(shell: str) -> str:
    """Return the completion script for a shell, one of the keys of ``FILES``."""
    body = get_completion_script(prog_name="hgx", complete_var="_HGX_COMPLETE", shell=shell)
    return body.strip() + "\n"


def main() -> None:
    """Write all scripts beside this file."""
    for shell, name in FILES.items():
        Path(__file__).with_name(name).write_text(script(shell), encoding="utf-8")


if __name__ == "__main__":
    main()
