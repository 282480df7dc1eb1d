"""Traces as CSV."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.errors import StorageError
from hgx.thermal.activity import Activity
from hgx.thermal.trace import Trace, make_trace, parse_trace, trace_text

GOOD = """time_s,temperature_c,power_w,clock_hz,activity,precision,batch
0,41,18.2,,idle,,
0.5,,212.7,1980000000,decode,Q4_K,8
"""

NUMBERS = st.floats(-1e6, 1e6) | st.just(math.nan)
PRECISIONS = st.none() | st.from_regex(r"[A-Z][A-Z0-9_]{0,7}", fullmatch=True)
ACTIVITIES = st.none() | st.builds(
    Activity,
    st.sampled_from(["idle", "prefill", "decode"]),
    PRECISIONS,
    st.none() | st.integers(1, 999_999),
)
ROWS = st.lists(st.tuples(st.floats(-1e9, 1e9), NUMBERS, NUMBERS, NUMBERS, ACTIVITIES), max_size=9)


def same(one: Trace, other: Trace) -> bool:
    """Equal, unknown ones included."""
    numbers = all(
        np.array_equal(ours, theirs, equal_nan=True)
        for ours, theirs in zip(one[:4], other[:4], strict=True)
    )
    return numbers and one.activities == other.activities


def test_a_trace_is_read() -> None:
    """Empty cells are unknown."""
    trace = parse_trace(GOOD, "t.csv")
    assert trace.time_s.tolist() == [0.0, 0.5]
    assert trace.power_w.tolist() == [18.2, 212.7]
    assert math.isnan(trace.temperature_c[1])
    assert trace.activities == (Activity("idle"), Activity("decode", "Q4_K", 8))
    assert trace_text(trace) == GOOD


@given(ROWS)
def test_what_is_written_reads_back(
    rows: list[tuple[float, float, float, float, Activity | None]],
) -> None:
    """To the last digit."""
    time, temperature, power, clock = np.array([row[:4] for row in rows]).reshape(-1, 4).T
    trace = Trace(time, temperature, power, clock, tuple(row[4] for row in rows))
    assert same(parse_trace(trace_text(trace), "t.csv"), trace)


def test_what_nobody_knows_has_no_column() -> None:
    """A trace without clocks and activities has three columns; parts of it too."""
    trace = make_trace(np.arange(3.0), np.full(3, 40.0), np.full(3, 10.5))
    assert trace_text(trace.part(1, 3)).splitlines() == [
        "time_s,temperature_c,power_w",
        "1,40,10.5",
        "2,40,10.5",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "\ufefftime_s,temperature_c,power_w\r\n0,40,5\r\n\r\n",
        "power_w,colour,time_s,temperature_c\n5,red,0,40\n",
        ' time_s ,temperature_c,power_w\n 0," 40",5',
    ],
)
def test_other_ways_to_write_it(text: str) -> None:
    """A byte order mark, other line ends, order, columns and white space."""
    trace = parse_trace(text, "t.csv")
    assert (trace.time_s[0], trace.temperature_c[0], trace.power_w[0]) == (0.0, 40.0, 5.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "t.csv has no column time_s"),
        ("time_s,power_w\n", "t.csv has no column temperature_c"),
        ("time_s,temperature_c,power_w,power_w\n", "power_w more than once"),
        ("time_s,temperature_c,power_w\n0,40\n", "line 2: 2 cells under 3 columns"),
        ("time_s,temperature_c,power_w\n0,1,2\n,40,5\n", "line 3: time_s is ''"),
        ("time_s,temperature_c,power_w\n0,warm,5\n", "line 2: temperature_c is 'warm'"),
        ("time_s,temperature_c,power_w\n0,nan,5\n", "line 2: temperature_c is 'nan'"),
        ("time_s,temperature_c,power_w\n0,1e999,5\n", "not a number"),
        ("time_s,temperature_c,power_w,activity\n0,1,5,dance\n", "line 2: 'dance"),
        ('time_s,temperature_c,power_w\n0,"' + "4" * 200_000 + '",5\n', "line 2: not CSV"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, said: str) -> None:
    """One sentence that names the file, the line and the cell."""
    with pytest.raises(StorageError) as caught:
        parse_trace(text, "t.csv")
    assert said in caught.value.message
    assert "\n" not in caught.value.message


def test_a_trace_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without end does not fill the memory."""
    monkeypatch.setattr("hgx.thermal.trace._MOST_ROWS", 1)
    with pytest.raises(StorageError, match="more than 1 readings"):
        parse_trace(GOOD, "t.csv")


@given(st.text(max_size=80) | st.text('0123456789.,-\n"', max_size=60).map(lambda t: GOOD + t))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing else happens."""
    try:
        trace = parse_trace(text, "t.csv")
    except StorageError:
        return
    assert len(trace.time_s) == len(trace.activities)
