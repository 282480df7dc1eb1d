"""What was learnt of a device's heat, as the registry has it."""

from __future__ import annotations

import json

import pytest

from hgx.errors import RegistryError
from hgx.store.registry_file import parse_registry, registry_text

STAGE = {
    "resistance_k_per_w": 0.03,
    "tau_s": 0.4,
    "resistance_span_k_per_w": [0.029, 0.031],
    "tau_span_s": [0.3, 0.5],
}
GOOD = {
    "stages": [STAGE, {"resistance_k_per_w": 0.037, "tau_s": 34.0}],
    "ambient_c": 19.5,
    "ambient_span_c": [19.0, 20.0],
    "resistance_span_k_per_w": [0.066, 0.068],
    "power_late_s": 0.5,
    "rmse_c": 0.7,
    "errors": [{"ahead_s": 10.0, "rmse_c": 0.75}, {"ahead_s": 30.0, "rmse_c": 0.85}],
    "held_out": True,
    "powers": [
        {"kind": "idle", "power_w": 75.0, "scatter_w": 1.0, "samples": 40},
        {"kind": "decode", "precision": "Q4_K", "batch": 8, "power_w": 210.0, "samples": 9},
    ],
    "highest_power_w": 696.0,
    "samples": 780,
    "duration_s": 266.0,
    "source": "trace.csv",
    "fitted_at": "2026-01-02T12:00:00Z",
    "warnings": ["2 gaps, the longest of 12 s"],
    "colour": "of a later version",
}


def document(thermal: object) -> bytes:
    """A registry with one device whose heat is known."""
    device = {
        "id": "a/cuda:0",
        "node": "a",
        "backend": "cuda",
        "memory_total_bytes": 1,
        "memory_bandwidth_bytes_per_s": 1.0,
        "compute_flops_per_s": 1.0,
        "thermal": thermal,
    }
    return json.dumps({"nodes": [{"id": "a"}], "devices": [device]}).encode()


def test_it_survives_the_registry() -> None:
    """Read and written again, it is the same, with what this version does not know."""
    registry = parse_registry(document(GOOD), "r.json")
    assert json.loads(registry_text(registry))["devices"][0]["thermal"] == GOOD


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stages": []}, "stages"),
        ({"stages": [STAGE] * 3}, "stages"),
        ({"stages": [STAGE, STAGE]}, "stages must come in rising order"),
        ({"stages": [STAGE | {"resistance_k_per_w": 0}]}, "resistance_k_per_w"),
        ({"stages": [STAGE | {"tau_s": -1}]}, "tau_s"),
        ({"ambient_c": -300}, "ambient_c"),
        ({"errors": [{"ahead_s": 10, "rmse_c": 1}] * 2}, "errors must come in rising order"),
        ({"powers": [{"kind": "dance", "power_w": 1, "samples": 1}]}, "kind"),
        ({"highest_power_w": -1}, "highest_power_w"),
        ({"samples": 0}, "samples"),
        ({"stages": [STAGE | {"tau_s": 1e300}]}, "tau_s"),
        ({"warnings": ["w"] * 65}, "warnings"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, object], said: str) -> None:
    """The line names the device and the field."""
    with pytest.raises(RegistryError) as caught:
        parse_registry(document(GOOD | change), "r.json")
    assert "a/cuda:0" in caught.value.message
    assert said in caught.value.message
