"""What ``hgx discover`` shows: progress, the table, and what was not found."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from hgx.cli.render.console import plain, stderr, stdout
from hgx.cli.render.devices import devices_table
from hgx.cli.render.watch import picture
from hgx.flows.discover import Watcher
from hgx.store.registry_file import registry_text

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from pathlib import Path

    from rich.status import Status

    from hgx.core.registry import Registry
    from hgx.flows.discover import Discovery
    from hgx.flows.local import Local
    from hgx.flows.recorded import Replayed

_FALLBACK = (
    "no accelerator found: the processor is the fallback (--verbose says what was looked for)"
)


class Screen:
    """Results on stdout, all else on stderr.

    Args:
        as_json: Whether the result is the registry's JSON.
        quiet: Whether to leave out all but the result.
        verbose: Whether to say of every backend why it is not there.
    """

    def __init__(self, *, as_json: bool, quiet: bool, verbose: bool) -> None:
        self._as_json = as_json
        self._quiet = quiet
        self._verbose = verbose

    @contextmanager
    def looking(self) -> Generator[Watcher]:
        """Show what is being waited for, on a terminal, as long as the context lasts."""
        console = stderr()
        if self._quiet or not console.is_terminal:
            yield Watcher()
            return
        with console.status("Looking") as status:
            yield _Spinner(status)

    def found(self, found: Discovery) -> None:
        """Show the registry, and what was missing."""
        self._registry(found.registry)
        self._missing(found.local)
        self._notes(found.notes)
        if found.peers:
            self._notes(found.peers.missing)
            self._notes(_ignored(found.peers.dropped))
        self._unpaired(found.registry)
        if not self._quiet:
            stderr().print(f"Wrote {plain(str(found.path))}", soft_wrap=True)

    def recorded(self, directory: Path) -> None:
        """Say where the recording is and what to check in it."""
        if not self._quiet:
            place = plain(str(directory))
            stderr().print(
                f"Wrote {place}: names, serial numbers and addresses are left out; "
                f"look it through before you pass it on. hgx discover --replay {place} shows it.",
                soft_wrap=True,
            )

    def replayed(self, machine: Replayed) -> None:
        """Show what a recorded machine has, and what its sensors said; nothing is written."""
        self._registry(machine.registry)
        if not self._as_json and machine.snapshot.rows:
            stdout().print()
            stdout().print(picture(machine.snapshot))
        self._missing(machine.local)

    def _registry(self, registry: Registry) -> None:
        if self._as_json:
            print(registry_text(registry, ascii_only=True), end="", file=stdout().file)
        else:
            stdout().print(devices_table(registry.devices, registry.unpaired))

    def _missing(self, local: Local) -> None:
        self._notes(item.message for item in local.missing)
        if self._verbose:
            self._notes(item.message for item in local.absent)
        elif local.devices and all(device.fallback for device in local.devices.values()):
            self._notes([_FALLBACK])

    def _unpaired(self, registry: Registry) -> None:
        if registry.unpaired:
            names = ", ".join(sorted(registry.unpaired))
            self._notes([f"not paired, so shown but never used: {names}"])

    def _notes(self, notes: Iterable[str]) -> None:
        for note in () if self._quiet else notes:
            stderr().print(plain(f"note: {note}"), style="dim", soft_wrap=True)


class _Spinner(Watcher):
    def __init__(self, status: Status) -> None:
        self._status = status

    def waiting(self, names: frozenset[str]) -> None:
        if names:
            self._status.update(f"Waiting for {plain(', '.join(sorted(names)))}")

    def measuring(self, device: str) -> None:
        self._status.update(f"Measuring {plain(device)} for the first time")


def _ignored(dropped: dict[str, int]) -> list[str]:
    count = sum(dropped.values())
    why = ", ".join(f"{reason} {number}" for reason, number in sorted(dropped.items()))
    return [f"{count} announcements were not heeded: {why}"] if count else []
