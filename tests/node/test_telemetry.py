"""The collector, with sources of its own threads, as in earnest."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hgx.core.reading import Battery, Reading
from hgx.errors import Unavailable
from hgx.node.changes import Thresholds, readings_differ
from hgx.node.telemetry import GPUTelemetryCollector, pause_s

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence

    from hgx.core.events import DeviceGPUStateUpdated

    Answer = Reading | Mapping[str, Reading] | Exception

TICK_S = 1e-4
PATIENCE_S = 60
"""Ends a test that would otherwise wait for ever."""
THRESHOLDS = Thresholds()


class Script:
    """A source that answers what it is told to, and notes what was sent before each answer.

    Args:
        answers: Readings of ``cuda:0``, whole answers, or what to raise.
        failures: Whether taking an event fails, one after another; not any more after these.
    """

    def __init__(self, answers: Sequence[Answer], failures: Iterable[bool] = ()) -> None:
        self._answers = answers
        self._failures = iter(failures)
        self.events: list[DeviceGPUStateUpdated] = []
        self.after: list[tuple[DeviceGPUStateUpdated, ...]] = []
        self.finished: Callable[[], object] = lambda: None
        self._asked = 0

    def __call__(self) -> Mapping[str, Reading]:
        """Answer; after the last answer, say so and repeat it."""
        if self._asked:
            self.after.append(tuple(self.events))
        if self._asked == len(self._answers):
            self.finished()
        answer = self._answers[min(self._asked, len(self._answers) - 1)]
        self._asked += 1
        if isinstance(answer, Exception):
            raise answer
        return {"cuda:0": answer} if isinstance(answer, Reading) else answer

    async def emit(self, event: DeviceGPUStateUpdated) -> None:
        """Take an event, or fail to."""
        if next(self._failures, False):
            raise ConnectionError
        self.events.append(event)


def replay(
    answers: Sequence[Answer], failures: Iterable[bool] = (), **options: Any
) -> list[tuple[DeviceGPUStateUpdated, ...]]:
    """Let a collector read answers one after another; return all events sent until after each."""
    script = Script(answers, failures)

    async def collect() -> None:
        collector = GPUTelemetryCollector(
            {"nvml": script}, script.emit, node="tower", interval_s=TICK_S, **options
        )
        loop = asyncio.get_running_loop()
        script.finished = lambda: loop.call_soon_threadsafe(collector.stop)
        async with asyncio.timeout(PATIENCE_S):
            await collector.run()

    asyncio.run(collect())
    return script.after[: len(answers)]


@asynccontextmanager
async def running(collector: GPUTelemetryCollector) -> AsyncGenerator[None]:
    """Run a collector as long as the context lasts."""
    task = asyncio.create_task(collector.run())
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield
    finally:
        collector.stop()
        await task


def wait_for_thread(name: str) -> None:
    """Wait until a thread has ended, if it has not yet."""
    for thread in threading.enumerate():
        if thread.name == name:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


shares = st.none() | st.floats(0, 1)
readings = st.builds(
    Reading,
    temperature_c=st.none() | st.floats(-5, 5),
    utilisation=shares,
    power_w=st.none() | st.floats(0, 10),
    throttles=st.none() | st.just(()) | st.just(("heat",)),
)


@settings(max_examples=50)
@given(st.lists(readings, min_size=1, max_size=12))
def test_what_was_sent_is_never_far_from_what_is(states: list[Reading]) -> None:
    """After each reading the last state sent differs from it by less than any threshold."""
    after = replay(states)
    assert len(after[0]) == 1
    for events, state in zip(after, states, strict=True):
        assert not readings_differ(events[-1].reading, state, THRESHOLDS)
        assert len(set(events)) == len(events)


@given(readings, st.integers(2, 5))
@settings(max_examples=20)
def test_equal_readings_send_nothing(state: Reading, times: int) -> None:
    """The first state is sent, whatever it is, and the same again is not."""
    assert [len(events) for events in replay([state] * times)] == [1] * times


@settings(max_examples=20)
@given(st.floats(0.05, 0.99), st.booleans())
@example(0.3, False)
def test_drift_is_told(step_c: float, down: bool) -> None:
    """Steps too small to count are told as soon as they add up."""
    sign = -1 if down else 1
    count = int(1 / step_c) + 2
    states = [Reading(temperature_c=50 + sign * step_c * n) for n in range(count)]
    last = replay(states)[-1]
    assert len(last) == 2
    assert abs(last[1].reading.temperature_c or 0) - 50 == pytest.approx(sign * 1, abs=step_c)


def test_zero_is_a_reading() -> None:
    """From unknown to 0 °C is a change, and so is the way back."""
    after = replay([Reading(), Reading(temperature_c=0.0), Reading()])
    assert [event.reading.temperature_c for event in after[-1]] == [None, 0.0, None]


def test_thresholds_can_be_chosen() -> None:
    """Thresholds are those that were given."""
    states = [Reading(temperature_c=50.0), Reading(temperature_c=54.0), Reading(temperature_c=55.0)]
    after = replay(states, thresholds=Thresholds(temperature_c=5.0))
    assert [event.reading.temperature_c for event in after[-1]] == [50.0, 55.0]


def test_events_are_whole() -> None:
    """An event names the device with its node and carries the time of the reading."""
    at = datetime(2030, 1, 1, tzinfo=UTC)
    ((event,),) = replay([Reading(power_w=5.0, power_kind="instant")], clock=lambda: at)
    assert (event.device, event.at, event.stale) == ("tower/cuda:0", at, None)
    assert event.reading.power_w == 5.0


def test_clock_steps() -> None:
    """A clock that is set back changes the times in events, and nothing else."""
    times = iter(datetime(2030, 1, 1, tzinfo=UTC) - n * timedelta(days=1) for n in range(1000))
    states = [Reading(temperature_c=float(n)) for n in range(3)]
    after = replay(states, clock=lambda: next(times))
    assert [event.reading.temperature_c for event in after[-1]] == [0.0, 1.0, 2.0]


@given(st.floats(0, 1e6), st.floats(1e-3, 1e4))
def test_readings_do_not_bunch_up(took_s: float, interval_s: float) -> None:
    """The next reading begins later than now, at most an interval, on a multiple of intervals."""
    pause = pause_s(took_s, interval_s)
    assert 0 < pause <= interval_s
    places = (took_s + pause) / interval_s
    assert places == pytest.approx(round(places), rel=1e-9)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("GPU is\nlost"), "nvml failed: GPU is lost"),
        (Unavailable("no driver", "install it"), "nvml failed: no driver: install it"),
        (KeyError(), "nvml failed: KeyError"),
    ],
)
def test_a_source_that_fails(error: Exception, reason: str) -> None:
    """A failing source makes its last reading an old one, once, until it answers again."""
    state = Reading(temperature_c=40.0)
    warmer = Reading(temperature_c=40.5)
    after = replay([state, warmer, error, RuntimeError("again"), warmer])
    assert [len(events) for events in after] == [1, 1, 2, 2, 3]
    _, old, fresh = after[-1]
    assert (old.stale, old.reading) == (reason, warmer)
    assert (fresh.stale, fresh.reading) == (None, warmer)
    assert old.at < fresh.at


def test_a_source_that_fails_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """A source that never named a device is in the log, once until it answers."""
    after = replay([RuntimeError("no"), RuntimeError("no"), {}, RuntimeError("no"), Reading()])
    assert [len(events) for events in after] == [0, 0, 0, 0, 1]
    assert [record.getMessage() for record in caplog.records] == ["nvml failed: no"] * 2


def test_a_device_that_vanishes() -> None:
    """A device that its source no longer shows is an old one, and fresh when it is back."""
    both = {"cuda:0": Reading(temperature_c=1.0), "cuda:1": Reading(temperature_c=2.0)}
    after = replay([both, {"cuda:0": both["cuda:0"]}, {"cuda:0": both["cuda:0"]}, both])
    assert [len(events) for events in after] == [2, 3, 3, 4]
    assert (after[1][-1].device, after[1][-1].stale) == (
        "tower/cuda:1",
        "nvml no longer shows it",
    )
    assert (after[3][-1].device, after[3][-1].stale) == ("tower/cuda:1", None)


def test_a_source_that_hangs() -> None:
    """A hung source is told once and not asked again, others go on, and it comes back."""
    hang, calls, ticks = threading.Event(), [0], iter(range(10**9))

    def hanging() -> Mapping[str, Reading]:
        calls[0] += 1
        if calls[0] == 2:
            hang.wait(PATIENCE_S)
        return {"cuda:0": Reading(temperature_c=40.0)}

    async def collect() -> None:
        events: asyncio.Queue[DeviceGPUStateUpdated] = asyncio.Queue()

        async def of(device: str) -> DeviceGPUStateUpdated:
            while (event := await events.get()).device != f"tower/{device}":
                pass
            return event

        collector = GPUTelemetryCollector(
            {"nvml": hanging, "cpu": lambda: {"cpu:0": Reading(temperature_c=float(next(ticks)))}},
            events.put,
            node="tower",
            interval_s=0.001,
            timeout_s=0.2,
        )
        async with running(collector):
            assert (await of("cuda:0")).stale is None
            event = await of("cuda:0")
            assert event.stale == "nvml has not answered for 0.2 s"
            assert event.reading.temperature_c == 40.0
            for _ in range(20):  # the other source goes on, and nothing more is said of this one
                assert (await events.get()).device == "tower/cpu:0"
            assert calls[0] == 2
            hang.set()
            assert (await of("cuda:0")).stale is None

    asyncio.run(collect())


def test_a_failing_emit(caplog: pytest.LogCaptureFixture) -> None:
    """What could not be sent is tried again, and the failure is logged once."""
    states = [Reading()] * 3 + [Reading(temperature_c=0.0)] + [Reading()] * 2
    after = replay(states, failures=[True, True, False, True])
    assert [len(events) for events in after] == [0, 0, 1, 1, 1, 1]
    assert len(caplog.records) == 2
    assert "tower/cuda:0" in caplog.records[0].getMessage()


def test_the_battery_is_in_every_event() -> None:
    """A battery's change is told for the devices, and a battery that fails is unknown."""
    plugged, unplugged = Battery(charge=0.5, plugged=True), Battery(charge=0.5, plugged=False)
    present: list[Battery | None] = [plugged]

    def battery() -> Battery | None:
        if present[-1] is None:
            raise OSError
        return present[-1]

    async def collect() -> None:
        events: asyncio.Queue[DeviceGPUStateUpdated] = asyncio.Queue()
        collector = GPUTelemetryCollector(
            {"cpu": lambda: {"cpu:0": Reading()}},
            events.put,
            node="tower",
            interval_s=TICK_S,
            battery=battery,
        )
        async with running(collector):
            for state in (plugged, unplugged, None):
                present.append(state)
                while (event := await events.get()).battery != state:
                    pass
                assert event.stale is None

    asyncio.run(collect())


