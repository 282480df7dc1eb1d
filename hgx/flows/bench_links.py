"""The links from this machine to its peers, measured."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from hgx.bench import link
from hgx.bench.events import Failed, Progress, Refused, Result, Started
from hgx.errors import HgxError, PeerError
from hgx.flows.bench_record import link_subject
from hgx.net.advert import DEFAULT_PORT
from hgx.net.peer import PeerClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hgx.bench.device import Tools
    from hgx.bench.events import Event
    from hgx.bench.link import LinkEffort, Peer
    from hgx.bench.outcome import Outcome
    from hgx.core.registry import Node, Registry


class _Step(NamedTuple):
    subject: str
    name: str
    run: Callable[[], Outcome]


def peers_of(registry: Registry, own: str) -> tuple[Node, ...]:
    """Return the peers that can be measured: those that were found, paired or not.

    Measuring uses nothing of theirs but the network; plans use links of paired peers only.
    """
    return tuple(
        node for node in registry.nodes if node.id != own and node.fingerprint and node.address
    )


def connect(node: Node) -> Peer:
    """Return the client of a peer, once it is certain that it is the one that was found.

    Args:
        node: With its address, ``HOST:PORT`` or a host alone.

    Raises:
        PeerError: It does not answer, its address is none, or it is another.
    """
    client = PeerClient(*_host_and_port(node.address or ""))
    if client.node().fingerprint != node.fingerprint:
        msg = f"{node.address} is not {node.id}, whose certificate is another"
        raise PeerError(msg, "not hgx", "find it again with `hgx discover`")
    return client


def link_events(
    own: str,
    peer: Node,
    effort: LinkEffort,
    tools: Tools,
    connect: Callable[[Node], Peer] = connect,
) -> Iterator[Event]:
    """Measure the link to a peer, both ways, and give what happens as it happens.

    Args:
        own: This node's id.
        peer: The peer.
        effort: How long.
        tools: Time and conditions.
        connect: Makes the client.
    """
    there, back = link_subject((own, peer.id)), link_subject((peer.id, own))
    names = tuple(link.name_of(streams) for streams in link.STREAMS)
    yield Started(subject=there, names=("rtt", *names))
    try:
        client = connect(peer)
    except HgxError as error:
        yield Failed(subject=there, reason=error.message)
        return
    steps = list(_steps(client, there, back, effort, tools))
    for place, step in enumerate(steps):
        if step.subject == back and steps[place - 1].subject == there:
            yield Started(subject=back, names=names)
        yield Progress(subject=step.subject, name=step.name, done=place / len(steps))
        try:
            found = step.run()
        except HgxError as error:
            yield Failed(subject=step.subject, name=step.name, reason=error.message)
            continue
        kind = Refused if found.refused else Result
        yield kind(subject=step.subject, benchmark=found.benchmark)


def _steps(
    client: Peer, there: str, back: str, effort: LinkEffort, tools: Tools
) -> Iterable[_Step]:
    yield _Step(there, "rtt", lambda: link.round_trip(client, effort, tools))
    for subject, transfer in ((there, client.upload), (back, client.download)):
        for streams in link.STREAMS:
            run = partial(link.bandwidth, transfer, streams, effort, tools)
            yield _Step(subject, link.name_of(streams), run)


def _host_and_port(address: str) -> tuple[str, int]:
    """Read an address as the registry holds it: ``HOST:PORT``, ``[V6]:PORT``, or a host alone."""
    try:
        parts = urlsplit(f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host:
        raise PeerError(f"{address!r} is no address", "address", "write HOST:PORT")
    return host, port or DEFAULT_PORT
