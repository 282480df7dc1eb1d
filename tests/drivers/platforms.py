"""What each driver was run against: ``python -m tests.drivers.platforms`` runs and records it.

It runs the contract of every driver on this machine and puts what passed into platforms.json, one
row per backend, system and kind of evidence; rows of other machines stay. From that file it writes
the table in docs/platforms.md, so that nothing is called verified that was not run.
"""

from __future__ import annotations

import json
import platform
from collections import defaultdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from hgx.drivers import backends
from tests.drivers.contract import NOT_MEASURING, ONE_DEVICE, DriverContract

if TYPE_CHECKING:
    from collections.abc import Iterable

DRIVERS = Path(__file__).parent
RECORD = DRIVERS / "platforms.json"
PAGE = DRIVERS.parents[1] / "docs" / "platforms.md"
BEGIN, END = "<!-- table: python -m tests.drivers.platforms -->", "<!-- end of the table -->"

_MAY_BE_SKIPPED = (ONE_DEVICE, NOT_MEASURING)
"""Why a test of the contract may be skipped and the whole still hold."""


class Row(NamedTuple):
    """One driver, run once against one thing.

    Attributes:
        backend: Its name.
        part: Which of its devices, where they are unlike.
        system: Where, as ``Linux x86_64``; recordings are run anywhere.
        against: hardware, CPU runtime, recordings or stand-in.
        runtime: Name and version of the runtime; its name alone where only recordings are.
        date: When.
    """

    backend: str
    part: str
    system: str
    against: str
    runtime: str
    date: str


class Outcomes:
    """A pytest plugin that keeps which contract classes passed as a whole."""

    def __init__(self) -> None:
        self.classes: dict[str, type[DriverContract]] = {}
        self.tests: dict[str, set[str]] = defaultdict(set)
        self.held: dict[str, set[str]] = defaultdict(set)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Note the class of each test of the contract."""
        for item in items:
            kind = item.parent and getattr(item.parent, "cls", None)
            if isinstance(kind, type) and issubclass(kind, DriverContract):
                place, _, test = item.nodeid.rpartition("::")
                self.classes[place] = kind
                self.tests[place].add(test)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what became of it."""
        place, _, test = report.nodeid.rpartition("::")
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        skipped = report.skipped and reason.removeprefix("Skipped: ") in _MAY_BE_SKIPPED
        if skipped or (report.when == "call" and report.passed):
            self.held[place].add(test)

    def whole(self) -> dict[str, type[DriverContract]]:
        """Return the classes of which every test passed, or needs more devices or a measurement."""
        return {
            place: kind
            for place, kind in self.classes.items()
            if self.tests[place] <= self.held[place]
        }


def load() -> tuple[Row, ...]:
    """Read all rows on record."""
    return tuple(Row(**row) for row in json.loads(RECORD.read_text(encoding="utf-8")))


def table(rows: Iterable[Row]) -> str:
    """Write the rows as Markdown; every backend has at least one."""
    lines = [
        "| backend | verified against | on | with | date |",
        "|---|---|---|---|---|",
    ]
    by_backend: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_backend[row.backend].append(row)
    for backend in backends():
        for row in by_backend[backend.name]:
            name = f"{row.backend}, {row.part}" if row.part else row.backend
            lines.append(f"| {name} | {row.against} | {row.system} | {row.runtime} | {row.date} |")
    return "\n".join(lines)


def page_with(text: str, rows: Iterable[Row]) -> str:
    """Put the table into the text of the page."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{table(rows)}\n{END}{rest.partition(END)[2]}"


def run() -> tuple[Row, ...]:
    """Run all contracts here and return a row for each that passed.

    Raises:
        SystemExit: A test failed, or could not be collected.
    """
    outcomes = Outcomes()
    # Importing the contract to know its classes comes before pytest's rewriting of asserts.
    late = "ignore::pytest.PytestAssertRewriteWarning"
    plain = ["--no-cov", "-p", "no:cacheprovider", "-W", late]
    if code := pytest.main([*plain, str(DRIVERS)], [outcomes]):
        raise SystemExit(int(code))
    here, today = f"{platform.system()} {platform.machine()}", datetime.now(UTC).date().isoformat()
    rows: dict[tuple[str, ...], Row] = {}
    for place, kind in outcomes.whole().items():
        replayed = kind.against == "recordings"
        backend = Path(place.partition("::")[0]).stem.removeprefix("test_")
        runtime = f"{kind.runtime} (recorded)" if replayed else _versioned(kind.runtime)
        row = Row(backend, kind.part, "any" if replayed else here, kind.against, runtime, today)
        rows[row[:4]] = row
    return tuple(rows.values())


def merged(old: Iterable[Row], new: Iterable[Row]) -> tuple[Row, ...]:
    """Replace rows of the same backend, part, system and kind, and keep the others."""
    rows = {row[:4]: row for row in (*old, *new)}
    return tuple(sorted(rows.values()))


def _versioned(distribution: str) -> str:
    try:
        return f"{distribution} {version(distribution)}"
    except PackageNotFoundError:
        return distribution


def main() -> None:
    """Run, record, and write the table."""
    rows = merged(load() if RECORD.exists() else (), run())
    text = json.dumps([row._asdict() for row in rows], indent=1)
    RECORD.write_text(text + "\n", encoding="utf-8")
    page = page_with(PAGE.read_text(encoding="utf-8"), rows)
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
