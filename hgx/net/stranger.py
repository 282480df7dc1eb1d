"""What is kept of what a stranger says: it ends up on terminals and in the registry.

Whatever a peer answers, only fields that hgx needs of it stay, each of bounded size.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pydantic import ValidationError

from hgx.core.engine_rates import EngineRates, TypeRates
from hgx.core.evidence import RANKS, RATES
from hgx.core.reading import Battery
from hgx.core.thermal import ThermalParameters

if TYPE_CHECKING:
    from pydantic import JsonValue

    from hgx.core.base import Document

_DEEPEST = 16
_LONGEST_TEXT = 128
_LONGEST_TIME = 40

NODE_FIELDS = {
    "id", "name", "os", "arch", "ram_total_bytes", "ram_free_bytes", "disk_read_bytes_per_s",
    "battery",
}  # fmt: skip
"""What a node tells of itself, and all that is heeded."""

DEVICE_FIELDS = {
    "id", "node", "backend", "name", "memory_total_bytes", "memory_free_bytes", "unified_memory",
    *RATES, "temperature_c", "temperature_limit_c", "fallback", "evidence",
    "engine", "thermal",
}  # fmt: skip
"""What a node tells of a device, and all that is heeded."""

_THERMAL_FIELDS = {
    "stages": {"__all__": {"resistance_k_per_w", "tau_s"}},
    "powers": {"__all__": {"kind", "power_w", "samples"}},
    **dict.fromkeys(("ambient_c", "highest_power_w"), True),
    **dict.fromkeys(("rmse_c", "samples", "duration_s", "fitted_at"), True),
}
"""What a plan uses of a device's heat, and how well it is known."""

_RATE = (1e3, 1e18)
_TEMPERATURE = (-100.0, 300.0)
_PLAUSIBLE = {
    **dict.fromkeys(("disk_read_bytes_per_s", *RATES), _RATE),
    **dict.fromkeys(("temperature_c", "temperature_limit_c"), _TEMPERATURE),
}
"""The least and the most that any machine a person owns reaches, with much to spare."""

_FREE_OF_TOTAL = {"ram_free_bytes": "ram_total_bytes", "memory_free_bytes": "memory_total_bytes"}


def read_json(text: bytes) -> JsonValue:
    """Read JSON, with control characters as escapes and overlong texts cut.

    Raises:
        ValueError: It is none, or has a number that no machine can be described by.
        RecursionError: It is nested too deeply.
    """
    return _tidy(json.loads(text, parse_constant=_no_number), _DEEPEST)


def known_of_node(node: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Leave only what a node may say of itself, what cannot be so as null; the rest is unchecked.

    Args:
        node: As ``hgx.core.registry.Node``, if its peer is honest.
    """
    known = {key: value for key, value in node.items() if key in NODE_FIELDS}
    if "battery" in known:
        known["battery"] = _known_battery(known["battery"])
    return _plausible(known)


def known_of_device(device: JsonValue) -> JsonValue:
    """Leave only what a node may say of a device, what cannot be so as null.

    A rate is required, so that one that cannot be makes the description a wrong one.

    Args:
        device: As ``hgx.core.registry.Device``, if its peer is honest.
    """
    if not isinstance(device, dict):
        return device
    known = {key: value for key, value in device.items() if key in DEVICE_FIELDS}
    if "evidence" in known:
        known["evidence"] = known_evidence(known["evidence"])
    if "engine" in known:
        known["engine"] = known_engine(known["engine"])
    if "thermal" in known:
        known["thermal"] = known_thermal(known["thermal"])
    return _plausible(known)


def known_evidence(evidence: JsonValue) -> dict[str, JsonValue]:
    """Leave of evidence how well each rate is known, since when, and whether it is noisy."""
    entries = evidence if isinstance(evidence, dict) else dict.fromkeys(RATES, evidence)
    return {name: kept for name in RATES if (kept := _rank(entries.get(name)))}


def known_engine(rates: JsonValue) -> JsonValue:
    """Leave of what was measured with the engine what a plan uses; null where it cannot be so."""
    if not isinstance(rates, dict):
        return None
    known = _only(rates, EngineRates)
    for field in ("types", "worker_types"):
        if isinstance(types := known.get(field), dict):
            known[field] = {
                name: _only(entry, TypeRates)
                for name, entry in types.items()
                if isinstance(entry, dict)
            }
    return known if _describes(EngineRates, known) else None


def known_thermal(said: JsonValue) -> JsonValue:
    """Leave of what was learnt of a device's heat what a plan uses; null where it cannot be so.

    Of all activities of a kind the one that draws most stays: with that a plan counts.
    """
    try:
        heat = ThermalParameters.model_validate_json(json.dumps(said))
    except ValidationError:
        return None
    most = {one.kind: one for one in sorted(heat.powers, key=lambda one: one.power_w)}
    short = heat.model_copy(update={"powers": tuple(most.values())})
    return short.model_dump(mode="json", exclude_none=True, include=_THERMAL_FIELDS)


def _known_battery(said: JsonValue) -> JsonValue:
    """Leave of a battery what a plan uses; null where it cannot be so."""
    if not isinstance(said, dict):
        return None
    known = _only(said, Battery)
    return known if _describes(Battery, known) else None


def _describes(document: type[Document], said: dict[str, JsonValue]) -> bool:
    try:
        document.model_validate_json(json.dumps(said))
    except ValidationError:
        return False
    return True


def _only(said: dict[str, JsonValue], document: type[Document]) -> dict[str, JsonValue]:
    return {name: said[name] for name in document.model_fields if name in said}


def _plausible(known: dict[str, JsonValue]) -> dict[str, JsonValue]:
    wrong = {
        name
        for name, (least, most) in _PLAUSIBLE.items()
        if isinstance(value := known.get(name), int | float) and not least <= value <= most
    }
    wrong |= {
        name
        for name, total in _FREE_OF_TOTAL.items()
        if isinstance(free := known.get(name), int | float)
        and isinstance(all_ := known.get(total), int | float)
        and free > all_
    }
    return known | dict.fromkeys(wrong)


def _rank(entry: JsonValue) -> dict[str, JsonValue]:
    said = entry if isinstance(entry, dict) else {"rank": entry}
    if said.get("rank") not in RANKS:
        return {}
    kept: dict[str, JsonValue] = {"rank": said["rank"]}
    at = said.get("measured_at")
    if isinstance(at, str) and len(at) <= _LONGEST_TIME:
        kept["measured_at"] = at
    if said.get("noisy") is True:
        kept["noisy"] = True
    return kept


def _tidy(value: JsonValue, depth: int) -> JsonValue:
    too_large = isinstance(value, int | float) and not abs(value) < 1 << 63  # NaN is too
    if depth == 0 or too_large:
        msg = "nested too deeply, or a number too large"
        raise ValueError(msg)
    match value:
        case str():
            return _tidy_text(value)
        case dict():
            return {_tidy_text(key): _tidy(entry, depth - 1) for key, entry in value.items()}
        case list():
            return [_tidy(entry, depth - 1) for entry in value]
        case _:
            return value


def _tidy_text(text: str) -> str:
    shown = text if text.isprintable() else ascii(text)[1:-1]
    return shown[:_LONGEST_TEXT]


def _no_number(text: str) -> None:
    raise ValueError(text)
