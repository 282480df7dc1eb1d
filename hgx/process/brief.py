"""A foreign program run to its end, with a limit on its time and on what it says."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hgx.errors import Unavailable
from hgx.process.program import Program

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TICK_S = 0.05


class Run(NamedTuple):
    """What became of a program.

    Attributes:
        status: Its exit status, negative for a signal; null where it did not end in time, or said
            more than it may, and was killed.
        text: What it wrote to stdout and stderr, cut where it was too much.
    """

    status: int | None
    text: str


def run_briefly(
    command: Sequence[str],
    *,
    timeout_s: float,
    most_bytes: int = 1024**2,
    env: Mapping[str, str] | None = None,
) -> Run:
    """Run a program to its end; it and its children are killed where it takes too long.

    Args:
        command: The program and its arguments.
        timeout_s: Longest time it may take, in seconds.
        most_bytes: Most that it may write, in bytes.
        env: Variables that it gets besides hgx's own.

    Raises:
        Unavailable: It cannot be started, or there is no place for what it writes.
    """
    deadline = time.monotonic() + timeout_s
    try:
        folder = tempfile.TemporaryDirectory(prefix="hgx-")
    except OSError as error:
        reason = f"{command[0]} needs a place for temporary files ({error.strerror})"
        raise Unavailable(reason, "set TMPDIR, or free some space") from error
    with folder as name:
        log = Path(name) / "output"
        with Program(command, log, env) as program:
            while program.wait(_TICK_S) is None:
                if time.monotonic() > deadline or log.stat().st_size > most_bytes:
                    break
            status = program.poll()
            program.kill()
        with log.open("rb") as output:
            return Run(status, output.read(most_bytes).decode(errors="replace"))
