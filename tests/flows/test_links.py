"""Links that nobody has measured."""

from __future__ import annotations

from hgx.core.registry import Link, Node, Registry
from hgx.flows.links import ASSUMED_RTT_S, with_assumed_links

NODES = (Node(id="a"), Node(id="b", paired=True), Node(id="c", paired=True), Node(id="d"))
LINK = Link.model_validate({"from": "c", "to": "a", "rtt_s": 1e-4, "bandwidth_bytes_per_s": 1e9})


def test_only_to_paired_peers_without_a_link() -> None:
    """A paired peer without a link, in whichever direction, gets a slow one, and it is said."""
    linked = with_assumed_links(Registry(nodes=NODES, links=(LINK,)), "a")
    assert linked.registry.links[0] is LINK
    (assumed,) = linked.registry.links[1:]
    assert (assumed.source, assumed.target, assumed.rtt_s) == ("a", "b", ASSUMED_RTT_S)
    (note,) = linked.notes
    assert note.startswith("the link to b was never measured")


def test_nothing_to_assume() -> None:
    """Where all is known, or this node is not in the registry, it stays as it is."""
    known = Registry(nodes=(NODES[0], NODES[2], NODES[3]), links=(LINK,))
    for registry, own in (
        (known, "a"),
        (Registry(nodes=NODES), "x"),
        (Registry(nodes=NODES), None),
    ):
        linked = with_assumed_links(registry, own)
        assert linked.registry is registry
        assert linked.notes == ()
