"""What ``hgx bench`` shows: a bar while it measures, a table for each thing measured."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Self

import typer
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from hgx.bench import events
from hgx.bench.compare import SMALLEST_REAL, SMALLEST_WHERE_NOISY, SMALLEST_WITHOUT_ROUNDS
from hgx.bench.stats import summarise
from hgx.cli.render.console import plain, stderr, stdout
from hgx.units import format_flops, format_rate, format_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic import JsonValue
    from rich.console import Console

    from hgx.bench.compare import Comparison, Difference
    from hgx.bench.events import Event
    from hgx.core.benchmark import Benchmark
    from hgx.flows.compare import Compared, Row

_EXPLAINED = (
    "SPEED is B's over A's, RANGE that of their rounds. Taken for chance: "
    f"under {SMALLEST_REAL:.0%}, {SMALLEST_WITHOUT_ROUNDS:.0%} without rounds, "
    f"{SMALLEST_WHERE_NOISY:.0%} where noisy."
)
_STYLES: dict[Difference, str] = {"faster": "green", "slower": "red", "noisy": "yellow"}


class Lines:
    """Prints each event as a line of JSON on stdout, as it comes."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: all is printed."""

    def __call__(self, event: Event) -> None:
        """Print an event."""
        typer.echo(json.dumps(event.model_dump(mode="json")))


class Screen:
    """Tables on stdout, all else on stderr.

    Args:
        quiet: Whether to leave out all but tables.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._out = stdout()
        self._err = stderr()
        self._subject: str | None = None
        self._found: list[events.Result | events.Refused | events.Failed] = []
        self._bar: Progress | None = None
        self._tables = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Print what came since the last table, also when it was interrupted."""
        self._finish()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        match event:
            case events.Written():
                self._finish()
                self._written(event)
                return
            case events.Progress():
                self._advance(event)
                return
            case events.Partial():
                return  # only a child's words to its parent
            case _:
                pass
        if event.subject != self._subject:
            self._finish()
            self._subject = event.subject
        if isinstance(event, events.Started):
            self._begin(event.subject)
        else:
            self._found.append(event)

    def _begin(self, subject: str) -> None:
        if self._quiet:
            return
        text = f"Measuring {plain(subject)}"
        if not self._err.is_terminal:
            self._err.print(text)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
        )
        self._bar = Progress(*columns, console=self._err, transient=True)
        self._bar.add_task(text, total=1.0)
        self._bar.start()

    def _advance(self, event: events.Progress) -> None:
        if self._bar:
            text = f"Measuring {plain(event.subject)} {plain(event.name)}"
            self._bar.update(self._bar.task_ids[0], completed=event.done, description=text)

    def _finish(self) -> None:
        if self._bar:
            self._bar.stop()
            self._bar = None
        if self._subject is not None and self._found:
            if self._tables:
                self._out.print()
            self._tables += 1
            _print_found(self._subject, self._found, self._out)
        self._subject, self._found = None, []

    def _written(self, event: events.Written) -> None:
        if self._quiet:
            return
        if event.kept:
            names = plain(", ".join(event.kept))
            note = f"note: these are noisy, and earlier results of them stay: {names}"
            self._err.print(note, style="dim")
        self._err.print(f"Wrote {plain(event.path)}", soft_wrap=True)


def _print_found(
    subject: str,
    found: Sequence[events.Result | events.Refused | events.Failed],
    console: Console,
) -> None:
    """Print the table of one thing, the conditions, and what is wrong with which result."""
    console.print(Text(plain(subject), style="bold"))
    measured = [event for event in found if not isinstance(event, events.Failed)]
    if measured:
        console.print(_table(measured))
        conditions = _conditions([event.benchmark for event in measured])
        if conditions:
            console.print(Text(conditions, style="dim"))
    for reason, names in _reasons(measured).items():
        console.print(Text(plain(f"- {', '.join(names)}: {reason}"), style="yellow"))
    for event in found:
        if isinstance(event, events.Failed):
            what = f"{event.name} failed" if event.name else "failed"
            console.print(Text(plain(f"- {what}: {event.reason}"), style="red"))


