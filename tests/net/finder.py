"""``find_peers`` as a program that prints what it hears and finds, one JSON object per line.

The last line has the peers; those before it tell of announcements as they come.
"""

from __future__ import annotations

import argparse
import json
import sys

from hgx.flows.peers import find_peers
from hgx.net.browser import Browser, PeerEvent
from hgx.net.identity import own_identity
from hgx.store.home import Home


def main() -> None:
    """Look once."""
    options = argparse.ArgumentParser()
    options.add_argument("--peer", action="append", default=[])
    options.add_argument("--wait", type=float, default=2.0)
    options.add_argument("--no-multicast", action="store_true")
    given = options.parse_args()
    home = Home()
    setattr(Browser, "_tell", _tell)  # noqa: B010 - it is private, and tests may look in
    found = find_peers(
        home,
        wait_s=given.wait,
        peers=given.peer,
        multicast=not given.no_multicast,
        own_fingerprint=own_identity(home).fingerprint,
    )
    peers = {
        peer.node.id: {
            "node": peer.node.model_dump(mode="json", exclude_unset=True),
            "devices": [one.model_dump(mode="json", exclude_unset=True) for one in peer.devices],
            "said_id": peer.said_id,
        }
        for peer in found.peers
    }
    _say({"peers": peers, "missing": found.missing, "dropped": found.dropped})


def _tell(_: Browser, event: PeerEvent) -> None:
    _say({"event": event.kind, "name": event.advert.name, "addresses": event.advert.addresses})


def _say(what: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
