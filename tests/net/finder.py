"""``find_peers`` as a program that prints what it hears and finds, one JSON object per line.

The last line has the peers; each before it has all that were announced at some moment.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Self

from hgx.flows.peers import find_peers
from hgx.net import browser
from hgx.net.identity import own_identity
from hgx.store.home import Home
from tests.net.listener import say, tell_peers


class TellingBrowser(browser.Browser):
    """A browser that prints what it hears."""

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._telling = asyncio.create_task(tell_peers(self))
        return self

    async def __aexit__(self, *reason: object) -> None:
        self._telling.cancel()
        await super().__aexit__(*reason)


def main() -> None:
    """Look once."""
    options = argparse.ArgumentParser()
    options.add_argument("--peer", action="append", default=[])
    options.add_argument("--wait", type=float, default=2.0)
    options.add_argument("--no-multicast", action="store_true")
    given = options.parse_args()
    home = Home()
    browser.Browser = TellingBrowser
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
    say({"peers": peers, "missing": found.missing, "dropped": found.dropped})


if __name__ == "__main__":
    main()