def test_off() -> None:
    """A collector that is off reads nothing, starts no thread, and ends at once."""
    script = Script([Reading()])
    threads = threading.active_count()

    async def collect() -> None:
        collector = GPUTelemetryCollector(
            {"nvml": script}, script.emit, node="tower", enabled=False
        )
        await collector.run()

    asyncio.run(collect())
    assert (script.events, script.after, threading.active_count()) == ([], [], threads)


def test_stopping_before_the_beginning() -> None:
    """A collector that was stopped before it ran ends at once."""
    script = Script([Reading()])

    async def collect() -> None:
        collector = GPUTelemetryCollector({"nvml": script}, script.emit, node="tower")
        collector.stop()
        async with asyncio.timeout(PATIENCE_S):
            await collector.run()

    asyncio.run(collect())
    assert not script.events


def test_cancelling() -> None:
    """A collector that is cancelled ends, and its thread with it."""

    async def collect() -> None:
        events: asyncio.Queue[DeviceGPUStateUpdated] = asyncio.Queue()
        collector = GPUTelemetryCollector(
            {"a": lambda: {"cpu:0": Reading()}}, events.put, node="tower"
        )
        task = asyncio.create_task(collector.run())
        async with asyncio.timeout(PATIENCE_S):
            await events.get()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(collect())
    wait_for_thread("telemetry of a")


def test_an_answer_that_comes_too_late() -> None:
    """A source that answers when there is no loop any more harms nobody."""
    asked, release = threading.Event(), threading.Event()

    def late() -> Mapping[str, Reading]:
        asked.set()
        release.wait(PATIENCE_S)
        return {}

    async def collect() -> None:
        script = Script([])
        async with running(GPUTelemetryCollector({"b": late}, script.emit, node="tower")):
            await asyncio.to_thread(asked.wait, PATIENCE_S)

    asyncio.run(collect())
    release.set()
    wait_for_thread("telemetry of b")


def test_a_hanging_source_does_not_keep_the_process() -> None:
    """A process ends although a source never answers."""
    code = """
import asyncio, threading
from hgx.node.telemetry import GPUTelemetryCollector

async def emit(event): pass

async def main():
    asked = threading.Event()
    def hang():
        asked.set()
        threading.Event().wait()
    collector = GPUTelemetryCollector({"nvml": hang}, emit, node="tower")
    task = asyncio.create_task(collector.run())
    await asyncio.to_thread(asked.wait)
    collector.stop()
    await task

asyncio.run(main())
print("ended")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    assert (done.stdout, done.stderr) == ("ended\n", "")
