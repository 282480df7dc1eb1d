"""Announce this node by multicast DNS."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from zeroconf import (
    DNSOutgoing,  # pyright: ignore[reportPrivateImportUsage] - no other way to one record's goodbye
    IPVersion,
    NonUniqueNameException,
)
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo

from hgx.errors import Unavailable
from hgx.net.advert import SERVICE, Advert, make_txt
from hgx.net.interfaces import own_addresses
from hgx.net.mdns import (
    ASK_ALL,
    GUARD_S,
    cancel_all,
    closed_on_failure,
    forget_if_full,
    open_multicast,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_NAMES_TRIED = 99
_MOST_ADDRESSES = 16
_FOLLOW_S = 15.0
_RESPONSE = 0x8400  # flags of DNS: an authoritative answer
_SRV, _INTERNET = 33, 1  # type and class of a DNS record


class Announcer:
    """Announces a node as long as the context lasts, with a goodbye at the end.

    Args:
        advert: What to announce; its name is a wish, and its addresses are not looked at.
        host: The only address to announce and to announce at; all when absent.
        addresses: Where there is no host, returns the addresses to announce as they are now.

    Attributes:
        advert: What is announced: with another name, and another node id, where its own was taken.
    """

    def __init__(
        self,
        advert: Advert,
        host: str | None = None,
        addresses: Callable[[], tuple[str, ...]] = own_addresses,
    ) -> None:
        self.advert = advert
        self._host = host
        self._addresses = addresses
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._zeroconf = open_multicast(self._host)
        async with closed_on_failure(self._zeroconf):
            self._info = await self._register()
        self._tasks.append(asyncio.create_task(self._guard()))
        if self._host is None:
            self._tasks.append(asyncio.create_task(self._follow()))
        return self

    async def __aexit__(self, *_: object) -> None:
        await cancel_all(self._tasks)
        await self._zeroconf.async_close()

    async def _register(self) -> AsyncServiceInfo:
        """Take the first name that is free.

        The library asks for each name, for the asker alone. Asking for all names so that
        everybody hears the answers fills its cache, where it looks for them.
        """
        zeroconf = self._zeroconf.zeroconf
        asking = AsyncServiceBrowser(
            zeroconf, SERVICE, handlers=[_not_needed], question_type=ASK_ALL
        )
        try:
            return await self._take_name(self.advert.name)
        finally:
            await asking.async_cancel()

    async def _take_name(self, wanted: str) -> AsyncServiceInfo:
        for number in range(1, _MOST_NAMES_TRIED + 1):
            name = wanted if number == 1 else f"{wanted[:60]}-{number}"
            self.advert = self.advert._replace(
                name=name, node=name, addresses=self._addresses_now()
            )
            info = self._service()
            try:
                await (await self._zeroconf.async_register_service(info))  # pyright: ignore[reportUnknownMemberType] - the library types it loosely
            except NonUniqueNameException:
                continue
            if await self._is_ours(info):
                return info
        msg = f"{_MOST_NAMES_TRIED} nodes are called {wanted} in this network"
        raise Unavailable(msg, "choose another name with --name")

    def _service(self) -> AsyncServiceInfo:
        return AsyncServiceInfo(
            SERVICE,
            f"{self.advert.name}.{SERVICE}",
            port=self.advert.port,
            properties=make_txt(self.advert),
            # Not the host's name, which others may announce too, with other addresses.
            server=f"hgx-{self.advert.fingerprint[:16]}.local.",
            parsed_addresses=[text.partition("%")[0] for text in self.advert.addresses],
        )

    async def _is_ours(self, info: AsyncServiceInfo) -> bool:
        """Settle whose the name is where two nodes took it at the same moment.

        Both asked whether it is free, and neither had it yet. By now both have heard the other.
        """
        zeroconf, own = self._zeroconf.zeroconf, str(info.server_key)
        records = zeroconf.cache.async_all_by_details(info.name, _SRV, _INTERNET)
        rivals = {str(getattr(record, "server_key", "")) for record in records} - {own}
        if not rivals:
            return True
        if own < min(rivals):
            await self._announce(info)
            return True
        # No goodbye to the name itself, which is the other's now.
        zeroconf.registry.async_remove(info)
        out = DNSOutgoing(_RESPONSE)
        out.add_answer_at_time(info.dns_service(override_ttl=0), 0)
        out.add_answer_at_time(info.dns_text(override_ttl=0), 0)
        zeroconf.async_send(out)
        return False

    async def _announce(self, info: AsyncServiceInfo) -> None:
        await (await self._zeroconf.async_update_service(info))  # pyright: ignore[reportUnknownMemberType] - the library types it loosely

    def _addresses_now(self) -> tuple[str, ...]:
        return (self._host,) if self._host else self._addresses()[:_MOST_ADDRESSES]

    async def _guard(self) -> None:
        while True:
            await asyncio.sleep(GUARD_S)
            forget_if_full(self._zeroconf.zeroconf)

    async def _follow(self) -> None:
        """Announce at the addresses that there are now: cables and networks come and go."""
        while True:
            await asyncio.sleep(_FOLLOW_S)
            addresses = self._addresses_now()
            if addresses != self.advert.addresses:
                self.advert = self.advert._replace(addresses=addresses)
                self._info.addresses = self._service().addresses_by_version(IPVersion.All)
                await self._zeroconf.async_update_interfaces()
                await self._announce(self._info)


def _not_needed(**_: object) -> None:
    """Do nothing about a name that is heard."""
