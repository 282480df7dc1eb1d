"""``Browser`` as a program that tells what it hears: ``python -m tests.net.listener``.

Each event is a line of JSON. Between events it says what it keeps, a few times a second, until it
is ended.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import Any

from hgx.net.browser import Browser


async def main() -> None:
    """Listen without end."""
    async with Browser() as browser:
        telling = asyncio.create_task(_tell(browser))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, telling.cancel)
        while not telling.done():
            await asyncio.sleep(0.2)
            inside: dict[str, Any] = vars(browser)
            _say(
                {
                    "peers": len(browser.peers),
                    "dropped": browser.dropped,
                    "kept": browser.kept,
                    "timers": len(inside["_browser"].query_scheduler._query_heap),
                    "pending": len(inside["_resolving"]),
                }
            )


async def _tell(browser: Browser) -> None:
    async for event in browser:
        _say({"event": event.kind, **event.advert._asdict()})


def _say(what: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
