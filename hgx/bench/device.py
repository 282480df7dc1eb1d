"""All benchmarks of one device, one after the other, within the time there is."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from hgx.bench.compute import parts, sustained_part
from hgx.bench.conditions import Watch
from hgx.bench.events import Failed, Progress, Refused, Result, Started
from hgx.bench.outcome import outcome
from hgx.bench.timing import burst_and_sustained, measure, sustain
from hgx.drivers.base import DeviceError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from datetime import datetime

    from hgx.bench.compute import Part
    from hgx.bench.events import Event
    from hgx.bench.outcome import Outcome
    from hgx.bench.timing import Clock, Timed
    from hgx.core.benchmark import Conditions
    from hgx.drivers.base import DeviceInfo, Driver, Kernel


class Effort(NamedTuple):
    """How long to measure a device.

    Attributes:
        seconds: Time for all of it but a sustained run; each part gets its share of what is left.
        enough: Samples of a part after which it ends earlier.
        sustained_s: How long the sustained run lasts; zero for none.
    """

    seconds: float
    enough: int
    sustained_s: float = 0.0


# A program start, the load of a vendor's runtime and one sample too many all have to fit under
# 10 s as well.
QUICK = Effort(7.0, 15)
NORMAL = Effort(28.0, 51)
EFFORTS = {"quick": QUICK, "normal": NORMAL}


_PROGRESS_EVERY_S = 0.1
_PATIENCE = 0.5  # so much of what is left may go into the samples that one part cannot do without
_SIZING_FOR_SUSTAINED_S = 6.0


class Tools(NamedTuple):
    """What comes from outside: the time, a clock, and an eye on the conditions.

    Attributes:
        now: Returns the time, with its zone.
        watch: Makes what looks at the conditions of one benchmark.
        clock: Returns seconds.
    """

    now: Callable[[], datetime]
    watch: Callable[[], Watch] = Watch
    clock: Clock = time.perf_counter


def measure_device(
    driver: Driver,
    info: DeviceInfo,
    effort: Effort,
    *,
    subject: str,
    emit: Callable[[Event], object],
    tools: Tools,
) -> None:
    """Measure all that a device can do.

    What fails or has no time left is told, and does not stop the rest. A sustained run comes
    last, so that its heat is in nobody's way.

    Args:
        driver: An initialized driver.
        info: The device.
        effort: How long.
        subject: What events call the device.
        emit: Told what happens.
        tools: Time, clock and conditions.
    """
    todo = parts(driver, info, tools.clock)
    lasting = sustained_part(driver, info, tools.clock) if effort.sustained_s else None
    names = (*(part.name for part in todo), *((f"{lasting.name}_sustained",) if lasting else ()))
    emit(Started(subject=subject, names=names))
    run = _Run(subject, emit, tools, effort.seconds + (effort.sustained_s if lasting else 0))
    ends = tools.clock() + effort.seconds
    for place, part in enumerate(todo):
        seconds = (ends - tools.clock()) / (len(todo) - place)
        with run.part(part.name, effort.seconds / len(todo)):
            run.measure(part, seconds, _PATIENCE * (ends - tools.clock()), effort.enough)
    if lasting:
        with run.part(f"{lasting.name}_sustained", effort.sustained_s):
            run.sustain(lasting, effort.sustained_s)


class _Run:
    """Keeps account of what is done, and tells it.

    Args:
        subject: What events call the device.
        emit: Told what happens.
        tools: Time, clock and conditions.
        total_s: Planned seconds of all parts.
    """

    def __init__(
        self, subject: str, emit: Callable[[Event], object], tools: Tools, total_s: float
    ) -> None:
        self._subject = subject
        self._emit = emit
        self._tools = tools
        self._total_s = total_s
        self._done_s = self._part_s = 0.0
        self._name = ""
        self._told = tools.clock()

    @contextmanager
    def part(self, name: str, planned_s: float) -> Generator[None]:
        """Begin a part; if the device fails in it, that is told and no more."""
        self._name, self._part_s = name, planned_s
        self._tell(0)
        try:
            yield
        except DeviceError as error:
            self._emit(Failed(subject=self._subject, name=name, reason=error.message))
        self._done_s += planned_s

    def measure(self, part: Part, seconds: float, patience_s: float, enough: int) -> None:
        """Take samples for so many seconds, preparation included."""
        clock = self._tools.clock
        began = clock()
        if seconds <= 0:
            msg = (
                "what came before took all the time: run it without --quick, or on a quiet machine"
            )
            raise DeviceError(msg)

        def timed(kernel: Kernel, progress: Callable[[float], object]) -> Timed:
            spent = clock() - began
            return measure(
                kernel,
                seconds=seconds - spent,
                patience_s=patience_s - spent,
                enough=enough,
                clock=clock,
                progress=progress,
            )

        found = self._timed(part, seconds, timed)
        self._report(found.outcome(part, part.name, found.timed, found.conditions))

    def sustain(self, part: Part, seconds: float) -> None:
        """Load the device without a pause; what it does at first and in the end are two things."""

        def timed(kernel: Kernel, progress: Callable[[float], object]) -> Timed:
            return sustain(kernel, seconds=seconds, clock=self._tools.clock, progress=progress)

        found = self._timed(part, _SIZING_FOR_SUSTAINED_S, timed)
        burst, sustained = burst_and_sustained(found.timed)
        # Clocks that go down are what this looks for: not held against it.
        calm = found.conditions.model_copy(update={"throttles": None})
        for name, piece in (("burst", burst), ("sustained", sustained)):
            self._report(found.outcome(part, f"{part.name}_{name}", piece, calm))
        whole = f"{part.name}_over_time"
        self._report(found.outcome(part, whole, found.timed, found.conditions, steady=False))

    def _timed(
        self, part: Part, seconds: float, run: Callable[[Kernel, Callable[[float], object]], Timed]
    ) -> _Found:
        with part.prepare(seconds) as kernel:
            began, watch = self._tools.now(), self._tools.watch()

            def progress(share: float) -> None:
                watch.look()
                if self._tools.clock() - self._told >= _PROGRESS_EVERY_S:
                    self._tell(share)

            timed = run(kernel, progress)
            return _Found(timed, kernel.method, began, watch.conditions())

    def _tell(self, share: float) -> None:
        done = (self._done_s + share * self._part_s) / self._total_s
        self._emit(Progress(subject=self._subject, name=self._name, done=min(1.0, done)))
        self._told = self._tools.clock()

    def _report(self, found: Outcome) -> None:
        kind = Refused if found.refused else Result
        self._emit(kind(subject=self._subject, benchmark=found.benchmark))


class _Found(NamedTuple):
    timed: Timed
    method: str
    began: datetime
    conditions: Conditions

    def outcome(
        self, part: Part, name: str, timed: Timed, conditions: Conditions, *, steady: bool = True
    ) -> Outcome:
        lasting = name != part.name
        judged = outcome(
            name,
            part.unit,
            timed.samples,
            method=self.method,
            measured_at=self.began,
            conditions=conditions,
            times_s=timed.times_s if lasting else None,
            steady=steady,
        )
        whole = judged.benchmark.model_copy(update={"conditions": self.conditions})
        return judged._replace(benchmark=whole)
