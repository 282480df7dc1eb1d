"""What ``hgx serve`` shows of a node: where it is announced, and what others can type."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hgx.cli.render.console import plain, stderr, stdout

if TYPE_CHECKING:
    from hgx.node.agent import Running


class NodeScreen:
    """Results on stdout, all else on stderr (see ``hgx.flows.node.NodeReporter``).

    Args:
        as_json: Whether the result is JSON: one object, as soon as the node answers.
        quiet: Whether to leave out all but the result.
    """

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self._as_json = as_json
        self._quiet = quiet

    def notes(self, notes: tuple[str, ...]) -> None:
        """Print one dim line per note."""
        for note in () if self._quiet else notes:
            stderr().print(plain(note), style="dim", soft_wrap=True)

    def ready(self, running: Running, fingerprint: str) -> None:
        """Print the node's addresses on stdout, and around them what to type elsewhere."""
        places = tuple(_place(address, running.port) for address in running.addresses)
        if self._as_json:
            found = {
                "name": running.name,
                "addresses": places,
                "port": running.port,
                "fingerprint": fingerprint,
                "unannounced": running.unannounced,
            }
            self._write(json.dumps(found))
            return
        if not self._quiet:
            self._introduce(running, fingerprint)
        for place in places:
            self._write(place)
        if not self._quiet and places:
            self._say("On another machine:")
            self._say("  hgx discover" + (f" --peer {places[0]}" if running.unannounced else ""))

    def _introduce(self, running: Running, fingerprint: str) -> None:
        if running.unannounced:
            self._say(f"{plain(running.name)} is not announced: {plain(running.unannounced)}")
            self._say("It answers at (Ctrl+C stops it):")
        else:
            self._say(f"{plain(running.name)} is announced and answers at (Ctrl+C stops it):")
        self._say(f"  certificate {fingerprint[:16]}", style="dim")

    def _say(self, line: str, style: str | None = None) -> None:
        stderr().print(line, style=style, soft_wrap=True)

    def _write(self, line: str) -> None:
        print(line, file=stdout().file, flush=True)


def _place(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
