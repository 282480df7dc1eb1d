"""All benchmarks of one device within the time there is, in rounds that see its slow changes."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from hgx.bench.compute import noisy_load, parts, sustained_part
from hgx.bench.conditions import Watch
from hgx.bench.events import Failed, Partial, Progress, Refused, Result, Started
from hgx.bench.rounds import Round, Rounds, lasting_outcome
from hgx.bench.stats import FEWEST_SAMPLES
from hgx.bench.timing import burst_and_sustained, coarser, measure, sustain
from hgx.drivers.base import DeviceError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from datetime import datetime

    from hgx.bench.compute import Part
    from hgx.bench.events import Event
    from hgx.bench.outcome import Outcome
    from hgx.bench.timing import Clock, Timed
    from hgx.drivers.base import DeviceInfo, Driver, Kernel


class Effort(NamedTuple):
    """How long to measure a device.

    Attributes:
        seconds: Time for all of it but a sustained run; each part gets its share of what is left.
        enough: Samples of a part after which it ends earlier.
        sustained_s: How long the sustained run lasts; zero for none.
        rounds: In so many each part is measured, all parts in each of them.
    """

    seconds: float
    enough: int
    sustained_s: float = 0.0
    rounds: int = 4


# A program start, the load of a vendor's runtime and one sample too many all have to fit under
# 10 s as well.
QUICK = Effort(7.0, 15, rounds=3)
NORMAL = Effort(28.0, 52)
EFFORTS = {"quick": QUICK, "normal": NORMAL}


_PROGRESS_EVERY_S = 0.1
_PATIENCE = 0.5  # so much of what is left may go into the samples that one part cannot do without
_SIZING_FOR_SUSTAINED_S = 3.0  # short, so that the device is cold when it begins
_MOST_WINDOWS = 300  # that are kept of a sustained run: a curve needs no more


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
    first, because its burst is that of a device that is not hot yet. Each part is then measured
    in rounds, so that all of them see what changes slowly, and told when its last one is done.

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
    lasting_s = effort.sustained_s if lasting else 0.0
    names = (*((f"{lasting.name}_sustained",) if lasting else ()), *(part.name for part in todo))
    emit(Started(subject=subject, names=names))
    load = noisy_load(info)
    run = _Run(subject, emit, tools, effort.seconds + lasting_s, load)
    if lasting:
        with run.part(f"{lasting.name}_sustained", effort.sustained_s):
            run.sustain(lasting, effort.sustained_s)
    ends = tools.clock() + effort.seconds
    found = [Rounds(part, load) for part in todo]
    turns = [(one, number + 1) for number in range(effort.rounds) for one in found]
    for place, (one, number) in enumerate(turns):
        with run.part(one.part.name, effort.seconds / len(turns), one):
            left = ends - tools.clock()
            share = _Share(
                left / (len(turns) - place),
                _PATIENCE * left,
                effort.seconds / len(todo),
                math.ceil(effort.enough / effort.rounds),
                math.ceil(FEWEST_SAMPLES / max(1, effort.rounds - 1)),
            )
            run.measure(one, share, last=number == effort.rounds)


class _Share(NamedTuple):
    """What one round of a part may take.

    Attributes:
        seconds: Preparation included.
        patience_s: For the fewest samples.
        sizing_s: Of all rounds of the part: what finding the right size is a share of.
        enough: Samples after which it ends earlier.
        fewest: Samples it cannot do without, though the last round may have no time.
    """

    seconds: float
    patience_s: float
    sizing_s: float
    enough: int
    fewest: int


class _Run:
    """Keeps account of what is done, and tells it.

    Args:
        subject: What events call the device.
        emit: Told what happens.
        tools: Time, clock and conditions.
        total_s: Planned seconds of all parts.
        load: The load of others from which on results are noisy.
    """

    def __init__(
        self,
        subject: str,
        emit: Callable[[Event], object],
        tools: Tools,
        total_s: float,
        load: float,
    ) -> None:
        self._subject = subject
        self._emit = emit
        self._tools = tools
        self._total_s = total_s
        self._load = load
        self._done_s = self._part_s = 0.0
        self._name = ""
        self._told = tools.clock()

    @contextmanager
    def part(self, name: str, planned_s: float, rounds: Rounds | None = None) -> Generator[None]:
        """Begin a part or a round of it; if the device fails, that is told once and no more."""
        self._name, self._part_s = name, planned_s
        self._tell(0)
        try:
            yield
        except DeviceError as error:
            self._emit(Failed(subject=self._subject, name=name, reason=error.message))
            if rounds is not None:
                rounds.failed = True
        self._done_s += planned_s

    def measure(self, rounds: Rounds, share: _Share, *, last: bool) -> None:
        """Measure one round, where there is time; tell what all gave when it is the last."""
        if rounds.failed:
            return
        if share.seconds > 0:
            rounds.add(self._round(rounds.part, share))
        elif not rounds:
            msg = (
                "what came before took all the time: run it without --quick, or on a quiet machine"
            )
            raise DeviceError(msg)
        so_far = rounds.outcome()
        if last:
            self._report(so_far)
        else:
            self._emit(
                Partial(subject=self._subject, benchmark=so_far.benchmark, refused=so_far.refused)
            )

    def sustain(self, part: Part, seconds: float) -> None:
        """Load the device without a pause; what it does at first and in the end are two things."""

        def timed(kernel: Kernel, progress: Callable[[float], object]) -> Timed:
            return sustain(kernel, seconds=seconds, clock=self._tools.clock, progress=progress)

        found = self._timed(part, _SIZING_FOR_SUSTAINED_S, timed)
        burst, sustained = burst_and_sustained(found.timed)
        pieces = (("burst", burst), ("sustained", sustained), ("over_time", found.timed))
        for kind, piece in pieces:
            steady = kind != "over_time"
            kept = coarser(piece, _MOST_WINDOWS)
            self._report(lasting_outcome(part, kind, found, kept, self._load, steady=steady))

    def _round(self, part: Part, share: _Share) -> Round:
        clock = self._tools.clock
        began = clock()

        def timed(kernel: Kernel, progress: Callable[[float], object]) -> Timed:
            spent = clock() - began
            return measure(
                kernel,
                seconds=share.seconds - spent,
                patience_s=share.patience_s - spent,
                enough=share.enough,
                fewest=share.fewest,
                clock=clock,
                progress=progress,
            )

        return self._timed(part, share.sizing_s, timed)

    def _timed(
        self, part: Part, sizing_s: float, run: Callable[[Kernel, Callable[[float], object]], Timed]
    ) -> Round:
        with part.prepare(sizing_s) as kernel:
            began, watch = self._tools.now(), self._tools.watch()

            def progress(share: float) -> None:
                watch.look()
                if self._tools.clock() - self._told >= _PROGRESS_EVERY_S:
                    self._tell(share)

            timed = run(kernel, progress)
            warnings = part.warnings(kernel)
            return Round(timed, kernel.method, warnings, began, watch.conditions())

    def _tell(self, share: float) -> None:
        done = (self._done_s + share * self._part_s) / self._total_s
        self._emit(Progress(subject=self._subject, name=self._name, done=min(1.0, done)))
        self._told = self._tools.clock()

    def _report(self, found: Outcome) -> None:
        kind = Refused if found.refused else Result
        self._emit(kind(subject=self._subject, benchmark=found.benchmark))
