"""Benchmarks of the engine into the registry: which of them make up a device's engine rates.

Their names are ``engine_decode_TYPE`` (bytes of weights per second, one token at a time),
``engine_prefill_TYPE`` (operations per second in a whole micro-batch), and in seconds
``engine_decode_layer`` and ``engine_prefill_layer`` (what a block costs besides), ``engine_head``
(what a run costs besides) and ``engine_stage`` (what a stage over the wire costs besides).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgx.core.engine_rates import EngineRates, TypeRates
from hgx.core.registry import Device
from hgx.flows.results import accepted, rounded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hgx.core.benchmark import Benchmark

DECODE, PREFILL = "engine_decode_", "engine_prefill_"
DECODE_LAYER, PREFILL_LAYER = "engine_decode_layer", "engine_prefill_layer"
HEAD, STAGE = "engine_head", "engine_stage"


def with_engine(device: Device, results: Iterable[Benchmark], *, engine: str) -> Device:
    """Return the device with new results of the engine, and the rates that follow from all of them.

    A noisy result does not take the place of a clean one of the last 30 days. Rates follow as soon
    as both costs of a block are known, and of every type that was measured both ways.

    Args:
        device: As it is known.
        results: What was measured, refused results left out.
        engine: Name and build of the engine.
    """
    benchmarks = {**device.benchmarks, **accepted(device.benchmarks, results)}
    fields = device.model_dump(exclude_unset=True) | {"benchmarks": benchmarks}
    if {DECODE_LAYER, PREFILL_LAYER} <= benchmarks.keys():
        fields["engine"] = _rates(benchmarks, engine)
    return Device.model_validate(fields)


def _rates(benchmarks: Mapping[str, Benchmark], engine: str) -> EngineRates:
    def seconds(name: str) -> float | None:
        return rounded(benchmarks[name].median) if name in benchmarks else None

    types = {name.removeprefix(DECODE) for name in benchmarks if name.startswith(DECODE)}
    return EngineRates(
        types={
            kind: TypeRates(
                decode_s_per_byte=rounded(1 / benchmarks[DECODE + kind].median),
                prefill_s_per_flop=rounded(1 / benchmarks[PREFILL + kind].median),
            )
            for kind in sorted(types - {"layer"})
            if PREFILL + kind in benchmarks
        },
        decode_layer_s=seconds(DECODE_LAYER) or 0.0,
        prefill_layer_s=seconds(PREFILL_LAYER) or 0.0,
        head_s=seconds(HEAD),
        stage_s=seconds(STAGE) or 0.0,
        engine=engine,
        measured_at=max(
            one.measured_at for name, one in benchmarks.items() if name.startswith("engine_")
        ),
    )
