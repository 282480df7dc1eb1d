"""The catalogue: figures that are possible, each with its source."""

from __future__ import annotations

import re

import pytest

from hgx.core.catalogue import CATALOGUE, Offer
from hgx.drivers import backends

OFFERS = list(CATALOGUE.values())
BACKENDS = {backend.name for backend in backends()}


@pytest.mark.parametrize("offer", OFFERS, ids=CATALOGUE)
def test_entries(offer: Offer) -> None:
    """Each has a name that can be written after a plus, possible figures, and a source."""
    assert re.fullmatch(r"[a-z0-9-]+", offer.name)
    assert offer.backend in BACKENDS
    assert 1 < offer.memory_gib <= 1024
    assert 10 < offer.bandwidth_gb_per_s < 10_000
    assert 0.1 < offer.fp16_tflops < 2_000
    assert len(offer.source) > len("AMD, ")
    size = re.search(r"-(\d+)gb$", offer.name)
    assert size is None or int(size[1]) == offer.memory_gib
    assert size is not None or not offer.whole


def test_nothing_is_there_twice() -> None:
    """No two names stand for the same product with the same memory."""
    things = [(offer.product, offer.memory_gib) for offer in OFFERS]
    assert len(set(things)) == len(things)


def test_a_good_choice() -> None:
    """There are cards and whole machines of all kinds that people have."""
    assert {offer.backend for offer in OFFERS} == {"cuda", "rocm", "metal", "cpu"}
    assert len({offer.product for offer in OFFERS}) >= 40


@pytest.mark.parametrize(
    ("name", "tops"),
    [
        ("rtx4060", 242),
        ("rtx4070", 466),
        ("rtx4090", 1321),
        ("rtx5070", 988),
        ("rtx5080", 1801),
        ("rtx5090", 3352),
    ],
)
def test_arithmetic_agrees_with_what_the_boxes_say(name: str, tops: int) -> None:
    """NVIDIA's "AI TOPS" are sparse FP8 (RTX 40) or FP4 (RTX 50): 8 or 16 times the figure here."""
    factor = 8 if name.startswith("rtx4") else 16
    assert CATALOGUE[name].fp16_tflops * factor == pytest.approx(tops, rel=0.003)


def test_what_is_assumed_is_marked() -> None:
    """A vendor that says nothing of arithmetic is not quoted with a figure."""
    assert CATALOGUE["m4pro-24gb"].assumed
    assert not CATALOGUE["m1pro-16gb"].assumed
