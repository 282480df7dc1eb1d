"""What ``hgx peers`` shows."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

from rich.text import Text

from hgx.cli.render.console import plain, stderr, stdout
from hgx.cli.render.devices import Column, DeviceTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hgx.flows.peer_list import KnownPeer

_COLUMNS = (
    Column("PEER", words=True),
    Column("CERTIFICATE"),
    Column("PAIRED"),
    Column("LAST SEEN"),
    Column("ADDRESS", words=True),
)


def show_peers(peers: Sequence[KnownPeer], *, as_json: bool, quiet: bool) -> None:
    """Print the paired peers: a table, or JSON with the whole fingerprints."""
    if as_json:
        found = [peer._asdict() for peer in peers]
        print(json.dumps({"peers": found}, indent=2), file=stdout().file)
        return
    if peers:
        stdout().print(DeviceTable(_COLUMNS, [_cells(peer) for peer in peers]))
    elif not quiet:
        stderr().print("No machine is paired with this one: `hgx pair` pairs one", soft_wrap=True)
    for peer in () if quiet else peers:
        if not peer.pinned:
            note = f"note: {plain(peer.name)} was paired by an earlier hgx: pair it again to use it"
            stderr().print(note, style="dim", soft_wrap=True)


def show_revoked(peer: KnownPeer, *, quiet: bool) -> None:
    """Say that a peer is not trusted any more, and by whom this machine still is."""
    if not quiet:
        name = plain(peer.name)
        stderr().print(f"{name} is not trusted any more.", soft_wrap=True)
        stderr().print(f"To end it on both sides, run `hgx peers revoke` on {name} too.")


def _cells(peer: KnownPeer) -> tuple[Text, ...]:
    cells = (
        peer.name,
        peer.fingerprint[:16],
        _when(peer.paired_at),
        _when(peer.seen_at),
        peer.address or "-",
    )
    return tuple(Text(plain(cell)) for cell in cells)


def _when(moment: str | None) -> str:
    """Show a time of ISO 8601 as this machine's clock shows it; what is none, as it is."""
    try:
        parsed = datetime.fromisoformat(moment) if moment else None
    except ValueError:
        return moment or "-"
    return f"{parsed.astimezone():%Y-%m-%d %H:%M}" if parsed else "-"
