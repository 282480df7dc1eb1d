"""Ids of peers: unlike its certificate, a peer's name can be anybody's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hgx.core.registry import Device, Node


class FreeIds:
    """Gives ids to nodes, each once.

    Args:
        taken: Ids that are somebody's already.
    """

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)

    def take(self, wanted: str, before: str | None = None) -> str:
        """Return the id that was wanted, or ``WANTED-2`` and so on where it is taken.

        Args:
            wanted: What the node calls itself.
            before: What it was called here so far, which is kept if it is still free.
        """
        node_id, number = wanted, 1
        if before and stands_for(before, wanted) and before not in self._taken:
            node_id = before
        while node_id in self._taken:
            number += 1
            node_id = f"{wanted[:56]}-{number}"
        self._taken.add(node_id)
        return node_id


def stands_for(node_id: str, said_id: str) -> bool:
    """Tell whether an id is what a node of that own id would be given here."""
    return node_id == said_id or bool(re.fullmatch(re.escape(said_id[:56]) + r"-[0-9]+", node_id))


def renamed(node: Node, devices: Iterable[Device], node_id: str) -> tuple[Node, tuple[Device, ...]]:
    """Give a node another id, and its devices with it."""
    return node.model_copy(update={"id": node_id}), tuple(
        device.model_copy(
            update={"id": f"{node_id}/{device.id.partition('/')[2]}", "node": node_id}
        )
        for device in devices
    )
