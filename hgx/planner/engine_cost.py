"""How fast the engine is with every quantisation type on a device, as it was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hgx.gguf.quant import by_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hgx.core.engine_rates import EngineRates
    from hgx.core.registry import Device

    Floats = NDArray[np.float64]


def as_worker(device: Device) -> Device:
    """Return a device with the rates that hold for it behind an rpc server, where it has others."""
    engine = device.engine
    if engine is None or not engine.worker_types:
        return device
    layer_s = engine.worker_decode_layer_s
    rates: dict[str, object] = {"types": {**engine.types, **engine.worker_types}}
    if layer_s is not None:
        rates["decode_layer_s"] = layer_s
    return device.model_copy(update={"engine": engine.model_copy(update=rates)})


def stand_ins(engine: EngineRates, name: str) -> tuple[str, ...]:
    """Name the measured types that stand for a type.

    Args:
        engine: What was measured.
        name: A type, as ``Q4_K``.

    Returns:
        The type itself where it was measured, else the nearest by bits per weight, of which there
        may be several; nothing where no type that hgx knows was measured.
    """
    if name in engine.types:
        return (name,)
    bits = _bits(name)
    distances = {
        other: abs(other_bits - bits)
        for other in sorted(engine.types)
        if bits is not None and (other_bits := _bits(other)) is not None
    }
    least = min(distances.values(), default=0.0)
    return tuple(other for other, distance in distances.items() if distance == least)


def type_rates(engine: EngineRates, names: Sequence[str]) -> tuple[Floats, Floats] | None:
    """Look up the rates of types; of several that stand for one, the slowest.

    Args:
        engine: What was measured.
        names: Types.

    Returns:
        Seconds per byte to decode, and seconds per operation to prefill, both of shape
        ``(types,)``; null where no type was measured.
    """
    found = [[engine.types[other] for other in stand_ins(engine, name)] for name in names]
    if not all(found):
        return None
    return (
        np.array([max(rates.decode_s_per_byte for rates in some) for some in found]),
        np.array([max(rates.prefill_s_per_flop for rates in some) for some in found]),
    )


def _bits(name: str) -> float | None:
    """Bits per weight, or null for a type that hgx does not know."""
    try:
        kind = by_name(name)
    except KeyError:
        return None
    return 8 * kind.block_bytes / kind.block
