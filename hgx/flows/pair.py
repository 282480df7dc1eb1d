"""Pair two machines: one shows a code, it is typed on the other, and each trusts the other."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, ExitStack, contextmanager
from datetime import UTC, datetime
from secrets import randbelow
from typing import TYPE_CHECKING, NamedTuple, Protocol

from hgx.errors import Unavailable
from hgx.flows.addresses import parse_target
from hgx.flows.peer_list import mark_paired
from hgx.net.advert import is_reachable
from hgx.net.identity import own_identity
from hgx.net.pairing import LASTS_S, Offer, Own
from hgx.net.pairing_client import join
from hgx.net.pairing_code import MOST_NAMEPLATE, PairingCode, new_code
from hgx.net.pairing_mdns import OfferAnnouncer, find_offer
from hgx.net.wire import Target
from hgx.node.listening import Listening, listen
from hgx.node.pairing_server import wait_for_attempt
from hgx.store.home import id_from_host_name
from hgx.store.trust import TrustedPeer, add_trusted

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from hgx.net.pairing import Partner
    from hgx.store.home import Home

DEFAULT_PORT = 9475
"""Where a machine waits to be paired, if that port is free."""


class OfferWish(NamedTuple):
    """How this machine is to wait.

    Attributes:
        host: Address or name of this machine to listen on; all interfaces where null.
        port: 0 for any free one; the default one, or any free one, where null.
        lasts_s: How long the code is good.
    """

    host: str | None = None
    port: int | None = None
    lasts_s: float = LASTS_S


class Offered(NamedTuple):
    """A code that is good now.

    Attributes:
        code: To be typed on the other machine.
        targets: Where the other machine can be told to go.
        lasts_s: For how long.
        unannounced: Why it is not announced, so that the other machine needs an address; null
            where it is.
    """

    code: PairingCode
    targets: tuple[Target, ...]
    lasts_s: float
    unannounced: str | None


class PairReporter(Protocol):
    """Whoever shows the user what happens."""

    def offered(self, offered: Offered) -> None:
        """Show the code."""

    def paired(self, partner: Partner, replaced: tuple[TrustedPeer, ...]) -> None:
        """Show who is trusted now, and whose certificates of that name are not any more."""

    def not_found_yet(self, partner: Partner) -> None:
        """Say that no plan uses the other machine before it is discovered."""


class _Pairing:
    """This machine's part, on whichever side."""

    def __init__(self, home: Home, name: str | None, reporter: PairReporter) -> None:
        self._home = home
        self._reporter = reporter
        name = name or id_from_host_name(home.node_id())
        self.own = Own(name, own_identity(home))
        self._replaced: tuple[TrustedPeer, ...] = ()

    def keep(self, partner: Partner) -> None:
        """Trust the other machine from now on."""
        self._replaced = add_trusted(
            self._home,
            TrustedPeer(
                fingerprint=partner.fingerprint,
                name=partner.name,
                certificate=partner.certificate,
                paired_at=datetime.now(UTC).isoformat(timespec="seconds"),
            ),
        )

    def show(self, partner: Partner) -> None:
        """Show who was paired, and let plans use it."""
        self._reporter.paired(partner, self._replaced)
        if partner.fingerprint not in mark_paired(self._home):
            self._reporter.not_found_yet(partner)


def offer_pairing(home: Home, name: str | None, wish: OfferWish, reporter: PairReporter) -> None:
    """Show a code and wait until it is typed on another machine.

    Args:
        home: Where the identity and the list of trusted peers are.
        name: What this machine calls itself; its node id where null.
        wish: How to wait.
        reporter: Shows what happens.

    Raises:
        PeerError: Somebody tried without the code, or nobody in time (fault "code").
        Unavailable: The port is in use, or the host is none of this machine.
        StorageError: Identity or trusted peers cannot be read or written.
        RegistryError: They are paired, and the registry is damaged.
    """
    pairing = _Pairing(home, name, reporter)
    with _listening(wish) as listening:
        partner = asyncio.run(_wait(pairing, wish, listening, reporter.offered))
    pairing.show(partner)


def join_pairing(
    home: Home, name: str | None, code: PairingCode, peer: str | None, reporter: PairReporter
) -> None:
    """Pair with the machine that shows a code.

    Args:
        home: Where the identity and the list of trusted peers are.
        name: What this machine calls itself; its node id where null.
        code: As it was typed.
        peer: Where the machine is, as ``HOST:PORT``; it is looked for where null.
        reporter: Shows what happens.

    Raises:
        PeerError: It was not found or reached, or has another code.
        Unavailable: It was to be looked for, and multicast cannot be used here.
        StorageError: Identity or trusted peers cannot be read or written.
        RegistryError: They are paired, and the registry is damaged.
    """
    given = parse_target(peer, DEFAULT_PORT) if peer else None
    pairing = _Pairing(home, name, reporter)
    if given:
        joined = join([given], code, pairing.own)
    else:
        announced = asyncio.run(find_offer(code.nameplate))
        joined = join(announced.targets, code, pairing.own, announced.fingerprint)
    pairing.keep(joined.partner)
    pairing.show(joined.partner)


@contextmanager
def _listening(wish: OfferWish) -> Generator[Listening]:
    """Open the port that was asked for; else the default one, or any free one."""
    with ExitStack() as stack:
        try:
            port = DEFAULT_PORT if wish.port is None else wish.port
            listening = stack.enter_context(listen(wish.host, port))
        except Unavailable:
            if wish.port is not None:
                raise
            listening = stack.enter_context(listen(wish.host, 0))
        yield listening


async def _wait(
    pairing: _Pairing, wish: OfferWish, listening: Listening, show: Callable[[Offered], None]
) -> Partner:
    async with AsyncExitStack() as stack:
        nameplate, unannounced = await _announce(stack, pairing.own, listening)
        code = new_code(nameplate or 1 + randbelow(MOST_NAMEPLATE))
        offer = Offer(code, pairing.own, wish.lasts_s)
        addresses = listening.addresses() or listening.loopback()
        targets = tuple(Target(address, listening.port) for address in addresses)
        show(Offered(code, targets, wish.lasts_s, unannounced))
        return await wait_for_attempt(listening.opened, pairing.own.identity, offer, pairing.keep)


async def _announce(
    stack: AsyncExitStack, own: Own, listening: Listening
) -> tuple[int | None, str | None]:
    """Announce it until the stack ends; return the number of the code, or why there is none."""
    address = listening.address
    if address and not is_reachable(address):
        return None, f"{address} is not for other machines"
    if not listening.addresses():
        return None, "no network interface is up"
    announcer = OfferAnnouncer(
        own.identity.fingerprint, listening.port, listening.addresses(), address
    )
    try:
        return (await stack.enter_async_context(announcer)).nameplate, None
    except Unavailable as reason:
        return None, reason.message
