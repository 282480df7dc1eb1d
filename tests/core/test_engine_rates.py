"""What the engine measured, as the registry has it."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from hgx.core.engine_rates import EngineRates
from hgx.errors import RegistryError
from hgx.store.registry_file import parse_registry, registry_text

GOOD = {
    "types": {"Q4_K": {"decode_s_per_byte": 5e-11, "prefill_s_per_flop": 1e-11}},
    "decode_layer_s": 2e-5,
    "prefill_layer_s": 1e-4,
    "head_s": 5e-4,
    "stage_s": 1e-4,
    "engine": "llama.cpp 11434",
    "measured_at": "2026-01-02T12:00:00Z",
    "colour": "of a later version",
}


def document(engine: object) -> bytes:
    """A registry with one device that the engine measured."""
    device = {
        "id": "a/cuda:0",
        "node": "a",
        "backend": "cuda",
        "memory_total_bytes": 1,
        "memory_bandwidth_bytes_per_s": 1.0,
        "compute_flops_per_s": 1.0,
        "engine": engine,
    }
    return json.dumps({"nodes": [{"id": "a"}], "devices": [device]}).encode()


def test_it_survives_the_registry() -> None:
    """Read and written again, it is the same, with what this version does not know."""
    registry = parse_registry(document(GOOD), "r.json")
    assert json.loads(registry_text(registry))["devices"][0]["engine"] == GOOD


def test_the_costs_of_a_block_are_enough() -> None:
    """Types, head, stage, name and time may be absent; nothing is assumed of types."""
    rates = EngineRates(decode_layer_s=0.0, prefill_layer_s=0.0)
    assert (rates.types, rates.head_s, rates.stage_s) == ({}, None, 0.0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"decode_layer_s": -1}, "decode_layer_s"),
        ({"types": {"Q4_K": {"decode_s_per_byte": 0, "prefill_s_per_flop": 1}}}, "above 0"),
        ({"types": {"Q4_K": {"decode_s_per_byte": 2, "prefill_s_per_flop": 1}}}, "less than"),
        ({"types": {"Q4_K": {"decode_s_per_byte": 1}}}, "prefill_s_per_flop"),
        ({"types": {"Q4 K": {"decode_s_per_byte": 1, "prefill_s_per_flop": 1}}}, "Q4 K"),
        ({"measured_at": "2026-01-02"}, "measured_at"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, object], said: str) -> None:
    """The line names the device and the field."""
    with pytest.raises(RegistryError) as caught:
        parse_registry(document(GOOD | change), "r.json")
    assert "a/cuda:0" in caught.value.message
    assert said in caught.value.message


def test_types_are_bounded() -> None:
    """There are not as many types as a hostile file may list."""
    types = {f"T{at}": {"decode_s_per_byte": 0.1, "prefill_s_per_flop": 0.1} for at in range(65)}
    with pytest.raises(ValidationError):
        EngineRates.model_validate(GOOD | {"types": types})
