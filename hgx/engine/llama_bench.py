"""llama-bench: how long llama.cpp takes for prompts and tokens of a model, run by run."""

from __future__ import annotations

import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

from pydantic import BaseModel, Field, ValidationError

from hgx.errors import EngineError, StorageError
from hgx.process.program import Program, how_it_ended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TICK_S = 0.05
_MOST_BYTES = 1024**2

_ENVIRONMENT: Final = {
    "GGML_RPC_NO_RDMA": "1",
    # As hgx starts llama-server: GNU OpenMP's threads do not spin long before they sleep.
    "GOMP_SPINCOUNT": "1000",
}


class Job(NamedTuple):
    """What llama-bench is to time.

    Attributes:
        model: The model file.
        device: llama.cpp's name of what holds all layers, as ``CUDA0``; the CPU where null.
        rpc: Address of an rpc server, ``127.0.0.1:PORT``; its first device is ``RPC0``.
        threads: Threads on the CPU.
        prompt: Tokens of a prompt, which pass in micro-batches of 512; 0 for none.
        generate: Tokens to make one by one; 0 for none.
        depth: Tokens of context that are there before, and not timed.
        repetitions: How often each is timed.
    """

    model: Path
    device: str | None
    rpc: str | None
    threads: int
    prompt: int = 0
    generate: int = 0
    depth: int = 0
    repetitions: int = 5


class Times(NamedTuple):
    """Seconds of each repetition: of the whole prompt, and of one token of the answer."""

    prompt: tuple[float, ...]
    token: tuple[float, ...]


class _Row(BaseModel):
    """What is read of a line that llama-bench prints per test."""

    n_prompt: int
    n_gen: int
    samples_ns: tuple[Annotated[float, Field(gt=0)], ...] = Field(min_length=1)


def time_engine(
    program: Path, job: Job, *, limit_s: float, tick: Callable[[int], object] = lambda _: None
) -> Times:
    """Run llama-bench to its end; it ends with hgx, however hgx ends.

    Args:
        program: llama-bench.
        job: What to time.
        limit_s: Longest time for all of it, in seconds.
        tick: Told the process id of llama-bench twenty times a second.

    Raises:
        Unavailable: It cannot be started.
        EngineError: It failed, with the reason it gave, or took too long.
        StorageError: There is no place for what it prints.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="hgx-") as folder:
            log = Path(folder) / "log"
            status = _run((f"{program}", *_arguments(job)), log, limit_s, tick)
            with log.open("rb") as file:
                text = file.read(_MOST_BYTES).decode(errors="replace")
    except OSError as error:
        msg = f"llama-bench needs a place for what it prints ({error.strerror}): set TMPDIR"
        raise StorageError(msg) from error
    rows = list(_rows(text))
    found = Times(
        tuple(ns * 1e-9 for row in rows if row.n_prompt for ns in row.samples_ns),
        tuple(ns * 1e-9 / row.n_gen for row in rows if row.n_gen for ns in row.samples_ns),
    )
    complete = (bool(found.prompt), bool(found.token)) == (job.prompt > 0, job.generate > 0)
    if status == 0 and complete:
        return found
    if status is None:
        raise EngineError(f"llama-bench was not done within {limit_s:g} s: is the machine busy?")
    end = how_it_ended(status) if status else "printed nothing that hgx can read"
    said = last_words(text)
    msg = f"llama-bench {end}{f', saying {said!r}' if said else ''}"
    raise EngineError(f"{msg}; try another build of llama.cpp, named with --engine-dir")


def last_words(text: str) -> str | None:
    """Find the last line that is no table row in what a program printed; null without any."""
    lines = [line.strip() for line in text.splitlines()]
    words = [line for line in lines if line and line[0] not in "{["]
    return words[-1][:200] if words else None


def _run(
    command: tuple[str, ...], log: Path, limit_s: float, tick: Callable[[int], object]
) -> int | None:
    """Return the exit status, or null where it took too long."""
    deadline = time.monotonic() + limit_s
    with Program(command, log, _ENVIRONMENT) as program:
        while (status := program.wait(_TICK_S)) is None:
            if program.pid is not None:
                tick(program.pid)
            if time.monotonic() > deadline:
                program.kill()
                return None
        return status


def _arguments(job: Job) -> tuple[str, ...]:
    device = "RPC0" if job.rpc else job.device
    return (
        *("--model", str(job.model), "--output", "jsonl"),
        *(("--rpc", job.rpc) if job.rpc else ()),
        # With "none" the CPU does everything, also where there are GPUs it might ask for help.
        *("--device", device or "none", "--n-gpu-layers", "999" if device else "0"),
        *("--threads", str(job.threads), "--ubatch-size", "512"),
        *("--n-prompt", str(job.prompt), "--n-gen", str(job.generate)),
        *("--n-depth", str(job.depth), "--repetitions", str(job.repetitions)),
    )


def _rows(text: str) -> Iterator[_Row]:
    for line in text.splitlines():
        if line.startswith("{"):
            with suppress(ValidationError):
                yield _Row.model_validate_json(line)
