"""What else was the case while something was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hgx.bench import conditions
from hgx.bench.conditions import Busy, Watch, busy, device_reader, merged
from hgx.core.benchmark import Conditions
from hgx.core.reading import Reading
from hgx.sensors.source import Machine
from tests.bench.doubles import Clock, FakeDriver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hgx.sensors.node import Sampler


def counters(*values: tuple[float, float]) -> Iterator[Busy]:
    """Yield processor times."""
    for value in values:
        yield Busy(*value)


@pytest.mark.parametrize(
    ("before", "after", "load"),
    [
        ((100, 10), (110, 14), 0.3),
        ((100, 10), (100, 10), 0.0),
        ((100, 10), (101, 12), 0.0),
        ((100, 10), (900, 10), 1.0),
    ],
)
def test_load_of_others(
    before: tuple[float, float], after: tuple[float, float], load: float
) -> None:
    """Load is what others used of all processors, this process left out, between 0 and 1."""
    clock, times = Clock(), counters(before, after)
    watch = Watch(busy=lambda: next(times), processors=2, clock=clock)
    clock.now_s = 10
    assert watch.conditions().load == pytest.approx(load)


def test_readings_are_summed_up() -> None:
    """The hottest, the median clock and all reasons for throttling count; looks are seldom."""
    readings = iter(
        [
            Reading(temperature_c=50, clock_hz=1e9, throttles=()),
            Reading(temperature_c=0, throttles=("heat",)),
            Reading(clock_hz=3e9, throttles=("power cap", "heat")),
        ]
    )
    clock = Clock()
    watch = Watch(lambda: next(readings), "battery", busy=lambda: Busy(0, 0), clock=clock)
    watch.look()
    watch.look()
    clock.now_s = 0.3
    watch.look()
    found = watch.conditions()
    assert found == Conditions(
        load=0.0,
        temperature_c=50,
        throttles=("heat", "power cap"),
        clock_hz=2e9,
        power_source="battery",
    )


def test_what_is_unknown_stays_null() -> None:
    """Where nothing can be read and no time has passed, all is null."""
    assert Watch(clock=Clock()).conditions() == Conditions()


def sampler(name: str, **fields: float) -> Callable[[object], dict[str, Sampler]]:
    """Make what prepares one sampler, which knows one device."""
    return lambda _: {"none": dict, "one": lambda: {name: Reading.model_validate(fields)}}


def test_sensors_and_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's sensors tell of a device, and its driver where they do not."""
    driver = FakeDriver(Clock())
    monkeypatch.setattr(conditions, "samplers", sampler("toast:3", temperature_c=7.0, power_w=1.0))
    assert device_reader(driver, 1, "toast:3", Machine(system="Linux"))() == Reading(
        temperature_c=7.0, power_w=1.0, clock_hz=1e9 + 1
    )
    monkeypatch.setattr(conditions, "samplers", sampler("toast:3", clock_hz=5.0))
    assert device_reader(driver, 1, "toast:3", Machine(system="Linux"))() == Reading(
        temperature_c=41.0, clock_hz=5.0
    )


@pytest.mark.parametrize(("name", "system"), [("toast:4", "Linux"), ("toast:3", "Windows")])
def test_driver_alone(name: str, system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no sensor knows, or none that is quick enough, the driver tells."""
    monkeypatch.setattr(conditions, "samplers", sampler("toast:3", temperature_c=7.0))
    reading = device_reader(FakeDriver(Clock()), 1, name, Machine(system=system))()
    assert reading == Reading(temperature_c=41.0, clock_hz=1e9 + 1)


def test_this_machine() -> None:
    """Processor times of this machine only grow."""
    before, after = busy(), busy()
    assert after.all_s >= before.all_s > 0
    assert after.own_s >= before.own_s > 0


def test_stretches_are_summed_up() -> None:
    """Of several stretches the mean load, the hottest, all throttles and the middle clock count."""
    calm = Conditions(load=0.1, temperature_c=50, clock_hz=1e9, throttles=())
    hot = Conditions(load=0.3, temperature_c=70, clock_hz=3e9, throttles=("heat",))
    found = merged([calm, hot, Conditions(power_source="mains")])
    assert found.load == pytest.approx(0.2)
    assert found.model_copy(update={"load": None}) == Conditions(
        temperature_c=70, clock_hz=2e9, throttles=("heat",), power_source="mains"
    )
    assert merged([Conditions()]) == Conditions()
