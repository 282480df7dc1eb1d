"""What of other nodes goes into the registry."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.core.registry import Device, Link, Node, Registry
from hgx.flows.peer_merge import FoundPeer, FoundPeers, merge_peers

ONE, TWO = "1" * 64, "2" * 64


def node(node_id: str, **facts: Any) -> Node:
    """Return a node."""
    return Node(id=node_id, **facts)


def device(node_id: str, **facts: Any) -> Device:
    """Return a processor."""
    rates = {"memory_bandwidth_bytes_per_s": 1e9, "compute_flops_per_s": 1e9}
    facts = {"memory_total_bytes": 10**9, **rates, **facts}
    return Device(id=f"{node_id}/cpu:0", node=node_id, backend="cpu", **facts)


def link(source: str, target: str) -> Link:
    """Return a link."""
    facts = {"from": source, "to": target, "rtt_s": 1e-3, "bandwidth_bytes_per_s": 1e8}
    return Link.model_validate(facts)


def peer(node_id: str, fingerprint: str, *, paired: bool = False, said_id: str = "") -> FoundPeer:
    """Return a peer that answered."""
    facts = {"paired": paired, "fingerprint": fingerprint, "address": "10.0.0.2:9474"}
    own = (device(node_id, paired=paired),)
    address = "10.0.0.2:9474"
    return FoundPeer(node(node_id, **facts), own, fingerprint, paired, address, said_id or node_id)


def merged(
    registry: Registry, *peers: FoundPeer, own: str = "mine"
) -> tuple[list[str], list[str], list[str]]:
    """Merge; return the ids of nodes and devices, and links as texts."""
    new = merge_peers(registry, FoundPeers(peers, (), {}), own)
    return (
        [one.id for one in new.nodes],
        [one.id for one in new.devices],
        [f"{one.source}>{one.target}" for one in new.links],
    )


def test_new_peers_are_added() -> None:
    """What was there stays in its place, and peers come behind it."""
    old = Registry(nodes=(node("mine"), node("hand")), devices=(device("mine"), device("hand")))
    assert merged(old, peer("tower", ONE)) == (
        ["mine", "hand", "tower"],
        ["mine/cpu:0", "hand/cpu:0", "tower/cpu:0"],
        [],
    )


@pytest.mark.parametrize(("paired", "stays"), [(False, False), (True, True), (None, True)])
def test_peers_that_do_not_answer(*, paired: bool | None, stays: bool) -> None:
    """An unpaired peer that does not answer goes, with devices and links; a paired one stays."""
    tower = node("tower", fingerprint=ONE, paired=paired)
    old = Registry(
        nodes=(node("mine"), tower, node("hand")),
        devices=(device("tower"), device("mine")),
        links=(link("mine", "tower"), link("tower", "hand"), link("mine", "hand")),
    )
    nodes, devices, links = merged(old)
    assert ("tower" in nodes, "tower/cpu:0" in devices) == (stays, stays)
    assert links == (["mine>tower", "tower>hand", "mine>hand"] if stays else ["mine>hand"])


def test_hand_written_nodes_are_never_replaced() -> None:
    """A peer with the name of a node that was written by hand gets another; so with this node's."""
    old = Registry(nodes=(node("hand", name="by hand"),), devices=(device("hand"),))
    new = merge_peers(old, FoundPeers((peer("hand", ONE), peer("mine", TWO)), (), {}), "mine")
    assert [one.id for one in new.nodes] == ["hand", "hand-2", "mine-2"]
    assert (new.nodes[0], new.devices[0]) == (old.nodes[0], old.devices[0])
    assert new.devices[1].node == "hand-2"


def test_this_machine_is_no_peer() -> None:
    """This machine's node stays, whatever is written about it."""
    old = Registry(nodes=(node("mine", fingerprint=ONE, paired=False),))
    assert merged(old)[0] == ["mine"]


