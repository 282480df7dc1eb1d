"""What a user wants used and what not: names of devices and nodes, turned into devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hgx.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hgx.core.options import PlanOptions
    from hgx.core.registry import Registry


class Wishes(NamedTuple):
    """Wishes as ids of devices.

    Attributes:
        refused: None of them may be used.
        required: Of each set, one must be used.
    """

    refused: frozenset[str]
    required: tuple[frozenset[str], ...]


def read_wishes(registry: Registry, options: PlanOptions) -> Wishes:
    """Look up what the options name.

    Args:
        registry: Nodes and devices.
        options: ``exclude``, ``only`` and ``require`` count.

    Raises:
        RegistryError: A name is of no device and of no node, or what is required is left out too.
    """
    everything = frozenset(device.id for device in registry.devices)
    allowed = _named(registry, options.only) if options.only else everything
    refused = (everything - allowed) | _named(registry, options.exclude)
    required: list[frozenset[str]] = []
    for name in dict.fromkeys(options.require):
        left = _named(registry, (name,)) - refused
        if not left:
            msg = (
                f"{name} is required, and no device of it may be used: change the one or the other"
            )
            raise RegistryError(msg)
        required.append(left)
    return Wishes(refused, tuple(required))


def _named(registry: Registry, names: Iterable[str]) -> frozenset[str]:
    found: set[str] = set()
    nodes = {node.id for node in registry.nodes}
    for name in names:
        devices = {one.id for one in registry.devices if name in (one.id, one.node)}
        if not devices and name not in nodes:
            known = ", ".join(sorted({one.id for one in registry.devices} | nodes)) or "none"
            raise RegistryError(f"no device and no node is named {name!r}; there are: {known}")
        found |= devices
    return frozenset(found)
