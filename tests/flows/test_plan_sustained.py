"""Plans for long runs: devices count with what their heat allows, and what they do while cool."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hgx.core.reading import Battery
from hgx.core.thermal import ActivityPower, ThermalParameters, ThermalStage
from hgx.flows.plan import plan_workload
from hgx.flows.plan_sustained import heat_notes, lasting
from tests.planner.made import MB, device, options, rates, registry, workload

if TYPE_CHECKING:
    from hgx.core.options import PlanOptions
    from hgx.core.registry import Device

HOT = ThermalParameters(
    stages=(ThermalStage(resistance_k_per_w=0.5, tau_s=60.0),),
    ambient_c=30.0,
    rmse_c=0.5,
    powers=(
        ActivityPower(kind="idle", power_w=10.0, samples=100),
        ActivityPower(kind="decode", power_w=200.0, samples=100),
    ),
    highest_power_w=200.0,
    samples=1000,
    duration_s=600.0,
)
"""A device that would be 130 °C in the end, and is 83 °C with half of the work."""


def hot(name: str, **update: object) -> Device:
    """A device whose heat is known."""
    known = {"thermal": HOT, "temperature_limit_c": 85.0, **update}
    return device(name, 2000 * MB).model_copy(update=known)


def asked(duration_s: float | None) -> PlanOptions:
    """A run of so many seconds."""
    return options().model_copy(update={"duration_s": duration_s})


def test_a_hot_device_keeps_what_its_limit_allows() -> None:
    """For hours that is the share of work at which it stays at the limit; at first it is all."""
    made = registry(hot("a/cuda:0"))
    shares = [
        lasting(made, asked(seconds)).shares.get("a/cuda:0", 1.0) for seconds in (5, 600, 86400)
    ]
    assert shares[0] == 1.0
    assert shares[0] > shares[1] > shares[2]
    # 83 = 30 + 0.5 (10 + share 190)
    assert shares[2] == pytest.approx((53.0 / 0.5 - 10.0) / 190.0, abs=0.01)


def test_all_its_rates_fall_alike() -> None:
    """Bandwidth and arithmetic fall, and what the engine takes rises, by the same factor."""
    engine = rates(Q4_K=1e-10, Q6_K=2e-10).model_copy(update={"decode_layer_s": 1e-4})
    made = registry(hot("a/cuda:0", engine=engine))
    found = lasting(made, asked(86400.0))
    (before,), (after,) = made.devices, found.registry.devices
    share = found.shares["a/cuda:0"]
    assert after.memory_bandwidth_bytes_per_s == before.memory_bandwidth_bytes_per_s * share
    assert after.compute_flops_per_s == before.compute_flops_per_s * share
    assert after.engine is not None
    assert after.engine.types["Q4_K"].decode_s_per_byte == pytest.approx(1e-10 / share)
    assert after.engine.decode_layer_s == pytest.approx(1e-4 / share)
    assert after.engine.head_s is None


@pytest.mark.parametrize("change", [{"thermal": None}, {"temperature_limit_c": None}])
def test_what_is_not_known_is_named(change: dict[str, object]) -> None:
    """Without a fit or a limit a device counts as it is, and nobody claims that it stays cool."""
    made = registry(hot("a/cuda:0", **change))
    found = lasting(made, asked(3600.0))
    assert (found.registry.devices, found.shares) == (made.devices, {})
    assert found.unknown == ("a/cuda:0",)


def test_a_plan_for_a_long_run_says_what_is_left_and_what_there_was() -> None:
    """Its prediction is of the warm device; the burst beside it is that of the cool one."""
    made = registry(hot("a/cuda:0"))
    short, long_run = (
        plan_workload(workload(), made, asked(seconds), None) for seconds in (None, 86400.0)
    )
    assert short.burst is None
    assert long_run.burst == short.predicted
    assert long_run.predicted is not None
    assert short.predicted is not None
    assert long_run.predicted.tokens_per_s < 0.7 * short.predicted.tokens_per_s
    assert "a/cuda:0 keeps 51% of its speed" in " ".join(long_run.why)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "a/cuda:0 keeps 51% of its speed: it reaches its limit"),
        (
            {"thermal": HOT.model_copy(update={"powers": ()})},
            "keeps 1% of its speed: it reaches its limit, and rest is taken to cool nothing, as",
        ),
        ({"thermal": None}, "how warm a/cuda:0 would be is not known: hgx thermal record, then"),
        (
            {"temperature_limit_c": None},
            "where a/cuda:0 slows down is not known: give temperature_limit_c in the registry",
        ),
        ({"temperature_limit_c": 140.0}, None),
    ],
)
def test_what_is_said_of_heat(change: dict[str, object], words: str | None) -> None:
    """What is left, or what is missing to tell it; and nothing where a device stays cool."""
    made = registry(hot("a/cuda:0", **change))
    notes = list(heat_notes(lasting(made, asked(86400.0)), made.devices, 86400.0))
    assert len(notes) == (words is not None)
    assert all(words in note for note in notes if words)


def test_what_does_not_last_is_neither_slowed_nor_unknown() -> None:
    """A machine whose battery does not last is left out, and so is what its heat would allow."""
    made = registry(hot("a/cuda:0"), device("b/cuda:0"))
    node = made.nodes[0].model_copy(update={"battery": Battery(charge=0.1, plugged=False)})
    found = lasting(made.model_copy(update={"nodes": (node, made.nodes[1])}), asked(86400.0))
    assert [one.id for one in found.registry.devices] == ["b/cuda:0"]
    assert (found.shares, found.unknown) == ({}, ("b/cuda:0",))
    assert [(one.node, one.lasts_s) for one in found.batteries] == [("a", 0.0)]


def test_another_device_is_chosen_where_heat_makes_it_the_faster() -> None:
    """What is faster for a minute is not what is faster for a day."""
    cool = device("b/cuda:0", 2000 * MB, 7e10, 1e13)
    made = registry(hot("a/cuda:0"), cool)
    used = [
        plan_workload(workload(), made, asked(seconds), None).stages[0].device
        for seconds in (10.0, 86400.0)
    ]
    assert used == ["a/cuda:0", "b/cuda:0"]
