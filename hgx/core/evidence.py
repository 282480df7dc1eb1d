"""Where a device's rates come from: the one reader of ``Device.evidence``.

Evidence is an object with an entry per field, or one rank for all of them; an entry is an object
with a ``rank``, or the rank alone. People write it by hand, so anything else counts as nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

from hgx.core.registry import EvidenceRank

if TYPE_CHECKING:
    from pydantic import JsonValue

    from hgx.core.registry import Device

BANDWIDTH: Final = "memory_bandwidth_bytes_per_s"
COMPUTE: Final = "compute_flops_per_s"
RATES: Final = (BANDWIDTH, COMPUTE)
"""Fields of a device that evidence speaks of."""

RANKS: Final[tuple[EvidenceRank, ...]] = get_args(EvidenceRank)
"""All ranks, the best first."""

MEASURED: Final = frozenset({"engine", "driver"})
"""Ranks that come from measuring the very device."""


def evidence_entries(device: Device) -> dict[str, JsonValue]:
    """Return the entries per field; none where there is one rank for all, or nothing usable."""
    return dict(device.evidence) if isinstance(device.evidence, dict) else {}


def rank_of(device: Device, field: str) -> EvidenceRank | None:
    """Return how one rate is known, or null where nothing usable is said.

    Args:
        device: The device.
        field: One of ``RATES``.
    """
    said = device.evidence
    entry = said.get(field) if isinstance(said, dict) else said
    rank = entry.get("rank") if isinstance(entry, dict) else entry
    return rank if rank in RANKS else None


def lowest_rank(device: Device) -> EvidenceRank | None:
    """Return the lowest rank among the rates a plan rests on, or null where none has one."""
    if device.engine and device.engine.types:
        return "engine"
    ranks: list[EvidenceRank] = [rank for field in RATES if (rank := rank_of(device, field))]
    return max(ranks, key=RANKS.index, default=None)


def measured(device: Device) -> bool:
    """Tell whether both rates were measured on the device itself, and can be relied on."""
    return all(rank_of(device, field) in MEASURED and not noisy(device, field) for field in RATES)


def noisy(device: Device, field: str) -> bool:
    """Tell whether a rate was measured while something spoilt it, such as other programs."""
    entry = evidence_entries(device).get(field)
    return isinstance(entry, dict) and entry.get("noisy") is True
