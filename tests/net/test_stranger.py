"""What is kept of what a stranger says of its engine, its heat and its battery."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.core.engine_rates import EngineRates
from hgx.core.thermal import ThermalParameters
from hgx.net.stranger import known_engine, known_of_device, known_of_node, known_thermal

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

HEAT: dict[str, JsonValue] = {
    "stages": [{"resistance_k_per_w": 0.1, "tau_s": 5.0}, {"resistance_k_per_w": 0.2, "tau_s": 90}],
    "ambient_c": 30.0,
    "rmse_c": 0.5,
    "powers": [
        {"kind": "idle", "power_w": 10.0, "samples": 9},
        {"kind": "decode", "power_w": 200.0, "samples": 9},
    ],
    "highest_power_w": 210.0,
    "samples": 900,
    "duration_s": 600.0,
    "fitted_at": "2026-01-02T12:00:00Z",
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


def test_heat_stays() -> None:
    """What a plan uses stays, whatever stands beside it, and the file it comes from does not."""
    stages = HEAT["stages"]
    assert isinstance(stages, list)
    powers: list[JsonValue] = [
        {"kind": "decode", "precision": "Q4_K", "batch": 8, "power_w": 200.0, "samples": 9},
        {"kind": "decode", "precision": "Q4_K", "batch": 1, "power_w": 90.0, "samples": 5},
        {"kind": "idle", "power_w": 10.0, "scatter_w": 1.0, "samples": 9},
    ]
    said: dict[str, JsonValue] = {
        **HEAT,
        "stages": [{**stage, "mine": 1} for stage in stages if isinstance(stage, dict)],
        "powers": powers,
        "errors": [{"ahead_s": 10.0, "rmse_c": 1.0}],
        "ambient_span_c": [20.0, 40.0],
        "source": "900 readings in secret.csv",
        "warnings": ["it rains"],
        "diary": "dear",
    }
    assert known_thermal(said) == HEAT
    assert known_thermal(HEAT) == HEAT
    assert known_of_device({"id": "a/cpu:0", "thermal": said}) == {"id": "a/cpu:0", "thermal": HEAT}


@pytest.mark.parametrize(
    "change",
    [
        {"stages": []},
        {"stages": [{"resistance_k_per_w": 0.0, "tau_s": 5.0}]},
        {"stages": "two"},
        {"ambient_c": None},
        {"ambient_c": 999.0},
        {"powers": [{"kind": "dance", "power_w": 1.0, "samples": 9}]},
        {"powers": [{"kind": "idle", "power_w": 1.0, "samples": 9}] * 257},
        {"highest_power_w": -1.0},
        {"fitted_at": "yesterday"},
    ],
)
def test_heat_that_cannot_be(change: dict[str, JsonValue]) -> None:
    """What no device can be described by is unknown."""
    assert known_thermal({**HEAT, **change}) is None


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
    heat = known_thermal(said)
    assert heat is None or ThermalParameters.model_validate_json(json.dumps(heat))
