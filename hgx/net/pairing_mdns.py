"""Find the machine that shows a code, by the code's number, by multicast DNS.

The service instance is called by the number, so that the library sees to it that no two machines
of a network have the same. What is announced is a hint where to ask, as for nodes.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, NamedTuple, Self

from zeroconf import NonUniqueNameException
from zeroconf.asyncio import AsyncServiceInfo

from hgx.errors import PeerError, Unavailable
from hgx.net.advert import is_reachable
from hgx.net.interfaces import with_zones
from hgx.net.mdns import (
    ASK_ALL,
    GUARD_S,
    cancel_all,
    closed_on_failure,
    forget_if_full,
    open_multicast,
)
from hgx.net.pairing_code import MOST_NAMEPLATE
from hgx.net.wire import Target

if TYPE_CHECKING:
    from collections.abc import Sequence

SERVICE = "_hgx-pair._tcp.local."

FIND_S = 5.0
"""How long to look for the machine that shows a code: some questions go out in that time."""

_MOST_ADDRESSES = 16


class Announced(NamedTuple):
    """Where a machine that shows a code may be.

    Attributes:
        targets: All ways to it.
        fingerprint: Of its certificate: a hint which of them lead to it.
    """

    targets: tuple[Target, ...]
    fingerprint: str


class OfferAnnouncer:
    """Announces that this machine shows a code, as long as the context lasts.

    Args:
        fingerprint: Of this machine's certificate.
        port: Where it waits.
        addresses: Where it is reached.
        host: The only address to announce at; all when absent.

    Attributes:
        nameplate: The number that the code is to begin with.
    """

    def __init__(
        self, fingerprint: str, port: int, addresses: Sequence[str], host: str | None = None
    ) -> None:
        self._fingerprint = fingerprint
        self._port = port
        self._addresses = addresses[:_MOST_ADDRESSES]
        self._host = host

    async def __aenter__(self) -> Self:
        self._zeroconf = open_multicast(self._host)
        async with closed_on_failure(self._zeroconf):
            self.nameplate = await self._register()
        self._guarding = asyncio.create_task(self._guard())
        return self

    async def __aexit__(self, *_: object) -> None:
        await cancel_all([self._guarding])
        await self._zeroconf.async_close()

    async def _register(self) -> int:
        for nameplate in random.sample(range(1, MOST_NAMEPLATE + 1), MOST_NAMEPLATE):
            try:
                await (await self._zeroconf.async_register_service(self._service(nameplate)))  # pyright: ignore[reportUnknownMemberType] - the library types it loosely
            except NonUniqueNameException:
                continue
            return nameplate
        msg = f"{MOST_NAMEPLATE} machines of this network show a code"
        raise Unavailable(msg, "wait a few minutes, or name this one there with --peer HOST:PORT")

    def _service(self, nameplate: int) -> AsyncServiceInfo:
        return AsyncServiceInfo(
            SERVICE,
            f"{nameplate}.{SERVICE}",
            port=self._port,
            properties={"txtvers": "1", "nameplate": str(nameplate), "fp": self._fingerprint},
            # Nobody else has this name, nor this machine as a node: at the end it is gone.
            server=f"hgx-pair-{self._fingerprint[:16]}.local.",
            parsed_addresses=[text.partition("%")[0] for text in self._addresses],
        )

    async def _guard(self) -> None:
        while True:
            await asyncio.sleep(GUARD_S)
            forget_if_full(self._zeroconf.zeroconf)


async def find_offer(nameplate: int, wait_s: float = FIND_S) -> Announced:
    """Find the machine that shows a code with a number.

    Whatever is announced, it is one machine: each attempt is one guess at the code.

    Raises:
        PeerError: No machine is announced by that number (fault "timeout").
        Unavailable: Multicast cannot be used here at all.
    """
    zeroconf = open_multicast(None)
    info = AsyncServiceInfo(SERVICE, f"{nameplate}.{SERVICE}")
    try:
        answered = await info.async_request(zeroconf.zeroconf, wait_s * 1000, ASK_ALL)
    finally:
        await zeroconf.async_close()
    told = info.properties
    addresses = [text for text in with_zones(info.parsed_scoped_addresses()) if is_reachable(text)]
    named = told.get(b"nameplate") == str(nameplate).encode()
    if not (answered and named and info.port and addresses):
        msg = f"no machine of this network shows a code that begins with {nameplate}"
        remedy = "read it again, or name the machine with --peer HOST:PORT, which it shows too"
        raise PeerError(msg, "timeout", remedy)
    targets = tuple(Target(address, info.port) for address in addresses[:_MOST_ADDRESSES])
    return Announced(targets, (told.get(b"fp") or b"").decode("ascii", "replace"))
