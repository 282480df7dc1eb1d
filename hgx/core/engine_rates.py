"""What was measured of a device with the engine itself: the highest rank of evidence."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field

from hgx.core.base import Document, Identifier, Seconds

SecondsPer = Annotated[float, Field(gt=0, le=1)]
"""Seconds per byte or per operation: what takes longer than one is no device."""


class TypeRates(Document):
    """How fast the engine works with weights of one quantisation type.

    Attributes:
        decode_s_per_byte: Seconds per byte of weights that one token reads.
        prefill_s_per_flop: Seconds per operation of the matrix products of a whole micro-batch,
            two per weight and token.
    """

    decode_s_per_byte: SecondsPer
    prefill_s_per_flop: SecondsPer


class EngineRates(Document):
    """How fast the engine is on one device; raw samples are among the device's benchmarks.

    Attributes:
        types: By quantisation type, as ``Q4_K``. What was not measured is taken to be as fast as
            the nearest type by bits per weight.
        decode_layer_s: What a block costs besides, per token.
        prefill_layer_s: What a block costs besides, per micro-batch.
        head_s: What a run costs besides, however many blocks it has; it is paid with the output
            head. As a block where null.
        stage_s: What a stage over the wire costs per run, beside round trip and bytes.
        worker_types: As ``types``, for the device behind an rpc server: what the engine repacks
            for a CPU of its own is not repacked there. As ``types`` where not measured.
        worker_decode_layer_s: As ``decode_layer_s``, likewise.
        decode_attention_s_per_flop: Seconds per operation of looking back on the context, one
            token at a time, what is read for it included; null where not measured.
        prefill_attention_s_per_flop: The same in a micro-batch.
        engine: Name and build of the engine.
        measured_at: When.
    """

    types: Annotated[dict[Identifier, TypeRates], Field(max_length=64)] = Field(
        default_factory=dict
    )
    decode_layer_s: Seconds
    prefill_layer_s: Seconds
    head_s: Seconds | None = None
    stage_s: Seconds = 0.0
    worker_types: Annotated[dict[Identifier, TypeRates], Field(max_length=64)] = Field(
        default_factory=dict
    )
    worker_decode_layer_s: Seconds | None = None
    decode_attention_s_per_flop: SecondsPer | None = None
    prefill_attention_s_per_flop: SecondsPer | None = None
    engine: str | None = None
    measured_at: AwareDatetime | None = None
