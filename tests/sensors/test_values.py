"""Numbers of sensors: what is one, and what can be true."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.core.reading import Battery, Reading
from hgx.sensors import values

ANYTHING = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.lists(st.integers(), max_size=2)
    | st.sampled_from(["1", " -5\n", "127.5", "1e5", "٣", "0x10", "1_000", "9" * 400, 10**400])
)
NUMBERS = sorted(set(Reading.model_fields) - {"throttles", "power_kind"})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("45250\n", 45250.0),
        (" -3 ", -3.0),
        ("12.5", 12.5),
        (0, 0.0),
        (12.5, 12.5),
        ("", None),
        ("max", None),
        ("1e5", None),
        ("٣", None),
        ("nan", None),
        (math.nan, None),
        (math.inf, None),
        (10**400, None),
        (True, None),
        (None, None),
        ([1], None),
    ],
)
def test_numbers(value: object, expected: float | None) -> None:
    """A number is finite, written in plain digits, and no truth value."""
    assert values.number(value) == expected


@pytest.mark.parametrize(
    ("name", "value", "known"),
    [
        ("temperature_c", 0, True),
        ("temperature_c", -10, True),
        ("temperature_c", 125, True),
        ("temperature_c", -274, False),
        ("temperature_c", -128, False),
        ("temperature_c", 127, False),
        ("temperature_c", 127.5, False),
        ("temperature_c", 65261.85, False),
        ("slowdown_c", 0, False),
        ("slowdown_c", 100, True),
        ("shutdown_c", -274, False),
        ("power_w", 0, True),
        ("power_w", -1, False),
        ("power_limit_w", 0, False),
        ("power_limit_w", 4_294_967.295, False),
        ("clock_hz", 0, False),
        ("clock_hz", 3e9, True),
        ("utilisation", 1.01, False),
        ("utilisation", 0, True),
        ("memory_total_bytes", 0, False),
        ("memory_used_bytes", 0, True),
        ("memory_free_bytes", 2**63, False),
        ("charge", 0, True),
        ("charge", 1.5, False),
    ],
)
def test_plausible(name: str, value: float, known: bool) -> None:
    """What a sensor says when it does not know is unknown; zero of what can be zero is known."""
    assert values.plausible(name, value) == (value if known else None)


@given(st.dictionaries(st.sampled_from(NUMBERS), ANYTHING), ANYTHING)
def test_readings_of_anything(fields: dict[str, object], kind: object) -> None:
    """Whatever is put in, a reading comes out, of which each number is what was put in."""
    found = values.reading(throttles=None, power_kind=kind, **fields)
    for name in NUMBERS:
        value = getattr(found, name)
        assert value is None or value == pytest.approx(values.number(fields[name]), abs=1)
    assert found.power_kind is None or found.power_w is not None


@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING)
def test_batteries_of_anything(
    charge: object, power: object, temperature: object, full: object
) -> None:
    """Whatever is put in, a battery comes out."""
    found = values.battery(charge=charge, power_w=power, temperature_c=temperature, full_wh=full)
    assert isinstance(found, Battery)


def test_kind_of_power() -> None:
    """Whether a power is an average is told only of a power."""
    assert values.reading(power_w=5, power_kind="average").power_kind == "average"
    assert values.reading(power_w=None, power_kind="average").power_kind is None
    assert values.reading(power_w=5, power_kind="sometimes").power_kind is None


def test_highest_and_lowest() -> None:
    """Of several sensors only plausible ones count."""
    assert values.highest("temperature_c", [40, 200, None, 50]) == 50
    assert values.lowest("slowdown_c", [0, 100, 95]) == 95
    assert values.highest("temperature_c", []) is None


def test_parts_of_json() -> None:
    """What is no object is an empty one, and what is no list has nothing in it."""
    assert values.mapping({"a": 1}) == {"a": 1}
    assert values.mapping([1]) == {}
    assert values.mappings([{"a": 1}, 5]) == ({"a": 1}, {})
    assert values.mappings({"a": 1}) == ()
