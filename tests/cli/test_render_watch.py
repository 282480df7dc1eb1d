"""The live table of readings."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import pytest

from hgx.cli.render.console import stdout
from hgx.cli.render.watch import picture, show
from hgx.core.reading import Battery, Reading
from hgx.flows.watch import Row, Snapshot

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
GIB = 1024**3
HOT = Row(
    "tower/cuda:0",
    "RTX",
    Reading(
        temperature_c=88.0,
        slowdown_c=90.0,
        throttles=("power cap",),
        power_w=250.4,
        power_kind="average",
        power_limit_w=300.0,
        clock_hz=1.98e9,
        utilisation=0.997,
        memory_total_bytes=16 * GIB,
        memory_used_bytes=12 * GIB,
    ),
)
UNKNOWN = Row("tower/toast:0", None, Reading())
COLD = Row(
    "phone/cpu:0",
    None,
    Reading(
        temperature_c=0.0,
        throttles=(),
        power_w=0.0,
        power_kind="instant",
        memory_total_bytes=8 * GIB,
        memory_free_bytes=8 * GIB,
    ),
    "not paired",
)


def text_of(
    capsys: pytest.CaptureFixture[str], *rows: Row, battery: Battery | None = None, note: str = ""
) -> str:
    """Return a snapshot as it is printed."""
    stdout().print(picture(Snapshot(NOON, rows, battery, (note,) if note else ())))
    return capsys.readouterr().out


def test_all_readings(capsys: pytest.CaptureFixture[str]) -> None:
    """Each reading stands with its limit, and an average says that it is one."""
    line = text_of(capsys, HOT).splitlines()[1]
    for words in ("100%", "12 GiB / 16 GiB", "88 / 90 °C", "~250.4 / 300 W", "1.98 GHz"):
        assert words in line
    assert line.rstrip().endswith("power cap")


def test_unknown_is_not_zero(capsys: pytest.CaptureFixture[str]) -> None:
    """What is unknown is a hyphen; zero degrees, zero watts and no throttling are readings."""
    _, unknown, cold, *_ = text_of(capsys, UNKNOWN, COLD).splitlines()
    assert unknown.split() == ["tower/toast:0", *"------"]
    for words in ("0 °C", "0.0 W", "no", "0 B / 8 GiB", "not paired"):
        assert words in cold


@pytest.mark.parametrize("width", [40, 60, 80])
def test_no_width_cuts_a_reading(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In any window every reading is whole, and every id is there."""
    monkeypatch.setenv("COLUMNS", str(width))
    out = text_of(capsys, HOT, COLD._replace(device="phone/npu:0"))
    assert max(map(len, out.splitlines())) <= width
    assert "…" not in out
    for words in ("100%", "12 GiB / 16 GiB", "88 / 90 °C", "~250.4 / 300 W", "1.98 GHz", "0 °C"):
        assert words in out
    for words in ("THROTTLED", "tower/cuda:0", "phone/npu:0", "not paired"):
        assert words in out


def test_a_usual_window_holds_a_line_per_device(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In 80 columns all readings of a device stand beside each other."""
    monkeypatch.setenv("COLUMNS", "80")
    (line,) = (line for line in text_of(capsys, HOT).splitlines() if "100%" in line)
    for words in ("tower/cuda:0", "12 GiB / 16 GiB", "88 / 90 °C", "~250.4 / 300 W", "1.98 GHz"):
        assert words in line


def test_impossible_memory_is_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    """Where more is free than there is, nothing is known of the memory that is used."""
    liar = Row("a/cpu:0", None, Reading(memory_total_bytes=GIB, memory_free_bytes=2 * GIB))
    assert text_of(capsys, liar).splitlines()[1].split() == ["a/cpu:0", *"------"]


@pytest.mark.parametrize(
    ("battery", "shown"),
    [
        (
            Battery(charge=0.5, charging=True, plugged=True, power_w=30.0),
            "battery 50%, charging, on mains, 30.0 W",
        ),
        (Battery(charge=0.0, charging=False, plugged=False), "battery 0%, on battery"),
        (Battery(), "battery ?"),
    ],
)
def test_battery(capsys: pytest.CaptureFixture[str], battery: Battery, shown: str) -> None:
    """The battery has a line of its own, with what is known of it."""
    assert shown in text_of(capsys, HOT, battery=battery).splitlines()


def test_names_and_notes_cannot_write_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """What comes from other machines is shown as escapes."""
    evil = Row("a/\x1b[31m:0", None, Reading(throttles=("\x1b[2J",)), "\x07")
    out = text_of(capsys, evil, note="\x1b]0;x")
    assert "\x1b" not in out
    assert "\x07" not in out
    assert r"\x1b]0;x" in out


def test_a_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json each snapshot is a line, and what is unknown is left out."""
    show([Snapshot(NOON, (UNKNOWN, COLD), Battery(charge=1.0), ("gone",))] * 2, as_json=True)
    first, second = capsys.readouterr().out.splitlines()
    assert first == second
    found = json.loads(first)
    assert found["devices"][0] == {
        "id": "tower/toast:0",
        "name": None,
        "note": "",
        "reading": {},
    }
    assert found["devices"][1]["reading"]["temperature_c"] == 0.0
    assert (found["battery"], found["notes"]) == ({"charge": 1.0}, ["gone"])


class Window(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_on_a_terminal_the_table_stays_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal shows one table that changes, with what is too hot in colour."""
    window = Window()
    monkeypatch.setattr("sys.stdout", window)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)
    show([Snapshot(NOON, (HOT,), None)] * 3, as_json=False)
    shown = window.getvalue()
    assert "\x1b[1;31m" in shown  # the temperature, near its limit
    assert "\x1b[1A" in shown  # back up to where the table began
