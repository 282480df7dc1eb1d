"""Which measured type stands for which, and at what rate."""

from __future__ import annotations

import pytest

from hgx.core.engine_rates import TypeRates
from hgx.planner.engine_cost import as_worker, stand_ins, type_rates
from tests.planner.made import device, rates, with_engine


@pytest.mark.parametrize(
    ("measured", "name", "stand"),
    [
        (("Q4_K", "Q6_K"), "Q6_K", ("Q6_K",)),
        (("Q4_K", "Q8_0"), "Q5_K", ("Q4_K",)),  # 4.5 and 8.5 bits against 5.5
        (("Q4_K", "Q8_0"), "F32", ("Q8_0",)),
        (("Q8_0", "Q4_K", "Q4_0"), "IQ4_NL", ("Q4_0", "Q4_K")),  # all have 4.5 bits
        (("later-type",), "Q4_K", ()),
        (("Q4_K", "later-type"), "Q5_K", ("Q4_K",)),
        (("Q4_K",), "unheard-of", ()),
        ((), "Q4_K", ()),
    ],
)
def test_the_nearest_type_stands_in(
    measured: tuple[str, ...], name: str, stand: tuple[str, ...]
) -> None:
    """A type that was not measured has the rates of the nearest by bits per weight."""
    assert stand_ins(rates(**dict.fromkeys(measured, 1e-10)), name) == stand


def test_of_several_the_slowest_counts() -> None:
    """Of types that are equally near, none is taken for faster than it may be."""
    found = type_rates(rates(Q4_0=1e-10, Q4_K=3e-10), ["IQ4_NL", "Q4_0"])
    assert found is not None
    assert found[0].tolist() == [3e-10, 1e-10]
    assert found[1].tolist() == pytest.approx([3e-12, 1e-12])


def test_without_any_type_there_are_no_rates() -> None:
    """Where nothing was measured, the device's own rates count."""
    assert type_rates(rates(), ["Q4_K"]) is None


def test_a_worker_has_rates_of_its_own() -> None:
    """Behind an rpc server those count that were measured there; the rest stays."""
    slow = TypeRates(decode_s_per_byte=3e-10, prefill_s_per_flop=3e-12)
    engine = rates(Q4_K=1e-10, Q6_K=2e-10)
    there = engine.model_copy(update={"worker_types": {"Q4_K": slow}})
    found = as_worker(with_engine(device("a/cpu:0"), there)).engine
    assert found
    assert found.types == {"Q4_K": slow, "Q6_K": engine.types["Q6_K"]}
    assert found.decode_layer_s == engine.decode_layer_s
    slower = there.model_copy(update={"worker_decode_layer_s": 0.5})
    found = as_worker(with_engine(device("a/cpu:0"), slower)).engine
    assert found
    assert found.decode_layer_s == 0.5


def test_a_worker_like_others() -> None:
    """A device that was not measured there is as it is."""
    plain = device("a/cpu:0")
    assert as_worker(plain) is plain
    measured = with_engine(plain, rates(Q4_K=1e-10))
    assert as_worker(measured) is measured
