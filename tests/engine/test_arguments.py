"""From a plan to what the engine is told."""

from __future__ import annotations

import os
from itertools import accumulate

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.core.options import PlanOptions
from hgx.engine.arguments import Layers, default_threads, engine_spec, layer_split
from hgx.engine.base import EngineDevice
from hgx.engine.chat import PLAIN_STOP, PLAIN_TEMPLATE
from hgx.errors import EngineError
from tests.engine.plans import plan_of, registry_of, workload_of

_REGISTRY = registry_of("cpu:0", "cuda:0", "cuda:1", "cuda:2")
_ENGINE = [
    *(
        EngineDevice(name=f"CUDA{index}", description="", kind="gpu", memory_total_bytes=8)
        for index in range(3)
    ),
    EngineDevice(name="CPU", description="", kind="cpu", memory_total_bytes=8),
]


def _llama_cpp_places(n_block: int, layers: Layers) -> list[str]:
    """Where llama.cpp puts each layer, the output head last (a model of its rule)."""
    first = max(n_block + 1 - layers.gpu_layers, 0)
    total = sum(layers.tensor_split)
    shares = [share / total for share in accumulate(layers.tensor_split)]
    places: list[str] = []
    for layer in range(n_block + 1):
        if layer < first:
            places.append("cpu:0")
            continue
        at = (layer - first) / min(layers.gpu_layers, n_block + 1)
        card = next(index for index, share in enumerate(shares) if share > at)
        places.append(f"cuda:{card}")
    return places


@given(
    st.integers(0, 80),
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(1, 60)), max_size=3, unique_by=lambda t: t[0]
    ),
)
def test_llama_cpp_puts_layers_where_the_plan_does(
    on_cpu: int, on_cards: list[tuple[int, int]]
) -> None:
    """Under llama.cpp's rule, every layer and the output head land on the plan's device."""
    stages = [(f"cuda:{card}", count) for card, count in sorted(on_cards)]
    if on_cpu or not stages:
        stages.insert(0, ("cpu:0", max(on_cpu, 1)))
    plan = plan_of(*stages)
    expected = [device for device, count in stages for _ in range(count)] + [stages[-1][0]]
    places = _llama_cpp_places(plan.model.n_block, layer_split(plan, _REGISTRY, _ENGINE))
    assert places == expected


def test_all_on_the_cpu() -> None:
    """Nothing is offloaded when all stages are on the CPU."""
    assert layer_split(plan_of(("cpu:0", 5)), _REGISTRY, _ENGINE) == Layers(0, ())


def test_an_order_the_engine_does_not_have() -> None:
    """A CPU behind a card, or cards in another order than the engine's, is refused by name."""
    for stages in ((("cuda:0", 1), ("cpu:0", 1)), (("cuda:1", 1), ("cuda:0", 1))):
        with pytest.raises(EngineError, match=f"n/{stages[1][0]} behind CUDA"):
            layer_split(plan_of(*stages), _REGISTRY, _ENGINE)


def test_a_device_the_engine_does_not_have() -> None:
    """A stage on a card the engine lacks is refused by name."""
    with pytest.raises(EngineError, match="no device for n/cuda:0"):
        layer_split(plan_of(("cuda:0", 1)), _REGISTRY, _ENGINE[-1:])


def test_a_spec_carries_the_options() -> None:
    """Context, conversations, KV type and threads reach the spec; a template stays the model's."""
    options = PlanOptions(ctx=100, parallel=2, kv_type="q8_0")
    workload = workload_of(chat_template=True)
    plan = plan_of(("cuda:0", 2))
    spec = engine_spec(plan, workload, options, _REGISTRY, _ENGINE, alias="m", threads=3)
    assert (spec.ctx, spec.parallel, spec.kv_type, spec.threads) == (100, 2, "q8_0", 3)
    assert (spec.gpu_layers, spec.tensor_split) == (3, (3, 0, 0))
    assert (spec.chat_template, spec.stop) == (None, ())


def test_a_model_without_a_template_gets_a_plain_one() -> None:
    """A base model answers questions in plain words rather than in ChatML it never saw."""
    workload = workload_of(chat_template=False)
    plan = plan_of(("cpu:0", 2))
    spec = engine_spec(plan, workload, PlanOptions(), _REGISTRY, _ENGINE, alias="m")
    assert (spec.chat_template, spec.stop) == (PLAIN_TEMPLATE, PLAIN_STOP)
    assert spec.threads == default_threads()


def test_threads_are_physical_cores_within_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default is the physical cores, but no more than this process may use, and at least 1."""

    def cores(*, logical: bool) -> int:
        assert not logical
        return 8

    def allowed(_: int) -> set[int]:
        return {0, 1, 2}

    monkeypatch.setattr(psutil, "cpu_count", cores)
    monkeypatch.setattr(os, "sched_getaffinity", allowed, raising=False)
    assert default_threads() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    assert default_threads() == 8
