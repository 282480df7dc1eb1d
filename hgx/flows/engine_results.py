"""Benchmarks of the engine into the registry: which of them make up a device's engine rates.

``hgx.bench.engine_names`` says what they are called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgx.bench import engine_names as names
from hgx.core.engine_rates import EngineRates, TypeRates
from hgx.core.registry import Device
from hgx.flows.results import accepted, rounded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hgx.core.benchmark import Benchmark


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
    if {names.DECODE + names.LAYER, names.PREFILL + names.LAYER} <= benchmarks.keys():
        fields["engine"] = _rates(benchmarks, engine)
    return Device.model_validate(fields)


def _rates(benchmarks: Mapping[str, Benchmark], engine: str) -> EngineRates:
    def seconds(name: str) -> float | None:
        return rounded(benchmarks[name].median) if name in benchmarks else None

    def seconds_per(name: str) -> float | None:
        return rounded(1 / benchmarks[name].median) if name in benchmarks else None

    return EngineRates(
        types=_types(benchmarks, names.DECODE, names.PREFILL),
        decode_layer_s=seconds(names.DECODE + names.LAYER) or 0.0,
        prefill_layer_s=seconds(names.PREFILL + names.LAYER) or 0.0,
        head_s=seconds(names.HEAD),
        stage_s=seconds(names.STAGE) or 0.0,
        worker_types=_types(benchmarks, names.WORKER_DECODE, names.WORKER_PREFILL),
        worker_decode_layer_s=seconds(names.WORKER_DECODE + names.LAYER),
        decode_attention_s_per_flop=seconds_per(names.DECODE + names.ATTENTION),
        prefill_attention_s_per_flop=seconds_per(names.PREFILL + names.ATTENTION),
        engine=engine,
        measured_at=max(
            one.measured_at for name, one in benchmarks.items() if name.startswith("engine_")
        ),
    )


def _types(benchmarks: Mapping[str, Benchmark], decode: str, prefill: str) -> dict[str, TypeRates]:
    """Rates of every type that was measured both ways."""
    kinds = {name.removeprefix(decode) for name in benchmarks if name.startswith(decode)}
    return {
        kind: TypeRates(
            decode_s_per_byte=rounded(1 / benchmarks[decode + kind].median),
            prefill_s_per_flop=rounded(1 / benchmarks[prefill + kind].median),
        )
        for kind in sorted(kinds - {names.LAYER, names.ATTENTION})
        if prefill + kind in benchmarks
    }
