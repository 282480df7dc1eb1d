"""What the benchmarks of the engine are called.

``engine_decode_TYPE`` is in bytes of weights per second, one token at a time, and
``engine_prefill_TYPE`` in operations per second, in a whole micro-batch. ``engine_decode_layer``
and ``engine_prefill_layer`` are seconds that a block costs besides, ``engine_head`` what a run
costs besides, ``engine_stage`` what a stage over the wire costs besides.
``engine_decode_attention`` and ``engine_prefill_attention`` are operations per second of looking
back on the context. With ``worker`` after ``engine`` they are of the device behind an rpc server.
"""

from __future__ import annotations

from typing import Final

DECODE: Final = "engine_decode_"
PREFILL: Final = "engine_prefill_"
WORKER_DECODE: Final = "engine_worker_decode_"
WORKER_PREFILL: Final = "engine_worker_prefill_"
LAYER: Final = "layer"
ATTENTION: Final = "attention"
HEAD: Final = "engine_head"
STAGE: Final = "engine_stage"
