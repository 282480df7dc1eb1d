"""What ``hgx thermal`` shows."""

from __future__ import annotations

import io
import json
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from hgx.cli.render.console import stdout
from hgx.cli.render.thermal import (
    picture,
    recording,
    show_fitted,
    show_looks,
    time_json,
    time_words,
)
from hgx.core.reading import Battery, Reading
from hgx.core.thermal import ActivityPower
from hgx.flows.thermal_fit import Fitted
from hgx.flows.thermal_live import Heat, Look
from hgx.flows.watch import Row
from hgx.thermal.forecast import TimeToLimit
from hgx.thermal.trace import parse_trace
from hgx.thermal.twins import laptop, parameters_of

if TYPE_CHECKING:
    from pathlib import Path

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
SOON = TimeToLimit(20.0, 40.0, 300.0)
HOT = Heat(
    Row("n/cuda:0", None, Reading(temperature_c=80.0, throttles=("heat",), power_w=99.0)),
    83.0,
    SOON,
    ("evil\x1b[2J",),
)
INFINITE = math.inf


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (None, "-"),
        (SOON, "40 s (20 s to 5 min)"),
        (TimeToLimit(0.0, 0.0, 0.0), "now"),
        (TimeToLimit(INFINITE, INFINITE, INFINITE), "never"),
        (TimeToLimit(60.0, INFINITE, INFINITE), "perhaps (60 s to never)"),
    ],
)
def test_times(found: TimeToLimit | None, words: str) -> None:
    """A time is said with its interval; no time is not never, and never is null as JSON."""
    assert time_words(found) == words
    assert json.dumps(time_json(found), allow_nan=False)


@pytest.mark.parametrize("width", ["40", "80", "200"])
def test_any_width(
    width: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In any window all figures are whole, the battery is there, and nothing writes escapes."""
    monkeypatch.setenv("COLUMNS", width)
    stdout().print(picture(Look(NOON, (HOT,), Battery(charge=0.5))))
    out = capsys.readouterr().out
    for words in ("80 °C", "83 °C", "99.0 W", "40 s (20 s to 5 min)", "heat", "battery 50%"):
        assert words in out
    assert "\x1b" not in out


def test_lines_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Each look is one line."""
    show_looks([Look(NOON, (HOT,), Battery(charge=0.5))] * 2, as_json=True)
    first, second = capsys.readouterr().out.splitlines()
    assert first == second
    assert json.loads(first)["devices"][0]["to_limit"]["expected_s"] == 40.0


class Window(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def terminals(monkeypatch: pytest.MonkeyPatch) -> tuple[Window, Window]:
    """Make terminals for results and for messages."""
    windows = Window(), Window()
    monkeypatch.setattr("sys.stdout", windows[0])
    monkeypatch.setattr("sys.stderr", windows[1])
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return windows


def test_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table stays in its place, with a limit that is near in red."""
    out, _ = terminals(monkeypatch)
    show_looks([Look(NOON, (HOT,), None)] * 2, as_json=False)
    assert "\x1b[1;31m" in out.getvalue()


def test_recording_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last reading is shown while a trace is recorded, unknown ones as such."""
    _, err = terminals(monkeypatch)
    with recording(quiet=False) as show:
        show(3.0, Reading(temperature_c=51.0, power_w=20.0))
        show(4.0, Reading())
    assert "Recording" in err.getvalue()


def test_warnings_of_a_fit(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What was wrong with a trace is noted, unless all is to be quiet."""
    power = ActivityPower(kind="decode", precision="Q4_K", batch=8, power_w=9.0, samples=5)
    parameters = parameters_of(laptop()).model_copy(
        update={"warnings": ("3 gaps",), "powers": (power,)}
    )
    trace = parse_trace("time_s,temperature_c,power_w\n0,1,1\n", "t")
    fitted = Fitted("n/cpu:0", parameters, trace, tmp_path)
    show_fitted(fitted, as_json=False, quiet=False)
    out, err = capsys.readouterr()
    assert "decode Q4_K batch 8: 9.0 W" in out
    assert err == "note: 3 gaps\n"
    show_fitted(fitted, as_json=False, quiet=True)
    assert capsys.readouterr().err == ""
