"""Say why peers are not found: walk through all that must work, in order, for real."""

from __future__ import annotations

import asyncio
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

from hgx.errors import PeerError, Unavailable
from hgx.flows.addresses import given_targets
from hgx.net.browser import browse
from hgx.net.interfaces import usable_interfaces
from hgx.net.multicast import hears_itself, join, ways
from hgx.net.peer import WITHIN_S, PeerClient
from hgx.net.wire import Connection, Target, connect
from hgx.process.background import Background

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from hgx.net.interfaces import Interface
    from hgx.net.multicast import Way
    from hgx.store.home import Home

Outcome = Literal["ok", "failed", "skipped"]

_WALKING_S = 12.0
_AT_ONCE = 32
_NAME_THEM = "name peers with --peer HOST:PORT"
_SHOWS = (
    "This shows the rules of this machine; a router, an access point or the other machine can "
    "still drop it."
)


class Step(NamedTuple):
    """One thing that must work before a peer can be used.

    Attributes:
        name: ``interface``, ``multicast join``, ``firewall``, ``tcp``, ``tls`` or ``version``.
        outcome: What came of it.
        detail: What was seen, one sentence or two.
        remedy: What to do about it, in the imperative; where it failed, or nobody is there to try.
        peer: ``HOST:PORT`` for the steps that are about one peer.
    """

    name: str
    outcome: Outcome
    detail: str
    remedy: str | None = None
    peer: str | None = None


def diagnose(
    home: Home,
    *,
    wait_s: float = 3.0,
    peers: Sequence[str] = (),
    peers_file: Path | None = None,
    own_fingerprint: str | None = None,
) -> tuple[Step, ...]:
    """Walk through all that discovery needs, in order, for real.

    Multicast that fails is no failure where peers are named and all of them work.

    Args:
        home: Where the default peers file is.
        wait_s: How long to listen for announcements.
        peers: As for ``find_peers``.
        peers_file: As for ``find_peers``.
        own_fingerprint: This node's, which is not its own peer.

    Raises:
        PeerError: An address given is none.
        StorageError: The peers file cannot be read.
    """
    given = [(target,) for target in given_targets(home, peers, peers_file)]
    steps, joined = own_steps()
    announced = _announced(wait_s, own_fingerprint) if joined else []
    walked = _walked(dict.fromkeys((*given, *announced)))
    named = [step for targets in given for step in walked[targets]]
    if named and all(step.outcome == "ok" for step in named):
        steps = [_not_needed(step) for step in steps]
    steps += [step for taken in walked.values() for step in taken]
    if not given and not announced:
        steps.append(_nobody(wait_s if joined else None))
    return tuple(steps)


def own_steps() -> tuple[list[Step], tuple[Way, ...]]:
    """Try what multicast needs on this machine; nothing is announced and nobody is asked.

    Returns:
        The first three steps, and where the group could be joined.
    """
    interfaces = usable_interfaces()
    joined, join_step = _multicast_join(ways(interfaces))
    return [_interface(interfaces), join_step, _firewall(joined)], joined


def first_failure(steps: Sequence[Step]) -> Step | None:
    """Return the step to look at first, if any failed."""
    return next((step for step in steps if step.outcome == "failed"), None)


def _not_needed(step: Step) -> Step:
    """Take the failure from a step whose remedy is to name peers, where that was done and works."""
    if _NAME_THEM not in (step.remedy or ""):
        return step
    detail = f"{step.detail} The peers that are named work without it."
    return step._replace(outcome="skipped", detail=detail, remedy=None)


def _interface(interfaces: tuple[Interface, ...]) -> Step:
    if not interfaces:
        return Step(
            "interface",
            "failed",
            "no network interface is up and has an address.",
            "connect a cable or join a Wi-Fi; in a container, give it a network",
        )
    shown = ", ".join(_shown(one) for one in interfaces)
    if all(one.multicast is False for one in interfaces):
        return Step("interface", "failed", f"no interface carries multicast: {shown}.", _NAME_THEM)
    return Step("interface", "ok", f"up with an address: {shown}.")


def _shown(interface: Interface) -> str:
    facts = interface.addresses + (("no multicast",) if interface.multicast is False else ())
    return f"{interface.name} ({', '.join(facts)})"


