"""NVML asked in a process of its own: a library that hangs or crashes takes nothing with it."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from hgx.core.base import Strict
from hgx.errors import Unavailable
from hgx.sensors.nvml import Card, Survey

if TYPE_CHECKING:
    from collections.abc import Sequence

TIMEOUT_S = 10.0
"""A first call may start the driver, which takes seconds on a machine with several cards."""

_COMMAND = (sys.executable, "-m", "hgx.sensors.nvml")
_REMEDY = "run nvidia-smi to see whether the driver works"


class _Answer(Strict):
    cards: tuple[Card, ...]
    missing: tuple[tuple[str, str], ...]


def probe_cards(timeout_s: float = TIMEOUT_S, command: Sequence[str] = _COMMAND) -> Survey:
    """Read all NVIDIA cards in a process of its own.

    Args:
        timeout_s: Seconds after which the process is killed.
        command: The program that prints the survey.

    Returns:
        What was found; no cards and a reason if the process hung, crashed or printed nonsense.
    """
    try:
        answer = _Answer.model_validate_json(_output(command, timeout_s))
    except subprocess.TimeoutExpired:
        return _failed(f"NVML did not answer in {timeout_s:g} s")
    except subprocess.CalledProcessError as error:
        return _failed(f"reading NVML ended with status {error.returncode}")
    except OSError as error:
        return _failed(f"reading NVML could not start: {error.strerror}")
    except ValidationError:
        return _failed("reading NVML gave no usable answer")
    return Survey(answer.cards, tuple(Unavailable(*item) for item in answer.missing))


def _output(command: Sequence[str], timeout_s: float) -> bytes:
    process = subprocess.Popen(  # noqa: S603 - the command is this interpreter and this package
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],  # from where the package can be imported
    )
    try:
        output, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        # A process stuck in the kernel's driver does not die: waiting for it would hang us too.
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=1)
        raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return output


def _failed(reason: str) -> Survey:
    return Survey(missing=(Unavailable(reason, _REMEDY),))
