"""What counts as a difference, case by case, and its laws."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.core.reading import Battery, Reading
from hgx.node.changes import Thresholds, batteries_differ, readings_differ

if TYPE_CHECKING:
    from collections.abc import Mapping

GIB = 1024**3
THRESHOLDS = Thresholds()


@pytest.mark.parametrize(
    ("before", "after", "differ"),
    [
        ({}, {}, False),
        ({"temperature_c": 50.0}, {"temperature_c": 50.9}, False),
        ({"temperature_c": 50.0}, {"temperature_c": 51.0}, True),
        ({"temperature_c": 50.0}, {"temperature_c": 49.0}, True),
        ({"temperature_c": 0.0}, {"temperature_c": 0.5}, False),
        ({"temperature_c": None}, {"temperature_c": 0.0}, True),
        ({"temperature_c": 0.0}, {"temperature_c": None}, True),
        ({"temperature_c": -0.5}, {"temperature_c": 0.25}, False),
        ({"power_w": 100.0}, {"power_w": 104.0}, False),
        ({"power_w": 100.0}, {"power_w": 106.0}, True),
        (
            {"power_w": 10.0, "power_limit_w": 400.0},
            {"power_w": 29.0, "power_limit_w": 400.0},
            False,
        ),
        (
            {"power_w": 10.0, "power_limit_w": 400.0},
            {"power_w": 30.0, "power_limit_w": 400.0},
            True,
        ),
        ({"power_limit_w": 400.0}, {"power_limit_w": 399.0}, True),
        ({"power_w": 0.0}, {"power_w": 0.1}, True),
        ({"clock_hz": 2.00e9}, {"clock_hz": 2.09e9}, False),
        ({"clock_hz": 2.00e9}, {"clock_hz": 2.11e9}, True),
        ({"memory_clock_hz": 1e9}, {"memory_clock_hz": 2e9}, True),
        ({"utilisation": 0.5}, {"utilisation": 0.54}, False),
        ({"utilisation": 0.5}, {"utilisation": 0.56}, True),
        ({"memory_used_bytes": 100 * GIB}, {"memory_used_bytes": 102 * GIB}, True),
        (
            {"memory_total_bytes": 100 * GIB, "memory_free_bytes": 2 * GIB},
            {"memory_total_bytes": 100 * GIB, "memory_free_bytes": 3 * GIB - 1},
            False,
        ),
        (
            {"memory_total_bytes": 100 * GIB, "memory_free_bytes": 2 * GIB},
            {"memory_total_bytes": 100 * GIB, "memory_free_bytes": 3 * GIB},
            True,
        ),
        ({"memory_total_bytes": GIB}, {"memory_total_bytes": GIB + 1}, True),
        ({"throttles": ()}, {"throttles": ("heat",)}, True),
        ({"throttles": ()}, {"throttles": None}, True),
        ({"power_kind": "instant"}, {"power_kind": "average"}, True),
        ({"slowdown_c": 90.0}, {"slowdown_c": 90.5}, True),
    ],
)
def test_readings(
    before: Mapping[str, object], after: Mapping[str, object], *, differ: bool
) -> None:
    """A reading differs from its thresholds on; what has none differs by any change."""
    found = readings_differ(
        Reading.model_validate(before), Reading.model_validate(after), THRESHOLDS
    )
    assert found == differ


@pytest.mark.parametrize(
    ("before", "after", "differ"),
    [
        (None, None, False),
        (None, Battery(), True),
        (Battery(), None, True),
        (Battery(charge=0.5), Battery(charge=0.505), False),
        (Battery(charge=0.5), Battery(charge=0.52), True),
        (Battery(charge=0.0), Battery(charge=None), True),
        (Battery(plugged=True), Battery(plugged=False), True),
        (Battery(charging=True), Battery(charging=None), True),
        (Battery(power_w=20.0), Battery(power_w=20.5), False),
        (Battery(power_w=20.0), Battery(power_w=30.0), True),
        (Battery(temperature_c=20.0), Battery(temperature_c=21.0), True),
        (Battery(full_wh=50.0), Battery(full_wh=50.2), False),
        (Battery(full_wh=50.0), Battery(full_wh=51.0), True),
    ],
)
def test_batteries(before: Battery | None, after: Battery | None, *, differ: bool) -> None:
    """A battery differs from its thresholds on, and whenever the power source changes."""
    assert batteries_differ(before, after, THRESHOLDS) == differ


def test_scaled_thresholds() -> None:
    """Thresholds can be scaled; scaled to nothing, any difference counts and equality does not."""
    assert THRESHOLDS.scaled(2).temperature_c == 2
    assert THRESHOLDS.scaled(1) == THRESHOLDS
    nothing = THRESHOLDS.scaled(0)
    assert readings_differ(Reading(clock_hz=1e9), Reading(clock_hz=1e9 + 1), nothing)
    assert not readings_differ(Reading(clock_hz=1e9), Reading(clock_hz=1e9), nothing)


numbers = st.none() | st.floats(0, 1e3)
readings = st.builds(
    Reading,
    temperature_c=numbers,
    power_w=numbers,
    power_limit_w=numbers,
    clock_hz=numbers,
    utilisation=st.none() | st.floats(0, 1),
    memory_total_bytes=st.none() | st.integers(0, 1000),
    memory_free_bytes=st.none() | st.integers(0, 1000),
    throttles=st.none() | st.just(()) | st.just(("heat",)),
)


@given(readings, readings, st.floats(0, 4))
def test_laws(one: Reading, other: Reading, factor: float) -> None:
    """Nothing differs from itself; differing has no direction; larger thresholds tell less."""
    thresholds = THRESHOLDS.scaled(factor)
    assert not readings_differ(one, one, thresholds)
    differ = readings_differ(one, other, thresholds)
    assert differ == readings_differ(other, one, thresholds)
    assert differ or not readings_differ(one, other, thresholds.scaled(2))
