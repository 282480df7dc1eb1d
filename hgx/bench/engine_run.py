"""A step of the engine's benchmark, run for real: the model written, timed and removed."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

import psutil

from hgx.bench.conditions import busy
from hgx.bench.engine import Timed
from hgx.core.benchmark import Conditions
from hgx.engine.llama_bench import Job, time_engine
from hgx.engine.placement import HOST
from hgx.engine.rpc_server import HOST as LOOPBACK
from hgx.engine.rpc_server import RpcOptions, RpcServer
from hgx.engine.synthetic import write_model

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from hgx.bench.engine_steps import Step, Target
    from hgx.core.reading import PowerSource
    from hgx.engine.binaries import Toolkit

LIMIT_S: Final = 180.0
"""Longest time for one step, in seconds; on a quiet machine it takes some ten."""


class Runner:
    """Runs steps on one device.

    Args:
        toolkit: llama.cpp's programs.
        target: The device.
        folder: Where models are for as long as they are needed.
        power_source: Where the machine has its power from.
    """

    def __init__(
        self, toolkit: Toolkit, target: Target, folder: Path, power_source: PowerSource | None
    ) -> None:
        self._toolkit = toolkit
        self._target = target
        self._folder = folder
        self._power_source: PowerSource | None = power_source

    def __call__(self, step: Step, repetitions: int) -> Timed:
        """Run a step.

        Args:
            step: What to run.
            repetitions: How often.

        Raises:
            EngineError: The engine failed.
            Unavailable: A program cannot be started.
            StorageError: There is no place for the model.
        """
        began = datetime.now(UTC)
        model = self._folder / "model.gguf"
        write_model(model, step.shape, step.kind)
        try:
            with self._worker(step) as server:
                load = Load(() if server is None or server.pid is None else (server.pid,))
                job = Job(
                    model=model,
                    device=self._target.device,
                    rpc=None if server is None else f"{LOOPBACK}:{server.port}",
                    threads=self._target.threads,
                    prompt=step.prompt,
                    generate=step.generate,
                    depth=step.depth,
                    repetitions=repetitions,
                )
                times = time_engine(
                    self._toolkit.need("bench"), job, limit_s=LIMIT_S, tick=load.look
                )
        finally:
            model.unlink(missing_ok=True)
        conditions = Conditions(load=load.of_others(), power_source=self._power_source)
        return Timed(times, began, conditions)

    @contextmanager
    def _worker(self, step: Step) -> Generator[RpcServer | None]:
        if not step.worker:
            yield None
            return
        device = self._target.device or HOST
        threads = self._target.threads
        log = self._folder / "rpc.log"
        with RpcServer(self._toolkit, log, RpcOptions((device,), threads)) as server:
            yield server


class Load:
    """How much of the processors others use while some processes run.

    Args:
        pids: Of processes that are no others; this one is none either.
    """

    def __init__(self, pids: tuple[int, ...] = ()) -> None:
        self._pids = pids
        self._looks: list[_Look] = []

    def look(self, pid: int) -> None:
        """Take note of processor times, those of a further process counted as own."""
        with suppress(psutil.Error):  # it has just ended
            each = [psutil.Process(one).cpu_times() for one in (pid, *self._pids)]
            now = busy()
            own_s = now.own_s + sum(times.user + times.system for times in each)
            self.add(now.all_s, own_s, psutil.cpu_times().idle)

    def add(self, all_s: float, own_s: float, idle_s: float) -> None:
        """Take note of seconds that all processors were busy, for these processes, and idle."""
        self._looks.append(_Look(all_s, own_s, idle_s))

    def of_others(self) -> float | None:
        """Return the share of all processors that others used, or null where it is not known."""
        if len(self._looks) < 2:
            return None
        first, last = self._looks[0], self._looks[-1]
        used_s, idle_s = last.all_s - first.all_s, last.idle_s - first.idle_s
        if used_s + idle_s <= 0:
            return None
        others_s = used_s - (last.own_s - first.own_s)
        return min(1.0, max(0.0, others_s / (used_s + idle_s)))


class _Look(NamedTuple):
    """Processor seconds since some time in the past."""

    all_s: float
    own_s: float
    idle_s: float
