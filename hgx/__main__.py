"""The ``hgx`` command, also as ``python -m hgx``."""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit with its status."""
    from hgx.cli.main import run

    raise SystemExit(run())


if __name__ == "__main__":
    main()
