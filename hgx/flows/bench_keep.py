"""Results of a benchmark that runs, kept in the registry as they come."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from hgx.bench.events import Failed, Refused, Result, Written
from hgx.flows.bench_record import benchmarks_of
from hgx.store.atomic import storage_error
from hgx.store.registry_file import update_registry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from hgx.bench.events import Event
    from hgx.core.benchmark import Benchmark
    from hgx.core.registry import Registry

Put = Callable[["Registry", "Mapping[str, Sequence[Benchmark]]"], "Registry"]
"""Puts results, by subject, into a registry."""


def check_writable(path: Path) -> None:
    """Find out whether a registry can be changed, and leave it as it is.

    Args:
        path: The registry; its directory must exist.

    Raises:
        RegistryError: It is damaged.
        StorageError: It cannot be locked, or its directory not written into.
    """

    def try_out(_: Registry) -> Registry:
        try:
            # What is written takes the place of the file: it is the directory that matters.
            with tempfile.TemporaryFile(dir=path.resolve().parent) as file:
                file.write(b"{}")
        except OSError as error:
            raise storage_error("write", path, error) from error
        raise _Writable

    with suppress(_Writable):
        update_registry(path, try_out)


class _Writable(Exception):
    """All that a change needs is there."""


class Keeper:
    """Passes events on, and puts the results among them into the registry.

    Args:
        path: The registry's file.
        registry: What is in it.
        emit: Told what happens.
    """

    def __init__(self, path: Path, registry: Registry, emit: Callable[[Event], object]) -> None:
        self.registry = registry
        self._path = path
        self._emit = emit
        self._written = False
        self._kept: list[str] = []

    def keep(self, events: Iterable[Event], put: Put) -> str | None:
        """Take all events of one thing that is measured.

        Args:
            events: What happens.
            put: Puts results, by subject, into a registry.

        Returns:
            Why there is no result; null where there is one, even a refused one.
        """
        results: dict[str, list[Benchmark]] = defaultdict(list)
        any_result, reason = False, "nothing came of it"
        for event in events:
            self._emit(event)
            if isinstance(event, Result):
                results[event.subject].append(event.benchmark)
                # All so far, because a link needs several results to be one.
                self.registry = update_registry(self._path, partial(_changed, put, results))
                self._written = True
            if isinstance(event, Failed):
                reason = event.reason
            any_result = any_result or isinstance(event, Result | Refused)
        stored = benchmarks_of(self.registry)
        self._kept += [
            f"{subject} {new.name}"
            for subject, all_new in results.items()
            for new in all_new
            if stored.get((subject, new.name)) != new
        ]
        return None if any_result else reason

    def close(self) -> None:
        """Tell where the results are."""
        if self._written:
            self._emit(Written(path=str(self._path), kept=tuple(self._kept)))


def _changed(put: Put, results: Mapping[str, Sequence[Benchmark]], registry: Registry) -> Registry:
    return put(registry, results)
