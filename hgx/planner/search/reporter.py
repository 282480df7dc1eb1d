"""How a search is watched: through a reporter, which does nothing by default."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """Watches a search. Both calls cost O(1) and happen once per layer and per improvement."""

    def layer(self, depth: int, states: int) -> None:
        """A layer of states with ``depth`` stages begins."""

    def improved(self, objective: float) -> None:
        """A better placement was found; its objective in seconds."""


class Silent:
    """The reporter that does nothing."""

    def layer(self, depth: int, states: int) -> None:
        """Ignore it."""

    def improved(self, objective: float) -> None:
        """Ignore it."""
