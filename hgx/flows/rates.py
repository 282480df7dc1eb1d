"""A device's rates per second, each with where it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hgx.core.evidence import BANDWIDTH, COMPUTE
from hgx.core.registry import Device

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from pydantic import JsonValue

    from hgx.core.registry import EvidenceRank


class Rate(NamedTuple):
    """A rate per second and where it comes from."""

    value: float
    rank: EvidenceRank
    source: str


# Less than any card of the last ten years does, so that a plan is never built on hope.
ASSUMED: Mapping[str, Rate] = {
    BANDWIDTH: Rate(50e9, "default", "assumed: 50 GB/s, because nothing tells it"),
    COMPUTE: Rate(500e9, "default", "assumed: 500 GFLOP/s, because nothing tells it"),
}


def device_with_rates(
    device_id: str,
    facts: Mapping[str, JsonValue],
    rates: Mapping[str, Rate],
    seen_at: datetime,
) -> Device:
    """Put a device together.

    Args:
        device_id: NODE/BACKEND:INDEX.
        facts: Its fields that need no evidence; null where unknown.
        rates: By field; what is not told is assumed.
        seen_at: When.
    """
    node, _, name = device_id.partition("/")
    known = {**ASSUMED, **rates}
    evidence: dict[str, JsonValue] = {
        field: {
            "rank": rate.rank,
            "source": rate.source,
            "measured_at": seen_at.isoformat(timespec="seconds"),
        }
        for field, rate in known.items()
    }
    identity = {"id": device_id, "node": node, "backend": name.partition(":")[0]}
    values = {field: rate.value for field, rate in known.items()}
    return Device.model_validate({**identity, **facts, **values, "evidence": evidence})
