"""What announcing and listening have in common: the sockets, and how much is kept.

The library keeps whatever arrives, and anybody in the network can send thousands of names a
second, so what it keeps is looked after.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from zeroconf import DNSQuestionType, Error, InterfaceChoice, IPVersion
from zeroconf.asyncio import AsyncZeroconf

from hgx.errors import Unavailable
from hgx.net.interfaces import usable_interfaces

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from zeroconf import Zeroconf

MOST_RECORDS = 4096
"""How many DNS records or names may have been heard before all are forgotten."""

GUARD_S = 1.0
"""How often it is looked how many there are."""

ASK_ALL = DNSQuestionType.QM
"""Ask so that all hear the answers: one that is for the asker alone reaches only one of several
programs on a machine, and that may be another node."""

# The library warns of each interface that it cannot use, on the user's terminal if nobody listens.
logging.getLogger("zeroconf").addHandler(logging.NullHandler())


def open_multicast(host: str | None) -> AsyncZeroconf:
    """Open the sockets, for IPv4 alone where IPv6 cannot be had.

    Args:
        host: The only address to use; all interfaces when absent.

    Raises:
        Unavailable: Multicast cannot be used here at all.
    """
    remedy = "see `hgx discover --diagnose`, or name peers with --peer HOST:PORT"
    interfaces = InterfaceChoice.All if host is None else [_interface(host)]
    try:
        with suppress(OSError):
            return AsyncZeroconf(interfaces, ip_version=IPVersion.All)
        return AsyncZeroconf(interfaces, ip_version=IPVersion.V4Only)
    except (OSError, RuntimeError) as error:
        raise Unavailable(f"multicast cannot be used here ({error})", remedy) from error


def _interface(host: str) -> str | int:
    """Return what the library knows the interface of an address by: IPv6 by its number."""
    if ipaddress.ip_address(host.partition("%")[0]).version == 4:
        return host
    found = [interface.number for interface in usable_interfaces() if host in interface.ipv6]
    if not found:
        raise Unavailable(f"no interface has the address {host}", "choose another with --host")
    return found[0]


@asynccontextmanager
async def closed_on_failure(zeroconf: AsyncZeroconf) -> AsyncGenerator[None]:
    """Close what was opened where its first use fails.

    Raises:
        Unavailable: It fails because multicast cannot be used here.
    """
    try:
        yield
    except (Error, OSError) as error:
        await zeroconf.async_close()
        msg = f"multicast cannot be used here ({str(error) or type(error).__name__})"
        raise Unavailable(msg, "see `hgx discover --diagnose`") from error
    except BaseException:
        await zeroconf.async_close()
        raise


def kept_records(zeroconf: Zeroconf) -> int:
    """Return how many DNS records are kept of what was heard."""
    return sum(len(records) for records in zeroconf.cache.cache.values())


def forget_if_full(zeroconf: Zeroconf) -> bool:
    """Forget all that was heard when it is too much; tell whether it was."""
    full = kept_records(zeroconf) > MOST_RECORDS
    if full:
        kept = [record for records in zeroconf.cache.cache.values() for record in records]
        zeroconf.cache.async_remove_records(kept)
        zeroconf.question_history.clear()
    return full


async def cancel_all(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait until they are gone."""
    tasks = tuple(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
