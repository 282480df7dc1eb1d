"""Listen for other nodes that are announced by multicast DNS.

Whether a peer is still there is not known from here: one that was cut off stays announced for
over an hour.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple, Self

from zeroconf import ServiceStateChange
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo

from hgx.net.advert import SERVICE, Advert, Answer, Fault, is_name, parse
from hgx.net.interfaces import with_zones
from hgx.net.mdns import ASK_ALL, GUARD_S, MOST_RECORDS, cancel_all, forget_if_full, open_multicast

if TYPE_CHECKING:
    from zeroconf import Zeroconf

MOST_PEERS = 256
"""More than any house has; names beyond are counted and not kept."""

_RESOLVE_MS = 3000


class Browsed(NamedTuple):
    """What was heard in a while.

    Attributes:
        peers: Who is announced, by name.
        dropped: How many announcements were not heeded, by reason.
    """

    peers: tuple[Advert, ...]
    dropped: dict[str, int]


class Browser:
    """Listens for peers as long as the context lasts.

    Attributes:
        dropped: How many announcements were not heeded, by reason.
    """

    def __init__(self) -> None:
        self.dropped: Counter[Fault] = Counter()
        self._peers: dict[str, Advert] = {}
        self._resolving: dict[str, asyncio.Task[None]] = {}
        self._heard_names = 0

    async def __aenter__(self) -> Self:
        self._zeroconf = open_multicast(None)
        self._listen()
        self._guarding = asyncio.create_task(self._guard())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.dropped["no answer"] += len(self._resolving)
        await cancel_all([self._guarding, *self._resolving.values()])
        await self._browser.async_cancel()
        await self._zeroconf.async_close()

    @property
    def peers(self) -> tuple[Advert, ...]:
        """Who is announced now, by name; whether they are really there is another question."""
        return tuple(self._peers[key] for key in sorted(self._peers))

    def _listen(self) -> None:
        self._heard_names = 0
        self._browser = AsyncServiceBrowser(
            self._zeroconf.zeroconf, SERVICE, handlers=[self._heard], question_type=ASK_ALL
        )

    async def _guard(self) -> None:
        """Start anew when too much was heard: the library keeps a timer for each name."""
        while True:
            await asyncio.sleep(GUARD_S)
            if forget_if_full(self._zeroconf.zeroconf) or self._heard_names > MOST_RECORDS:
                await self._browser.async_cancel()
                self._listen()

    def _heard(
        self,
        zeroconf: Zeroconf,  # noqa: ARG002 - the library passes it by this name
        service_type: str,  # noqa: ARG002 - the library passes it by this name
        name: str,
        state_change: ServiceStateChange,
    ) -> None:
        self._heard_names += 1
        label = name[: -len(SERVICE) - 1] if name.lower().endswith(f".{SERVICE}") else ""
        key = label.lower()
        if not is_name(label):
            self.dropped["name"] += 1
        elif state_change is ServiceStateChange.Removed:
            self._forget(key)
        elif key in self._resolving:
            self._resolving[key].cancel()
            self._resolve(key, label)
        elif key not in self._peers and len({*self._peers, *self._resolving}) >= MOST_PEERS:
            self.dropped["too many"] += 1
        else:
            self._resolve(key, label)

    def _resolve(self, key: str, label: str) -> None:
        self._resolving[key] = asyncio.create_task(self._look_up(key, label))

    async def _look_up(self, key: str, label: str) -> None:
        info = AsyncServiceInfo(SERVICE, f"{label}.{SERVICE}")
        try:
            answered = await info.async_request(self._zeroconf.zeroconf, _RESOLVE_MS, ASK_ALL)
        finally:
            if self._resolving.get(key) is asyncio.current_task():
                del self._resolving[key]
        if not answered:
            self.dropped["no answer"] += 1
            return
        addresses = with_zones(info.parsed_scoped_addresses())
        found = parse(Answer(label, info.text, info.port, addresses))
        if isinstance(found, Advert):
            self._peers[key] = found
        else:
            self.dropped[found] += 1
            self._forget(key)

    def _forget(self, key: str) -> None:
        if key in self._resolving:
            self._resolving.pop(key).cancel()
        self._peers.pop(key, None)


async def browse(wait_s: float) -> Browsed:
    """Listen for a while.

    Raises:
        Unavailable: Multicast cannot be used here at all.
    """
    async with Browser() as browser:
        await asyncio.sleep(wait_s)
        peers = browser.peers
    return Browsed(peers, {reason: count for reason, count in browser.dropped.items() if count})
