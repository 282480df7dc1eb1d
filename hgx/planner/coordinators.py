"""Which nodes may be the coordinator, the most promising first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgx.errors import RegistryError
from hgx.planner.scores import WEIGHTS, score_devices

if TYPE_CHECKING:
    from hgx.core.registry import Registry
    from hgx.planner.problem import Question


def rank_coordinators(question: Question, this_node: str | None) -> list[str]:
    """List the nodes that may be the coordinator, most promising first.

    Args:
        question: Its options may name one.
        this_node: Id of the machine that asks; it is the one where the registry knows it.

    Raises:
        RegistryError: There are none, or the options name one that is not there.
    """
    registry, workload, options, _ = question
    known = [node.id for node in registry.nodes]
    listed = ", ".join(known) or "none"
    if options.coordinator is not None:
        if options.coordinator not in known:
            raise RegistryError(
                f"coordinator {options.coordinator!r} is not in the registry; there are: {listed}"
            )
        return [options.coordinator]
    if this_node in known:
        return [this_node]
    if not known:
        raise RegistryError("the registry has no nodes: run 'hgx discover' first")
    reachable = _reachable_bytes(registry)
    best = dict.fromkeys(known, 0.0)
    node_of = {device.id: device.node for device in registry.devices}
    for score in score_devices(registry, known[0], workload.n_embd):
        # Without its share for the network, which depends on the very choice to be made.
        own = score.total - WEIGHTS["network"] * score.network
        best[node_of[score.device]] = max(best[node_of[score.device]], own)
    enough = {node: size >= workload.file_bytes for node, size in reachable.items()}
    return sorted(known, key=lambda node: (not enough[node], -best[node], node))


def _reachable_bytes(registry: Registry) -> dict[str, int]:
    """Memory of all devices that each node has, or has a link to."""
    own = {node.id: 0 for node in registry.nodes}
    for device in registry.devices:
        own[device.node] += device.usable_bytes
    pairs = {frozenset((link.source, link.target)) for link in registry.links}
    reachable = dict(own)
    for one, other in (pair for pair in pairs if len(pair) == 2):
        reachable[one] += own[other]
        reachable[other] += own[one]
    return reachable
