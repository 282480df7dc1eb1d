"""Where rates come from, however it was written down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hgx.core.evidence import (
    BANDWIDTH,
    COMPUTE,
    evidence_entries,
    lowest_rank,
    measured,
    noisy,
    rank_of,
)
from hgx.core.registry import Device
from tests.planner.made import rates, with_engine

if TYPE_CHECKING:
    from pydantic import JsonValue


def device(evidence: JsonValue) -> Device:
    """Make a device of which this is said."""
    return Device(
        id="a/cuda:0",
        node="a",
        backend="cuda",
        memory_total_bytes=1,
        memory_bandwidth_bytes_per_s=1.0,
        compute_flops_per_s=1.0,
        evidence=evidence,
    )


@pytest.mark.parametrize(
    ("evidence", "bandwidth", "compute"),
    [
        (None, None, None),
        ("driver", "driver", "driver"),
        (["driver"], None, None),
        ({}, None, None),
        ({BANDWIDTH: "engine"}, "engine", None),
        ({BANDWIDTH: "engine", COMPUTE: {"rank": "vendor"}}, "engine", "vendor"),
        ({BANDWIDTH: {"rank": 3}, COMPUTE: "guess"}, None, None),
        ({BANDWIDTH: {"rank": ["driver"]}, COMPUTE: {"rank": "driver"}}, None, "driver"),
    ],
)
def test_evidence_is_read_as_people_write_it(
    evidence: JsonValue, bandwidth: str | None, compute: str | None
) -> None:
    """Evidence is a rank, or a rank per field; what is no rank says nothing; the lowest counts."""
    one = device(evidence)
    assert (rank_of(one, BANDWIDTH), rank_of(one, COMPUTE)) == (bandwidth, compute)
    assert lowest_rank(one) == (compute or bandwidth)
    assert measured(one) == ((bandwidth, compute) == ("driver", "driver"))
    assert evidence_entries(one) == (evidence if isinstance(evidence, dict) else {})


def test_what_the_engine_measured_ranks_highest() -> None:
    """A plan rests on the engine's rates where there are any, whatever the device's own are."""
    one = device("vendor")
    assert lowest_rank(with_engine(one, rates(Q4_K=1e-10))) == "engine"
    assert lowest_rank(with_engine(one, rates())) == "vendor"


def test_what_is_noisy_is_not_measured() -> None:
    """A rate that was measured while something spoilt it cannot be relied on."""
    clean: JsonValue = {"rank": "driver"}
    spoilt: JsonValue = {"rank": "driver", "noisy": True}
    one = device({BANDWIDTH: clean, COMPUTE: spoilt})
    assert [noisy(one, field) for field in (BANDWIDTH, COMPUTE)] == [False, True]
    assert not measured(one)
    assert measured(device({BANDWIDTH: clean, COMPUTE: clean}))
