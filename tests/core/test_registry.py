"""The registry document: links, usable memory, consistency."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from hgx.core.registry import Device, Registry


def device(total: int, free: int | None) -> Device:
    """Make a device with so much memory."""
    return Device(
        id="a/cpu:0",
        node="a",
        backend="cpu",
        memory_total_bytes=total,
        memory_free_bytes=free,
        memory_bandwidth_bytes_per_s=1.0,
        compute_flops_per_s=1.0,
    )


@pytest.mark.parametrize(
    ("total", "free", "usable"), [(8, None, 8), (8, 3, 3), (8, 9, 8), (8, 0, 0)]
)
def test_usable_memory(total: int, free: int | None, usable: int) -> None:
    """Usable is what is free, never more than there is, and all of it where that is unknown."""
    assert device(total, free).usable_bytes == usable


def test_document_is_frozen() -> None:
    """A registry cannot be changed in place."""
    with pytest.raises(ValidationError, match="frozen"):
        Registry().nodes = ()  # pyright: ignore[reportAttributeAccessIssue] - the point


@pytest.mark.parametrize(
    "node",
    [
        '{"id": "a"}',
        '{"id": "a", "battery": null}',
        '{"id": "a", "battery": {"charge": 0.5, "full_wh": 50.0, "cells": 4}}',
    ],
)
def test_batteries_of_other_versions(node: str) -> None:
    """A node may say nothing of a battery, or more than is known here: what is there is kept."""
    text = f'{{"nodes": [{node}]}}'
    kept = Registry.model_validate_json(text).model_dump(mode="json", exclude_unset=True)
    assert kept == json.loads(text)


def test_what_is_not_paired_goes_with_all_that_is_its_own() -> None:
    """Nodes that are not paired, their devices and links are no part of what may be used."""
    text = """{
      "nodes": [{"id": "a"}, {"id": "b", "paired": false}, {"id": "c", "paired": true}],
      "devices": [{"id": "b/cpu:0", "node": "b", "backend": "cpu", "memory_total_bytes": 1,
        "memory_bandwidth_bytes_per_s": 1, "compute_flops_per_s": 1}],
      "links": [{"from": "a", "to": "b", "rtt_s": 1, "bandwidth_bytes_per_s": 1},
        {"from": "a", "to": "c", "rtt_s": 1, "bandwidth_bytes_per_s": 1}]
    }"""
    registry = Registry.model_validate_json(text)
    assert registry.unpaired == {"b"}
    usable = registry.usable()
    assert [node.id for node in usable.nodes] == ["a", "c"]
    assert usable.devices == ()
    assert [link.target for link in usable.links] == ["c"]
    assert usable.usable() is usable
