"""How far a model's loading has got: the seconds, and a bar for each worker's weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from hgx.cli.render.console import plain

if TYPE_CHECKING:
    from rich.console import Console

    from hgx.serve.team import Sent


class Bars:
    """Shown as long as the context lasts, and then gone.

    Args:
        console: A terminal.
        text: What is being done.
    """

    def __init__(self, console: Console, text: str) -> None:
        self._text = text
        self._spinner = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
            transient=True,
        )
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._shown = self._spinner
        self._main = self._spinner.add_task(text, total=None)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._shown.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._shown.stop()

    def __call__(self, seconds: float, sent: tuple[Sent, ...]) -> None:
        """Show that it has taken so many seconds, and what of the weights workers have."""
        self._spinner.update(self._main, description=f"{self._text}, {seconds:.0f} s")
        for one in sent:
            if one.worker not in self._tasks:
                self._switch_to_bars()
                name = f"{self._text} on {plain(one.worker)}"
                self._tasks[one.worker] = self._bars.add_task(name, total=one.total_bytes)
            # A little more than the weights goes through the tunnel.
            done = min(one.sent_bytes, one.total_bytes)
            self._bars.update(self._tasks[one.worker], completed=done)

    def _switch_to_bars(self) -> None:
        if self._shown is self._spinner:
            self._spinner.stop()
            self._shown = self._bars
            self._bars.start()
