"""Benchmarks of the engine into the registry."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hgx.flows.engine_results import with_engine
from hgx.flows.merge import refresh
from hgx.flows.results import with_benchmarks
from tests.bench.doubles import NOON, benchmark
from tests.planner.made import device

BLOCKS = [benchmark("engine_decode_layer", (2e-5,)), benchmark("engine_prefill_layer", (1e-4,))]
Q4_K = [
    benchmark("engine_decode_Q4_K", (2e10,), measured_at=NOON + timedelta(hours=1)),
    benchmark("engine_prefill_Q4_K", (4e11,)),
]
CARD = device("a/cuda:0")


def test_rates_follow_from_benchmarks() -> None:
    """Medians become seconds per byte and operation; samples stay as they were taken."""
    rest = [benchmark("engine_head", (5e-4,)), benchmark("engine_stage", (3e-4,))]
    found = with_engine(CARD, [*BLOCKS, *Q4_K, *rest], engine="llama.cpp 1")
    assert found.engine
    assert found.engine.model_dump() == {
        "types": {"Q4_K": {"decode_s_per_byte": 5e-11, "prefill_s_per_flop": 2.5e-12}},
        "decode_layer_s": 2e-5,
        "prefill_layer_s": 1e-4,
        "head_s": 5e-4,
        "stage_s": 3e-4,
        "worker_types": {},
        "worker_decode_layer_s": None,
        "decode_attention_s_per_flop": None,
        "prefill_attention_s_per_flop": None,
        "engine": "llama.cpp 1",
        "measured_at": NOON + timedelta(hours=1),
    }
    assert found.benchmarks["engine_decode_Q4_K"] == Q4_K[0]
    assert found.memory_bandwidth_bytes_per_s == CARD.memory_bandwidth_bytes_per_s


def test_rates_of_a_worker_and_of_attention() -> None:
    """What was measured behind an rpc server is apart, and looking back is no type."""
    more = [
        benchmark("engine_worker_decode_layer", (3e-5,)),
        benchmark("engine_worker_decode_Q4_K", (1e10,)),
        benchmark("engine_worker_prefill_Q4_K", (2e11,)),
        benchmark("engine_decode_attention", (1e10,)),
        benchmark("engine_prefill_attention", (1e11,)),
    ]
    found = with_engine(CARD, [*BLOCKS, *Q4_K, *more], engine="llama.cpp 1").engine
    assert found
    assert list(found.types) == list(found.worker_types) == ["Q4_K"]
    assert found.worker_types["Q4_K"].decode_s_per_byte == 1e-10
    assert found.worker_types["Q4_K"].prefill_s_per_flop == 5e-12
    assert found.worker_decode_layer_s == 3e-5
    assert found.decode_attention_s_per_flop == 1e-10
    assert found.prefill_attention_s_per_flop == 1e-11


def test_results_add_up() -> None:
    """What was measured before stays when another type is measured, in any order."""
    first = with_engine(CARD, Q4_K, engine="llama.cpp 1")
    assert first.engine is None  # what a block costs besides is not known yet
    more = [benchmark("engine_decode_F16", (1e10,)), benchmark("engine_prefill_F16", (1e11,))]
    found = with_engine(with_engine(first, BLOCKS, engine="1"), more, engine="2").engine
    assert found
    assert list(found.types) == ["F16", "Q4_K"]
    assert (found.head_s, found.stage_s) == (None, 0.0)


def test_half_a_type_is_none() -> None:
    """A type that was measured one way only is left out."""
    found = with_engine(CARD, [*BLOCKS, Q4_K[0]], engine="llama.cpp 1").engine
    assert found
    assert found.types == {}


def test_noise_does_not_replace_what_is_clean() -> None:
    """A noisy result leaves the rates as they were."""
    clean = with_engine(CARD, [*BLOCKS, *Q4_K], engine="llama.cpp 1")
    noise = benchmark("engine_decode_Q4_K", (1e9,), noisy=True)
    again = with_engine(clean, [noise], engine="llama.cpp 1")
    assert again.engine
    assert again.engine.types["Q4_K"].decode_s_per_byte == pytest.approx(5e-11)


def test_other_results_leave_it_alone() -> None:
    """Measuring or finding the device again keeps what the engine said of it."""
    measured = with_engine(CARD, [*BLOCKS, *Q4_K], engine="llama.cpp 1")
    assert with_benchmarks(measured, [benchmark("read")]).engine == measured.engine
    assert refresh(measured, CARD).engine == measured.engine
