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
    ("name", "factor", "tops"),
    [
        ("rtx4060", 8, 242),
        ("rtx4070", 8, 466),
        ("rtx4090", 8, 1321),
        ("rtx5070", 16, 988),
        ("rtx5080", 16, 1801),
        ("rtx5090", 16, 3352),
        ("rx9070", 8, 1165),
        ("rx9070xt", 8, 1557),
        ("orin-nano-super-8gb", 4, 67),
        ("agx-orin-64gb", 4, 170),
    ],
)
def test_arithmetic_agrees_with_what_the_boxes_say(name: str, factor: int, tops: int) -> None:
    """Vendors' TOPS for AI are sparse and of narrow types, and so many times the figure here.

    FP8 for RTX 40 and FP4 for RTX 50, both summed up in FP16; INT4 for RX 9000; INT8 for Jetsons.
    """
    assert CATALOGUE[name].fp16_tflops * factor == pytest.approx(tops, rel=0.005)


def test_what_is_assumed_is_marked() -> None:
    """A vendor that says nothing of arithmetic is not quoted with a figure."""
    for name in ("m2-16gb", "m4pro-24gb", "ai-max-395-128gb", "sd-8elite-16gb"):
        assert CATALOGUE[name].assumed
    assert not CATALOGUE["m1pro-16gb"].assumed
