"""Which measured type stands for which, and at what rate."""

from __future__ import annotations

import pytest

from hgx.planner.engine_cost import stand_ins, type_rates
from tests.planner.made import rates


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
