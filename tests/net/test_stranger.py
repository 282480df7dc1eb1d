"""What is kept of what a stranger says of its engine and battery."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.core.engine_rates import EngineRates
from hgx.net.stranger import known_engine, known_of_device, known_of_node

if TYPE_CHECKING:
    from pydantic import JsonValue

LEAVES = st.none() | st.booleans() | st.floats(-1, 2) | st.text(max_size=5)
NAMES = st.sampled_from(sorted(EngineRates.model_fields)) | st.text(max_size=5)
SAID = st.recursive(LEAVES, lambda inner: st.dictionaries(NAMES, inner) | st.lists(inner))

RATES: dict[str, JsonValue] = {
    "types": {"Q4_K": {"decode_s_per_byte": 1e-10, "prefill_s_per_flop": 1e-12}},
    "decode_layer_s": 1e-5,
    "prefill_layer_s": 1e-4,
    "head_s": None,
    "stage_s": 0.0,
    "engine": "llama.cpp 11434",
    "measured_at": "2026-01-02T12:00:00Z",
}


def test_rates_stay() -> None:
    """What a plan uses stays, whatever stands beside it."""
    types: dict[str, JsonValue] = {
        "Q4_K": {"decode_s_per_byte": 1e-10, "prefill_s_per_flop": 1e-12, "secret": 1}
    }
    said: dict[str, JsonValue] = {**RATES, "types": types, "diary": "dear"}
    assert known_engine(said) == RATES
    assert known_of_device({"id": "a/cpu:0", "engine": said}) == {"id": "a/cpu:0", "engine": RATES}


@pytest.mark.parametrize(
    "change",
    [
        {"decode_layer_s": -1.0},
        {"decode_layer_s": None},
        {"types": {"Q4_K": {"decode_s_per_byte": 0.0, "prefill_s_per_flop": 1e-12}}},
        {"types": {f"T{n}": {"decode_s_per_byte": 1, "prefill_s_per_flop": 1} for n in range(65)}},
        {"types": [1]},
        {"worker_types": {"Q4_K": {"decode_s_per_byte": 2.0, "prefill_s_per_flop": 1e-12}}},
        {"decode_attention_s_per_flop": 0.0},
        {"measured_at": "yesterday"},
    ],
)
def test_rates_that_cannot_be(change: dict[str, JsonValue]) -> None:
    """What no engine can be described by is unknown."""
    assert known_engine({**RATES, **change}) is None


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ({"charge": 0.5, "full_wh": 50.0, "diary": "dear"}, {"charge": 0.5, "full_wh": 50.0}),
        ({"charge": 1.5}, None),
        ({"full_wh": 0.0}, None),
        ({"plugged": "perhaps"}, None),
        ("full", None),
        (None, None),
    ],
)
def test_batteries(said: JsonValue, known: JsonValue) -> None:
    """Of a battery what a plan uses stays; one that cannot be so is unknown."""
    assert known_of_node({"id": "a", "battery": said}) == {"id": "a", "battery": known}


@given(SAID)
def test_anything(said: JsonValue) -> None:
    """Whatever is said, what is left describes an engine or is nothing."""
    known = known_engine(said)
    assert known is None or EngineRates.model_validate_json(json.dumps(known))
