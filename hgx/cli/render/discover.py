"""What ``hgx discover`` shows: progress, the table, and what was not found."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.text import Text

from hgx.cli.render.console import plain, stderr, stdout
from hgx.cli.render.devices import devices_table
from hgx.cli.render.watch import picture
from hgx.flows.discover import Watcher
from hgx.flows.probe import SILENCE_S
from hgx.store.registry_file import registry_text

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from pathlib import Path

    from hgx.core.registry import Registry
    from hgx.flows.discover import Discovery
    from hgx.flows.local import Local
    from hgx.flows.peer_merge import FoundPeers
    from hgx.flows.recorded import Replayed

_FALLBACK = (
    "no accelerator found: the processor is the fallback (--verbose says what was looked for)"
)
_ALONE = (
    "no other machine was found: start `hgx serve` there; where it runs already, "
    "`hgx discover --diagnose` says what is in the way, or name it with --peer HOST:PORT"
)
_PATIENCE_S = 1.0
"""A wait that is over by then needs no explanation."""


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
        if self._quiet or self._as_json or not console.is_terminal:
            yield Watcher()
            return
        progress = Progress()
        with console.status(progress):
            yield progress

    def found(self, found: Discovery) -> None:
        """Show the registry, only this machine's part where no others were looked for, and notes.

        The first named peer that did not answer is left to the error that is raised for it.
        """
        shown = found.registry if found.peers else found.own
        self._registry(shown)
        self._missing(found.local)
        self._notes(found.notes)
        if found.peers:
            self._notes(_about_peers(found.peers))
        self._unpaired(shown)
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


class Progress(Watcher):
    """What goes on, in a line that is drawn anew several times a second.

    Args:
        clock: Returns seconds; the look begins now.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began_s = clock()
        self._pending: frozenset[str] = frozenset()
        self._doing = "Looking"

    def __rich__(self) -> Text:
        """Return the line as it is now, as the library for terminal output asks for it."""
        gone_s = self._clock() - self._began_s
        if not self._pending or gone_s < _PATIENCE_S:
            return Text(self._doing)
        # Each backend may be silent for so long, and all were asked at the beginning.
        left_s = math.ceil(SILENCE_S - gone_s)
        limit = f" (at most {left_s} s more)" if left_s > 0 else ""
        return Text(f"Waiting for {plain(', '.join(sorted(self._pending)))}{limit}")

    def waiting(self, names: frozenset[str]) -> None:
        """Show which backends have not answered yet."""
        self._pending = names

    def seeking(self) -> None:
        """Show that only other nodes are still waited for."""
        self._doing = "Waiting for other machines"

    def measuring(self, device: str) -> None:
        """Show that a device is being measured."""
        self._doing = f"Measuring {plain(device)} for the first time"


def _about_peers(found: FoundPeers) -> list[str]:
    raised = {error.message for error in found.unanswered[:1]}
    notes = [note for note in found.missing if note not in raised]
    count = sum(found.dropped.values())
    if count:
        why = ", ".join(f"{reason} {number}" for reason, number in sorted(found.dropped.items()))
        notes.append(f"{count} announcements were not heeded: {why}")
    if found.listened and not found.peers and not found.missing:
        notes.append(_ALONE)
    return notes