def test_known_peer_keeps_its_id_and_what_was_measured() -> None:
    """A peer keeps the id it was given here, its links, and what only this registry knows."""
    tower = node("tower-2", fingerprint=ONE, disk_read_bytes_per_s=1e9, paired=False)
    old = Registry(
        nodes=(tower, node("tower", fingerprint=TWO, paired=True)),
        devices=(device("tower-2", backend_note="x"), device("tower")),
        links=(link("tower", "tower-2"),),
    )
    found = FoundPeers((peer("tower", ONE), peer("tower-2", TWO, said_id="tower")), (), {})
    new = merge_peers(old, found, "mine")
    assert [(one.id, one.fingerprint) for one in new.nodes] == [("tower-2", ONE), ("tower", TWO)]
    assert new.nodes[0].disk_read_bytes_per_s == 1e9
    assert new.links == old.links


def test_renamed_peer_takes_its_links_along() -> None:
    """A peer is told by its certificate: under a new name it is the same."""
    old = Registry(
        nodes=(node("mine"), node("tower", fingerprint=ONE, paired=True)),
        devices=(device("tower"),),
        links=(link("mine", "tower"),),
    )
    assert merged(old, peer("studio", ONE, paired=True)) == (
        ["mine", "studio"],
        ["studio/cpu:0"],
        ["mine>studio"],
    )


def test_trusted_peer_has_the_name() -> None:
    """Where a trusted peer and a stranger have one name, the trusted one keeps it."""
    strangers = peer("tower", ONE), peer("tower-2", TWO, paired=True, said_id="tower")
    new = merge_peers(Registry(), FoundPeers(strangers, (), {}), "mine")
    assert {one.id: one.fingerprint for one in new.nodes} == {"tower": TWO, "tower-2": ONE}


NODES = st.builds(
    node,
    st.sampled_from(["a", "b", "c", "a-2", "mine"]),
    fingerprint=st.sampled_from([None, ONE, TWO]),
    paired=st.sampled_from([None, False, True]),
)
PEERS = st.builds(
    peer, st.sampled_from(["a", "b", "mine"]), st.sampled_from([ONE, TWO]), paired=st.booleans()
)


@given(
    st.lists(NODES, unique_by=lambda one: one.id),
    st.lists(PEERS, unique_by=lambda one: one.fingerprint),
)
def test_merging_laws(nodes: list[Node], peers: list[FoundPeer]) -> None:
    """All that answered are in once, by hand stays, and a second merge changes nothing."""
    ids = [one.id for one in nodes]
    old = Registry(
        nodes=tuple(nodes),
        devices=tuple(device(name) for name in ids),
        links=tuple(link(one, other) for one in ids for other in ids if one != other),
    )
    found = FoundPeers(tuple(peers), (), {})
    new = merge_peers(old, found, "mine")
    for one in peers:
        mine = [known.id for known in new.nodes if known.fingerprint == one.fingerprint]
        assert len([name for name in mine if name != "mine"]) == 1
        assert all(known.id != "mine" for known in new.nodes if known not in old.nodes)
    for known in nodes:
        if known.id == "mine" or known.fingerprint is None:
            assert known in new.nodes
    assert merge_peers(new, found, "mine") == new


def test_strangers_stay_where_nobody_listened() -> None:
    """Who was not looked for is not gone."""
    old = Registry(nodes=(node("a", fingerprint=ONE, paired=False),), devices=(device("a"),))
    assert merge_peers(old, FoundPeers((), (), {}, listened=False), "mine") == old
    assert merge_peers(old, FoundPeers((), (), {}), "mine").nodes == ()


def test_trust_that_was_withdrawn() -> None:
    """A peer that is not trusted any more is not paired any more, also while it is away."""
    nodes = (node("a", fingerprint=ONE, paired=True), node("b", fingerprint=TWO, paired=False))
    old = Registry(nodes=nodes, devices=(device("a", paired=True), device("b", paired=False)))
    found = FoundPeers((), (), {}, listened=False, trusted=frozenset({TWO}))
    new = merge_peers(old, found, "mine")
    assert new.unpaired == {"a"}
    assert [one.paired for one in new.devices] == [False, True]
    assert merge_peers(old, found._replace(listened=True), "mine").unpaired == frozenset()
