"""The page that says what each driver was run against."""

from __future__ import annotations

from hgx.drivers import backends
from tests.drivers.platforms import BEGIN, PAGE, Row, load, merged, page_with, table

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


def test_the_table_names_parts() -> None:
    """Unlike devices of a backend have lines of their own."""
    lines = table([ROW, ROW._replace(part="little cores")]).splitlines()
    assert lines[2:] == [
        "| cpu | hardware | Linux x86_64 | numpy 2 | 2026-01-02 |",
        "| cpu, little cores | hardware | Linux x86_64 | numpy 2 | 2026-01-02 |",
    ]
