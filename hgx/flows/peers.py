"""Find other nodes: hear who is announced, and ask each what it is and has."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from hgx.errors import PeerError, Unavailable
from hgx.flows.addresses import given_targets
from hgx.flows.peer_ids import FreeIds, renamed
from hgx.flows.peer_merge import FoundPeer, FoundPeers
from hgx.net.browser import Browsed, browse
from hgx.net.peer import PeerClient
from hgx.net.wire import Target
from hgx.process.background import Background
from hgx.store.trust import trusted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from hgx.net.advert import Advert
    from hgx.net.peer import Said
    from hgx.store.home import Home

WAIT_S = 3.0
"""How long to listen for announcements: two rounds of questions go out in that time."""

_ASKING_S = 12.0
_AT_ONCE = 32


class _Suspect(NamedTuple):
    """Someone to ask: all ways to it, and what is known of it."""

    name: str | None
    targets: tuple[Target, ...]
    fingerprint: str | None


class _Reply(NamedTuple):
    said: Said
    target: Target


def find_peers(
    home: Home,
    *,
    wait_s: float = WAIT_S,
    peers: Sequence[str] = (),
    peers_file: Path | None = None,
    multicast: bool = True,
    own_fingerprint: str | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> FoundPeers:
    """Find other nodes by multicast and by the addresses given, and ask each what it has.

    Args:
        home: Where the trusted peers, the default peers file and this node's id are.
        wait_s: How long to listen for announcements.
        peers: ``HOST:PORT``, ``[V6]:PORT`` or a host alone, for the default port.
        peers_file: One such per line, ``#`` begins a comment; ``peers.txt`` in the home when
            absent, if it is there.
        multicast: Whether to listen for announcements at all.
        own_fingerprint: This node's, which is not its own peer.
        now: Returns the time, with its zone.

    Raises:
        PeerError: An address given is none (fault "address").
        StorageError: The trusted peers or the peers file cannot be read.
    """
    trust = trusted(home)
    given = [_Suspect(None, (target,), None) for target in given_targets(home, peers, peers_file)]
    gate = threading.Semaphore(_AT_ONCE)

    def ask(suspect: _Suspect) -> Background[_Reply | PeerError | None]:
        return Background(partial(_ask, suspect, own_fingerprint, _deadline()), gate)

    listening = Background(partial(_listen, wait_s)) if multicast else None
    asked = [ask(suspect) for suspect in given]
    heard, problem = listening.result() if listening else (Browsed((), {}), None)
    others = [_suspect(advert) for advert in heard.peers if advert.fingerprint != own_fingerprint]
    asked += [ask(suspect) for suspect in others]
    answers = [one.result() for one in asked]
    failures = [
        (suspect, answer)
        for suspect, answer in zip((*given, *others), answers, strict=True)
        if isinstance(answer, PeerError)
    ]
    missing = [_in_words(suspect, error) for suspect, error in failures]
    replies = [answer for answer in answers if isinstance(answer, _Reply)]
    return FoundPeers(
        peers=_named(replies, trust, now(), home.node_id()),
        missing=tuple(dict.fromkeys([problem, *missing] if problem else missing)),
        dropped=heard.dropped,
        unanswered=tuple(error for suspect, error in failures if suspect.name is None),
        listened=multicast and problem is None,
        trusted=trust,
    )


def _listen(wait_s: float) -> tuple[Browsed, str | None]:
    try:
        return asyncio.run(browse(wait_s)), None
    except Unavailable as reason:
        return Browsed((), {}), reason.message


def _deadline() -> float:
    return time.monotonic() + _ASKING_S


def _suspect(advert: Advert) -> _Suspect:
    targets = tuple(Target(address, advert.port) for address in advert.addresses)
    return _Suspect(advert.name, targets, advert.fingerprint)


def _ask(
    suspect: _Suspect, own_fingerprint: str | None, deadline_s: float
) -> _Reply | PeerError | None:
    """Try one address after the other until the peer answers.

    An address that is a container's or a tunnel's may be somebody else's here, even our own.

    Returns:
        Null where it is this node itself; the first problem where nobody answered.
    """
    problem: PeerError | None = None
    other: _Reply | None = None
    for target in suspect.targets:
        if time.monotonic() > deadline_s:
            problem = problem or PeerError(f"{target} was not asked in time: try again", "busy")
            break
        try:
            reply = _Reply(PeerClient(*target).node(), target)
        except PeerError as error:
            problem = problem or error
            continue
        if reply.said.fingerprint == own_fingerprint:
            continue
        if suspect.fingerprint in {None, reply.said.fingerprint}:
            return reply
        other = other or reply
    return other or problem


def _in_words(suspect: _Suspect, error: PeerError) -> str:
    if suspect.name and error.fault in {"refused", "no route", "timeout", "closed"}:
        return f"{suspect.name} ({suspect.targets[0]}) does not answer: it may be asleep or gone"
    return f"{suspect.name}: {error.message}" if suspect.name else error.message


def _named(
    replies: Iterable[_Reply], trust: frozenset[str], at: datetime, own_id: str
) -> tuple[FoundPeer, ...]:
    """Keep each peer once, and give each an id of its own, always in the same order."""
    once: dict[str, _Reply] = {}
    for reply in replies:
        once.setdefault(reply.said.fingerprint, reply)
    free = FreeIds({own_id})
    # A trusted peer keeps its name before a stranger does.
    order = sorted(once, key=lambda key: (key not in trust, key))
    found = [_found(once[key], free.take(once[key].said.node.id), trust, at) for key in order]
    return tuple(sorted(found, key=lambda peer: peer.node.id))


def _found(reply: _Reply, node_id: str, trust: frozenset[str], at: datetime) -> FoundPeer:
    said, address = reply.said, str(reply.target)
    paired = said.fingerprint in trust
    facts = {
        "paired": paired,
        "fingerprint": said.fingerprint,
        "seen_at": at.isoformat(timespec="seconds"),
        "address": address,
    }
    node = said.node.model_copy(update=facts)
    devices = tuple(device.model_copy(update={"paired": paired}) for device in said.devices)
    node, devices = renamed(node, devices, node_id)
    return FoundPeer(node, devices, said.fingerprint, paired, address, said.node.id)
