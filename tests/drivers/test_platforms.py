"""The page that says what each driver was run against."""

from __future__ import annotations

from typing import Literal

import pytest

from hgx.drivers import backends
from tests.drivers import platforms
from tests.drivers.contract import NOT_MEASURING, ONE_DEVICE, DriverContract
from tests.drivers.platforms import BEGIN, PAGE, Outcomes, Row, load, merged, page_with, table
from tests.sensors.doubles import always

ROW = Row("cpu", "", "Linux x86_64", "hardware", "numpy 2", "2026-01-02")


def test_the_page_has_the_table_that_is_on_record() -> None:
    """docs/platforms.md is what the recorded runs say; nobody edits its table by hand."""
    text = PAGE.read_text(encoding="utf-8")
    assert BEGIN in text
    assert page_with(text, load()) == text


def test_every_driver_was_run_against_something() -> None:
    """Each backend has a row, and claims hardware only where it was run on it."""
    rows = load()
    assert {row.backend for row in rows} == {backend.name for backend in backends()}
    assert {row.against for row in rows} <= {"hardware", "CPU runtime", "recordings", "stand-in"}


def test_a_new_run_replaces_the_old_one_of_its_kind() -> None:
    """Rows of other machines and of other evidence stay."""
    newer, mac = ROW._replace(date="2026-02-03"), ROW._replace(system="Darwin arm64")
    assert merged([ROW, mac], [newer]) == (mac, newer)


def test_tests_that_could_not_be_collected_record_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where pytest does not get to the tests, the run fails instead of keeping old rows."""
    monkeypatch.setattr(pytest, "main", always(pytest.ExitCode.INTERRUPTED))
    with pytest.raises(SystemExit) as caught:
        platforms.run()
    assert caught.value.code == pytest.ExitCode.INTERRUPTED


@pytest.mark.parametrize(
    ("outcome", "reason", "whole"),
    [
        ("passed", None, True),
        ("failed", None, False),
        ("skipped", ONE_DEVICE, True),
        ("skipped", NOT_MEASURING, True),
        ("skipped", "the runtime is not there", False),
    ],
)
def test_a_class_counts_as_a_whole(
    outcome: Literal["passed", "failed", "skipped"], reason: str | None, *, whole: bool
) -> None:
    """A driver is on record only where no test of its class failed or was skipped for its lack."""
    outcomes = Outcomes()
    outcomes.classes["a"] = DriverContract
    outcomes.tests["a"] = {"one", "two"}
    told: dict[str, tuple[Literal["passed", "failed", "skipped"], str | None]] = {
        "one": ("passed", None),
        "two": (outcome, reason),
    }
    for test, (what, why) in told.items():
        longrepr = None if why is None else ("file", 1, f"Skipped: {why}")
        report = pytest.TestReport(f"a::{test}", ("", 0, ""), {}, what, longrepr, "call")
        outcomes.pytest_runtest_logreport(report)
    assert bool(outcomes.whole()) == whole


def test_the_table_names_parts() -> None:
    """Unlike devices of a backend have lines of their own."""
    lines = table([ROW, ROW._replace(part="little cores")]).splitlines()
    assert lines[2:] == [
        "| cpu | hardware | Linux x86_64 | numpy 2 | 2026-01-02 |",
        "| cpu, little cores | hardware | Linux x86_64 | numpy 2 | 2026-01-02 |",
    ]
