"""Two files of benchmarks, matched: registries, or what ``hgx bench --json`` printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pydantic import ValidationError

from hgx.bench.compare import compare_benchmarks
from hgx.bench.events import EVENT, Refused, Result
from hgx.errors import RegistryError
from hgx.flows.bench_record import benchmarks_of
from hgx.store.atomic import shown_path
from hgx.store.registry_file import LARGEST_BYTES, parse_registry
from hgx.units import MIB

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hgx.bench.compare import Comparison
    from hgx.core.benchmark import Benchmark

    Held = Mapping[tuple[str, str], Benchmark]
    """Benchmarks by subject and name."""


class Row(NamedTuple):
    """One benchmark that both files have.

    Attributes:
        subject: What was measured, as the first file calls it.
        name: Of the benchmark.
        first: As the first file has it.
        second: As the second has it.
        comparison: What that means for the second.
    """

    subject: str
    name: str
    first: Benchmark
    second: Benchmark
    comparison: Comparison


class Compared(NamedTuple):
    """Two files, compared.

    Attributes:
        rows: What both have, in the order of the first.
        only_first: SUBJECT NAME of what the second lacks.
        only_second: The same the other way round.
    """

    rows: tuple[Row, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]


def compare_files(first: Path, second: Path) -> Compared:
    """Compare all benchmarks that two files have in common.

    Where no subject is in both, as with two machines, devices are matched without their node.

    Args:
        first: A registry, or saved lines of ``hgx bench --json``.
        second: Another.

    Raises:
        RegistryError: A file is missing or neither of these, or there is nothing to compare.
    """
    one, other = load_benchmarks(first), load_benchmarks(second)
    if not {subject for subject, _ in one} & {subject for subject, _ in other}:
        one, other = _without_nodes(one), _without_nodes(other)
    both = [key for key in one if key in other and one[key].unit == other[key].unit]
    if not both:
        msg = (
            f"{shown_path(first)} and {shown_path(second)} have no benchmark in common: "
            "run the same `hgx bench` for both"
        )
        raise RegistryError(msg)
    return Compared(
        tuple(
            Row(*key, one[key], other[key], compare_benchmarks(one[key], other[key]))
            for key in both
        ),
        tuple(" ".join(key) for key in one if key not in both),
        tuple(" ".join(key) for key in other if key not in both),
    )


def load_benchmarks(path: Path) -> Held:
    """Read the benchmarks of a file.

    Args:
        path: A registry, or saved lines of ``hgx bench --json``; the last result of a name counts.

    Returns:
        At least one.

    Raises:
        RegistryError: One line: the file, what is wrong with it, and what to do.
    """
    name = shown_path(path)
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = error.strerror if isinstance(error, OSError) else None
        msg = f"{name} could not be read: {(reason or str(error)).lower()}: check the path"
        raise RegistryError(msg) from error
    if len(data) > LARGEST_BYTES:
        msg = f"{name} is larger than {LARGEST_BYTES // MIB} MiB: it holds no benchmarks"
        raise RegistryError(msg)
    begin = data.lstrip()[:80]
    held = (
        _from_events(data, name)
        if begin.startswith(b'{"event":')
        else benchmarks_of(parse_registry(data, name))
    )
    if not held:
        msg = f"{name} holds no benchmarks: run `hgx bench` first"
        raise RegistryError(msg)
    return held


def _from_events(data: bytes, name: str) -> Held:
    held: dict[tuple[str, str], Benchmark] = {}
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            event = EVENT.validate_json(line)
        except ValidationError as error:
            msg = f"{name}: line {number} is not of `hgx bench --json`: save its output unchanged"
            raise RegistryError(msg) from error
        if isinstance(event, Result | Refused):
            held[event.subject, event.benchmark.name] = event.benchmark
    return held


def _without_nodes(held: Held) -> Held:
    """Call devices by backend and index alone; unchanged where two would be called the same."""
    short = {
        (_without_node(subject), name): benchmark for (subject, name), benchmark in held.items()
    }
    return short if len(short) == len(held) else held


def _without_node(subject: str) -> str:
    if ">" in subject:
        return subject  # a link without its nodes is nothing
    return subject.partition("/")[2] or "machine"
