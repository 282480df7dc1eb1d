"""What ``hgx serve`` shows of a node: where it is announced, and what others can type."""

from __future__ import annotations

import ipaddress
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
                "renamed_from": running.renamed_from,
            }
            self._write(json.dumps(found))
            return
        if not self._quiet:
            self._introduce(running, fingerprint)
        for place in places:
            self._write(place)
        if not self._quiet and places:
            alone = "On this machine, as another user or with another --home:"
            self._say(alone if _is_alone(running) else "On another machine:")
            self._say("  hgx discover" + (f" --peer {places[0]}" if running.unannounced else ""))

    def _introduce(self, running: Running, fingerprint: str) -> None:
        name = plain(running.name)
        if running.renamed_from:
            taken = f"{plain(running.renamed_from)} was taken in this network"
            self._say(f"{taken}: this node is {name} (--name gives it another name)")
        said = f"{name} is announced and answers at"
        if running.unannounced:
            self._say(f"{name} is not announced: {plain(running.unannounced)}")
            said = "It answers this machine alone, at" if _is_alone(running) else "It answers at"
        if running.addresses:
            self._say(f"{said} (Ctrl+C stops it):")
        else:
            self._say("Nothing reaches it now (Ctrl+C stops it).")
        self._say(f"  certificate {fingerprint[:16]}", style="dim")

    def _say(self, line: str, style: str | None = None) -> None:
        stderr().print(line, style=style, soft_wrap=True)

    def _write(self, line: str) -> None:
        print(line, file=stdout().file, flush=True)


def _place(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _is_alone(running: Running) -> bool:
    """Tell whether only programs of this machine reach the node."""
    texts = (address.partition("%")[0] for address in running.addresses)
    return all(ipaddress.ip_address(text).is_loopback for text in texts)
