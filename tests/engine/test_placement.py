"""From a plan to llama.cpp's own words for it."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.engine.placement import HOST, Placement, place_layers
from hgx.errors import EngineError
from tests.engine.plans import plan_of

NAMES = {"n/cpu:0": HOST, "n/cuda:0": "CUDA0", "n/rpc:0": "RPC0", "n/rpc:1": "RPC1"}


def llama_cpp_places(n_block: int, placement: Placement) -> list[str]:
    """Place layers by the rule of llama.cpp, in its own arithmetic."""
    split = list(placement.tensor_split)
    total, layers = sum(split), n_block + 1
    ends = [end / total for end in accumulate(split)] if total else []
    first = max(layers - placement.gpu_layers, 0)
    offloaded = min(placement.gpu_layers, layers)
    names = [place.engine for place in placement.offloaded]
    return [
        HOST
        if layer < first
        else next(
            n for n, end in zip(names, ends, strict=True) if end > (layer - first) / offloaded
        )
        for layer in range(layers)
    ]


@given(
    st.permutations(["cuda:0", "rpc:0", "rpc:1"]),
    st.lists(st.integers(1, 40), min_size=4, max_size=4),
    st.integers(0, 3),
    st.booleans(),
)
def test_every_layer_where_the_plan_has_it(
    order: list[str], counts: list[int], stages: int, host: bool
) -> None:
    """Whatever the order and the counts, llama.cpp's own rule puts each layer where it belongs."""
    devices = (["cpu:0"] if host or not stages else []) + order[:stages]
    plan = plan_of(*zip(devices, counts, strict=False))
    placement = place_layers(plan, NAMES)
    there = llama_cpp_places(plan.model.n_block, placement)
    for place in placement.places:
        assert [layer for layer, name in enumerate(there) if name == place.engine] == list(
            place.layers
        )
    assert sum(len(place.layers) for place in placement.places) == plan.model.n_block + 1
    assert placement.places[-1].layers[-1] == plan.model.n_block


@pytest.mark.parametrize(
    ("stages", "says"),
    [
        ((("cuda:0", 2), ("cpu:0", 1)), "before all others"),
        ((("cuda:0", 1), ("rpc:0", 1), ("cuda:0", 1)), "two runs"),
        ((("rocm:7", 1),), "no device for n/rocm:7"),
    ],
)
def test_what_the_engine_cannot_do(stages: tuple[tuple[str, int], ...], says: str) -> None:
    """An order that llama.cpp cannot have, or a device it lacks, is an error that names it."""
    with pytest.raises(EngineError, match=says):
        place_layers(plan_of(*stages), NAMES)