def _multicast_join(candidates: tuple[Way, ...]) -> tuple[tuple[Way, ...], Step]:
    """Return where the group could be joined, and the step."""
    name = "multicast join"
    if not candidates:
        return (), Step(name, "skipped", "there is no interface to join on.")
    problems = {way: join(way) for way in candidates}
    joined = tuple(way for way, problem in problems.items() if problem is None)
    refused = "; ".join(f"{way}: {problem}" for way, problem in problems.items() if problem)
    if not joined:
        remedy = f"allow multicast in the system or container, or {_NAME_THEM}"
        return (), Step(name, "failed", f"the group of mDNS cannot be joined: {refused}.", remedy)
    shown = ", ".join(str(way) for way in joined)
    detail = f"joined on {shown}" + (f"; not on {refused}." if refused else ".")
    return joined, Step(name, "ok", detail)


def _firewall(joined: tuple[Way, ...]) -> Step:
    if not joined:
        return Step("firewall", "skipped", "multicast cannot be joined anywhere.")
    heard: list[str] = []
    deaf: list[str] = []
    for way in joined:
        try:
            (heard if hears_itself(way) else deaf).append(str(way))
        except OSError as error:
            deaf.append(f"{way}: {error.strerror or error}")
    if not deaf:
        detail = f"a question to UDP port 5353 came back on {', '.join(heard)}. {_SHOWS}"
        return Step("firewall", "ok", detail)
    detail = f"a question to UDP port 5353 did not come back on {', '.join(deaf)}"
    detail += f", though it did on {', '.join(heard)}. {_SHOWS}" if heard else f". {_SHOWS}"
    remedy = "allow UDP port 5353 in and out in this machine's firewall"
    return Step("firewall", "failed", detail, f"{remedy}, or {_NAME_THEM}")


def _announced(wait_s: float, own_fingerprint: str | None) -> list[tuple[Target, ...]]:
    try:
        heard = asyncio.run(browse(wait_s))
    except Unavailable:
        return []  # the steps before have said why
    return [
        tuple(Target(address, advert.port) for address in advert.addresses)
        for advert in heard.peers
        if advert.fingerprint != own_fingerprint
    ]


def _nobody(listened_s: float | None) -> Step:
    """Say that there is no peer to try; null seconds where none could be heard."""
    heard = "can be heard" if listened_s is None else f"was heard in {listened_s:g} s"
    detail = f"nobody {heard}, and no peer is named."
    return Step(
        "tcp", "skipped", detail, f"start `hgx serve` on the other machine, or {_NAME_THEM}"
    )


def _walked(
    peers: Iterable[tuple[Target, ...]],
) -> dict[tuple[Target, ...], list[Step]]:
    """Walk to all peers at the same time, under one deadline; the order stays as it was."""
    gate = threading.Semaphore(_AT_ONCE)
    deadline_s = time.monotonic() + _WALKING_S
    walks = {targets: Background(partial(_peer, targets, deadline_s), gate) for targets in peers}
    return {targets: walk.result() for targets, walk in walks.items()}


def _peer(targets: tuple[Target, ...], deadline_s: float) -> list[Step]:
    """Try all ways to one peer; the last steps are skipped where an earlier one fails."""
    target, problem = _reached(targets, deadline_s)
    peer = str(target)
    if problem:
        return [_failed("tcp", peer, problem), *_skipped(("tls", "version"), peer, "tcp")]
    steps = [Step("tcp", "ok", f"{peer} takes connections.", peer=peer)]
    try:
        with Connection(target, WITHIN_S) as connection:
            detail = f"TLS 1.3, certificate {connection.fingerprint}."
            steps.append(Step("tls", "ok", detail, peer=peer))
    except PeerError as error:
        return [*steps, _failed("tls", peer, error), *_skipped(("version",), peer, "tls")]
    try:
        said = PeerClient(*target).node()
    except PeerError as error:
        return [*steps, _failed("version", peer, error)]
    count = len(said.devices)
    devices = f"{count} device" if count == 1 else f"{count} devices"
    detail = f"{said.node.id} runs hgx {said.hgx} and has {devices}."
    return [*steps, Step("version", "ok", detail, peer=peer)]


def _reached(targets: tuple[Target, ...], deadline_s: float) -> tuple[Target, PeerError | None]:
    problem: PeerError | None = None
    for target in targets:
        if time.monotonic() > deadline_s:
            late = PeerError(f"{target} was not tried, the time was over", "busy", "try again")
            return targets[0], problem or late
        try:
            connect(target).close()
        except PeerError as error:
            problem = problem or error
        else:
            return target, None
    return targets[0], problem


def _failed(name: str, peer: str, error: PeerError) -> Step:
    return Step(name, "failed", f"{error.reason}.", error.remedy, peer)


def _skipped(names: tuple[str, ...], peer: str, failed: str) -> list[Step]:
    return [Step(name, "skipped", f"{failed} must work first.", peer=peer) for name in names]
