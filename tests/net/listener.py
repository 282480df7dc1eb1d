"""``Browser`` as a program that tells what it hears: ``python -m tests.net.listener``.

Whenever other peers are announced than before it prints them as a line of JSON. Between those it
says what it keeps, a few times a second, until it is ended.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import Any

from hgx.net.browser import Browser
from hgx.net.mdns import kept_records


async def main() -> None:
    """Listen without end."""
    async with Browser() as browser:
        telling = asyncio.create_task(tell_peers(browser))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, telling.cancel)
        inside: dict[str, Any] = vars(browser)
        while not telling.done():
            await asyncio.sleep(0.2)
            say(
                {
                    "peers": len(browser.peers),
                    "dropped": browser.dropped,
                    "kept": kept_records(inside["_zeroconf"].zeroconf),
                    "timers": len(inside["_browser"].query_scheduler._query_heap),
                    "pending": len(inside["_resolving"]),
                }
            )


async def tell_peers(browser: Browser) -> None:
    """Print all that are announced, by name, whenever that changed; without end."""
    told = browser.peers
    while True:
        await asyncio.sleep(0.1)
        if browser.peers != told:
            told = browser.peers
            say({"heard": {advert.name: advert._asdict() for advert in told}})


def say(what: dict[str, object]) -> None:
    """Print a line of JSON at once."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