def _reasons(measured: Iterable[events.Result | events.Refused]) -> dict[str, list[str]]:
    """Return why results are noisy or refused, each with the names of those that it concerns."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for event in measured:
        for reason in event.benchmark.warnings:
            reasons[reason].append(event.benchmark.name)
    return reasons


def _table(measured: Iterable[events.Result | events.Refused]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("BENCHMARK", overflow="fold")
    for heading in ("MEDIAN", "MIDDLE HALF", "SPREAD"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("NOTE", no_wrap=True)
    for event in measured:
        one = event.benchmark
        note = _mark(event)
        if one.p95 is not None:
            note = f"{note} 95 % in {_value(one, one.p95)}".strip()
        table.add_row(
            Text(plain(one.name)),
            _value(one, one.median),
            _span(one),
            f"{summarise(one.samples).spread:.1%}",
            Text(note),
        )
    return table


def _mark(event: events.Result | events.Refused) -> str:
    if isinstance(event, events.Refused):
        return "refused"
    return "noisy" if event.benchmark.noisy else ""


def _conditions(found: Sequence[Benchmark]) -> str:
    """Say in one line what else was the case; what is unknown is left out."""
    all_ = [one.conditions for one in found]
    loads = [one.load for one in all_ if one.load is not None]
    heats = [one.temperature_c for one in all_ if one.temperature_c is not None]
    clocks = [one.clock_hz for one in all_ if one.clock_hz is not None]
    sources = [one.power_source for one in all_ if one.power_source is not None]
    words = [f"load of others up to {max(loads):.0%}"] if loads else []
    words += [f"up to {max(heats):.0f} °C"] if heats else []
    words += [" to ".join(_ends(clocks)) + " GHz"] if clocks else []
    words += [f"on {sources[-1]}"] if sources else []
    return ", ".join(words)


def _ends(clocks: Sequence[float]) -> Iterable[str]:
    """Write the lowest and the highest clock in gigahertz, once if they are the same."""
    return dict.fromkeys(f"{clock / 1e9:.2f}" for clock in (min(clocks), max(clocks)))


def _value(one: Benchmark, value: float) -> str:
    match one.unit:
        case "bytes_per_s":
            return format_rate(value)
        case "flops_per_s":
            return format_flops(value)
        case "s":
            return format_seconds(value)


def _span(one: Benchmark) -> str:
    """Write both quartiles, their unit once if it is the same."""
    low, high = (_value(one, value) for value in one.quartiles)
    number, _, unit = low.partition(" ")
    return f"{number if high.endswith(f' {unit}') else low} to {high}"


def print_comparison(compared: Compared, console: Console, *, as_json: bool) -> None:
    """Print which differences are real.

    Args:
        compared: Two files.
        console: Where to.
        as_json: Whether to print a line of JSON per benchmark.
    """
    if as_json:
        for row in compared.rows:
            typer.echo(json.dumps(_json(row)))
        return
    subjects = dict.fromkeys(row.subject for row in compared.rows)
    for subject in subjects:
        console.print(Text(plain(subject), style="bold"))
        console.print(_comparison([row for row in compared.rows if row.subject == subject]))
        console.print()
    console.print(_EXPLAINED, style="dim")
    for name, missing in (("A", compared.only_first), ("B", compared.only_second)):
        for what in missing:
            console.print(Text(f"- only in {name}: {plain(what)}", style="dim"))


def _comparison(rows: Iterable[Row]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("BENCHMARK", overflow="fold")
    for heading in ("A", "B", "SPEED", "RANGE"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("B IS")
    for row in rows:
        found = row.comparison
        known = found.ratio is not None and found.low is not None and found.high is not None
        table.add_row(
            Text(plain(row.name)),
            _value(row.first, row.first.median),
            _value(row.second, row.second.median),
            _ratio(found.ratio),
            f"{_ratio(found.low)}-{_ratio(found.high)}" if known else "-",
            Text(_verdict(found), style=_STYLES.get(found.difference, "")),
        )
    return table


def _ratio(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def _json(row: Row) -> dict[str, JsonValue]:
    return {
        "event": "compared",
        "subject": row.subject,
        "name": row.name,
        "first": row.first.median,
        "second": row.second.median,
        "unit": row.first.unit,
        **row.comparison._asdict(),
    }


def _verdict(found: Comparison) -> str:
    """Say whether a difference is real, and that it is in spite of noise where it is."""
    real = found.difference in {"faster", "slower"}
    return f"{found.difference} (noisy)" if real and found.noisy else found.difference
