"""NVML on a real card."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hgx.sensors.nvml_probe import probe_cards

if TYPE_CHECKING:
    from hgx.sensors.nvml import Card

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def card() -> Card:
    """Return the first card of this machine."""
    survey = probe_cards()
    if not survey.cards:
        pytest.skip(f"no NVIDIA card: {survey.missing[0].message}")
    return survey.cards[0]


def test_card_has_an_identity(card: Card) -> None:
    """A real card tells its name and its UUID."""
    assert card.name
    assert card.uuid
    assert card.uuid.startswith("GPU-")


def test_memory_adds_up(card: Card) -> None:
    """Memory in use and free memory are parts of all memory, where it has its own."""
    if card.memory_total_bytes is None:
        pytest.skip("this card shares the host's memory")
    assert card.memory_free_bytes is not None
    assert card.memory_used_bytes is not None
    assert card.memory_free_bytes + card.memory_used_bytes <= card.memory_total_bytes


def test_readings_are_those_of_a_card(card: Card) -> None:
    """Temperature, power, clocks and rates are in the range of real hardware."""
    ranges = {
        "temperature_c": (0, 120),
        "slowdown_c": (60, 130),
        "shutdown_c": (60, 130),
        "power_w": (1, 3000),
        "power_limit_w": (5, 3000),
        "sm_clock_hz": (1e8, 5e9),
        "memory_clock_hz": (1e8, 2e10),
        "utilisation": (0, 1),
        "memory_bandwidth_bytes_per_s": (1e10, 5e13),
        "compute_flops_per_s": (1e11, 1e15),
    }
    for name, (least, most) in ranges.items():
        value = getattr(card, name)
        assert value is None or least <= value <= most, name


def test_h200_rates(card: Card) -> None:
    """An H200 gives its bus and cores: 4.9 TB/s and 67 TFLOP/s in 32 bits."""
    if "H200" not in (card.name or ""):
        pytest.skip(f"this is {card.name}")
    assert card.memory_bandwidth_bytes_per_s == pytest.approx(4.9e12, rel=0.05)
    assert card.compute_flops_per_s == pytest.approx(66.9e12, rel=0.05)
