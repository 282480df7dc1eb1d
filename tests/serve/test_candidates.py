"""Who can take part in running a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from hgx.core.registry import Device, Link, Node, Registry
from hgx.engine.base import EngineDevice
from hgx.engine.hello import Protocol
from hgx.errors import RegistryError
from hgx.serve.team import Here
from hgx.serve.together import candidates

if TYPE_CHECKING:
    from hgx.engine.binaries import Toolkit
    from hgx.net.identity import Identity

CPU = EngineDevice(name="CPU", description="", kind="cpu")
FAR = {"paired": True, "fingerprint": "ab" * 32, "address": "10.0.0.2:9474"}


def here(protocol: Protocol | None = Protocol(7, 0, 0)) -> Here:  # noqa: B008 - it never changes
    """This node is ``a``."""
    nobody = cast("Identity", None)
    return Here("a", nobody, cast("Toolkit", None), (CPU,), protocol, 1, Path())


def device(name: str) -> Device:
    """Make a device of that id."""
    node, _, rest = name.partition("/")
    return Device(
        id=name,
        node=node,
        backend=rest.partition(":")[0],
        memory_total_bytes=8,
        memory_bandwidth_bytes_per_s=1.0,
        compute_flops_per_s=1.0,
    )


def link(source: str, target: str) -> Link:
    """Make a link."""
    fields = {"from": source, "to": target, "rtt_s": 1e-4, "bandwidth_bytes_per_s": 1e9}
    return Link.model_validate(fields)


REGISTRY = Registry(
    nodes=(
        Node(id="a"),
        Node.model_validate({"id": "b", **FAR}),
        Node.model_validate({"id": "strange", **FAR, "paired": False}),
        Node(id="by-hand"),
    ),
    devices=tuple(
        device(name)
        for name in ("a/cpu:0", "a/cuda:0", "b/cpu:0", "strange/cpu:0", "by-hand/cpu:0")
    ),
    links=(link("a", "b"), link("b", "by-hand")),
)


def test_who_can() -> None:
    """This machine's devices that llama.cpp has, and those of paired peers with an address."""
    found = candidates(REGISTRY, here())
    assert [one.id for one in found.registry.devices] == ["a/cpu:0", "b/cpu:0"]
    assert [node.id for node in found.registry.nodes] == ["a", "b"]
    assert [(one.source, one.target) for one in found.registry.links] == [("a", "b")]
    cards, by_hand = found.left_out
    assert cards.startswith("a/cuda:0 (cuda) is left out: llama.cpp here has no such device")
    assert by_hand.startswith("by-hand is left out: it was not found as a paired node")


def test_without_rpc() -> None:
    """A llama.cpp that cannot speak with workers has none."""
    found = candidates(REGISTRY, here(None))
    assert [one.id for one in found.registry.devices] == ["a/cpu:0"]


def test_nobody_can() -> None:
    """A registry of which nothing can be used is an error with its remedy."""
    alone = Registry(nodes=(Node(id="a"),), devices=(device("a/cuda:0"),))
    with pytest.raises(RegistryError, match=r"\(a\) can use: run hgx discover"):
        candidates(alone, here())
