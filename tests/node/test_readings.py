"""The newest readings, kept by a thread."""

from __future__ import annotations

import threading

from hgx.core.reading import Battery, Reading
from hgx.node.changes import Thresholds
from hgx.node.readings import Telemetry

HOT = Reading(temperature_c=90.0)
BATTERY = Battery(charge=0.5)


def test_readings_come_and_the_thread_ends() -> None:
    """The first state is there as soon as it was read, and nothing is read after the end."""
    telemetry = Telemetry(
        "box",
        interval_s=0.01,
        sources={"toaster": lambda: {"toast:0": HOT}},
        battery=lambda: BATTERY,
    )
    before = threading.active_count()
    with telemetry:
        assert telemetry.wait_for_first(30)
        assert telemetry.readings() == {"toast:0": HOT}
        assert telemetry.states()["box/toast:0"].reading == HOT
    assert threading.active_count() <= before + 2  # the sources' own threads may still end


def test_old_readings_are_marked() -> None:
    """What a source does not tell any more is no reading of now."""
    answers = iter([{"toast:0": HOT}])
    failed = threading.Event()

    def read() -> dict[str, Reading]:
        answer = next(answers, None)
        if answer is None:
            failed.set()
            msg = "unplugged"
            raise OSError(msg)
        return answer

    with Telemetry(
        "box", interval_s=0.01, sources={"toaster": read}, battery=lambda: None
    ) as telemetry:
        assert telemetry.wait_for_first(30)
        assert failed.wait(30)
        for _ in range(3000):
            if not telemetry.readings():
                break
            threading.Event().wait(0.01)
        assert telemetry.readings() == {}
        assert telemetry.states()["box/toast:0"].stale == "toaster failed: unplugged"


def test_switched_off() -> None:
    """Where telemetry is off nothing is read."""
    asked: list[int] = []

    def read() -> dict[str, Reading]:
        asked.append(1)
        return {}

    with Telemetry("box", enabled=False, sources={"toaster": read}) as telemetry:
        assert not telemetry.wait_for_first(0.05)
        assert telemetry.battery() is None
    assert asked == []


def test_this_machine() -> None:
    """Without other sources this machine's own are read."""
    with Telemetry("box", interval_s=0.05, thresholds=Thresholds()) as telemetry:
        assert telemetry.wait_for_first(30)
        assert telemetry.readings()["cpu:0"].memory_total_bytes
