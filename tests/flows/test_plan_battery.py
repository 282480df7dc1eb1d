"""Plans for long runs: machines on a battery that does not last are left out, and it is said."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.core.reading import Battery
from hgx.errors import Infeasible, RegistryError
from hgx.flows.context import Longest, choose_context
from hgx.flows.model import read_model
from hgx.flows.plan import evaluate, plan_workload
from hgx.flows.plan_battery import powered, with_battery_now
from hgx.flows.plan_explain import explain
from hgx.thermal.means import LEAST_CHARGE, Limits
from tests.flows.test_plan_sustained import HOT
from tests.gguf.ggufs import tiny_llama
from tests.planner.made import MB, device, options, registry, workload
from tests.sensors.doubles import Told
from tests.sensors.test_battery import battery as a_battery
from tests.sensors.test_battery import supplies

if TYPE_CHECKING:
    from pathlib import Path

    from hgx.core.options import PlanOptions
    from hgx.core.plan import Plan
    from hgx.core.registry import Device, Registry

HOUR_S = 3600.0
FAST = device("b/cuda:0", 2000 * MB, 1e12)
HUNGRY = FAST.model_copy(update={"thermal": HOT.model_copy(update={"powers": ()})})
"""A device of which only the most that it ever took is known: 200 W."""
DRAINING = Battery(charge=0.71, charging=False, plugged=False, power_w=10.0, full_wh=40.0)
LASTS_S = 2.04 * HOUR_S


def known(battery: Battery | None, node: str = "b", fast: Device = FAST) -> Registry:
    """A slow device on node a, and a fast one on node b; one of the nodes has a battery."""
    made = registry(device("a/cpu:0", 2000 * MB, 5e10, 1e12), fast)
    nodes = [
        one.model_copy(update={"battery": battery}) if one.id == node else one for one in made.nodes
    ]
    return made.model_copy(update={"nodes": tuple(nodes)})


def asked(duration_s: float | None = 3 * HOUR_S, **update: object) -> PlanOptions:
    """A run of so many seconds."""
    return options().model_copy(update={"duration_s": duration_s, **update})


def lasts_s(battery: Battery, fast: Device = FAST) -> float:
    """For how long a battery is taken to last: infinite where it always does."""
    short = powered(known(battery, fast=fast), asked(1e12)).short
    if not short:
        return math.inf
    return -1.0 if short[0].lasts_s is None else short[0].lasts_s


def planned(made: Registry, wish: PlanOptions) -> tuple[Plan, str]:
    """A plan, and all that it says."""
    plan = plan_workload(workload(), made, wish, None)
    return plan, "; ".join(plan.why)


@pytest.mark.parametrize(
    ("change", "seconds"),
    [
        ({}, LASTS_S),
        ({"charge": 1.0, "power_w": 32.0}, HOUR_S),
        # With power from outside, or none that anything tells of, it lasts.
        ({"plugged": True, "charging": True}, math.inf),
        ({"plugged": True, "charging": False, "power_w": 0.0}, math.inf),
        ({"plugged": True, "charging": None}, math.inf),
        ({"plugged": True, "full_wh": None}, math.inf),
        ({"plugged": None, "charging": True}, math.inf),
        ({"plugged": None, "charge": None}, math.inf),
        # A charger that is too weak.
        ({"plugged": True}, LASTS_S),
        # What nothing is known of is on battery, if it seems to be.
        ({"plugged": None}, LASTS_S),
        ({"plugged": None, "charging": None}, LASTS_S),
        # What is not known is never enough.
        ({"charge": None}, -1.0),
        ({"full_wh": None}, -1.0),
        ({"power_w": None}, -1.0),
        ({"power_w": 0.0}, -1.0),
        ({"charging": True}, -1.0),
        # At the charge where devices are given back nothing else matters.
        ({"charge": LEAST_CHARGE, "full_wh": None}, 0.0),
        ({"charge": 0.0, "plugged": None, "charging": None, "power_w": None}, 0.0),
    ],
)
def test_how_long_a_battery_lasts(change: dict[str, object], seconds: float) -> None:
    """By what it has above the charge where devices are given back, and what it gives now."""
    assert lasts_s(DRAINING.model_copy(update=change)) == pytest.approx(seconds)


def test_the_level_is_that_of_the_policy() -> None:
    """A plan does not use what the policy would give back."""
    assert Limits(80.0).least_charge == LEAST_CHARGE


@pytest.mark.parametrize(("power_w", "watts"), [(10.0, 200.0), (None, 200.0), (400.0, 400.0)])
def test_work_takes_more_than_rest(power_w: float | None, watts: float) -> None:
    """The more counts of what the battery gives now and what its devices are known to take."""
    battery = DRAINING.model_copy(update={"power_w": power_w})
    assert lasts_s(battery, HUNGRY) == pytest.approx(0.51 * 40.0 * HOUR_S / watts)


def test_only_devices_that_may_be_used_take_power() -> None:
    """Without the hungry device the battery lasts, and the frugal one stays."""
    frugal = device("b/cpu:0", 2000 * MB, 9e10, 1e12)
    made = known(DRAINING, fast=HUNGRY)
    made = made.model_copy(update={"devices": (*made.devices, frugal)})
    for wish, used in (
        (asked(HOUR_S), "a/cpu:0"),
        (asked(HOUR_S, exclude=("b/cuda:0",)), "b/cpu:0"),
    ):
        plan, said = planned(made, wish)
        assert [stage.device for stage in plan.stages] == [used]
        assert ("battery" in said) == (used == "a/cpu:0")


def test_a_machine_that_does_not_last_is_left_out() -> None:
    """The plan names it, how long it lasts, and what to do; a shorter run uses it."""
    plan, said = planned(known(DRAINING), asked())
    assert [stage.device for stage in plan.stages] == ["a/cpu:0"]
    assert (
        "b's battery lasts 122 of 180 min, so its devices are left out: connect its charger and "
        "run `hgx discover`, or shorten --duration; --require b uses it nevertheless"
    ) in said
    for wish in (asked(HOUR_S), asked(None)):
        plan, said = planned(known(DRAINING), wish)
        assert [stage.device for stage in plan.stages] == ["b/cuda:0"]
        assert "battery" not in said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"power_w": None}, "how long b's battery lasts is not known, so its devices are left"),
        (
            {"charge": 0.15},
            "b's battery is at 15% and needs more than 20%, so its devices are left",
        ),
        (
            {"plugged": True},
            "although it is plugged in, so its devices are left out: connect a stronger charger",
        ),
    ],
)
def test_why_it_is_left_out(change: dict[str, object], words: str) -> None:
    """What is not known, what is empty and what a charger does not keep up are told apart."""
    plan, said = planned(known(DRAINING.model_copy(update=change)), asked())
    assert [stage.device for stage in plan.stages] == ["a/cpu:0"]
    assert words in said


SEEN_AT = "2026-01-02T12:00:00+00:00"


def seen(battery: Battery | None) -> Registry:
    """As ``known``, with a time at which node b was last seen."""
    made = known(battery)
    nodes = [
        one.model_copy(update={"seen_at": SEEN_AT if one.id == "b" else None}) for one in made.nodes
    ]
    return made.model_copy(update={"nodes": tuple(nodes)})


@pytest.mark.parametrize(
    ("battery", "words"),
    [
        (DRAINING, f"b's battery (as of {SEEN_AT}) lasts 122 of 180 min, so its devices are left"),
        (
            DRAINING.model_copy(update={"plugged": True, "charging": True}),
            f"b's battery (as of {SEEN_AT}) lasts: `hgx discover` looks again",
        ),
        (None, ""),
    ],
)
def test_the_age_of_what_is_known_is_said(battery: Battery | None, words: str) -> None:
    """Once per battery, where a time was kept with it: of those that last and that do not."""
    _, said = planned(seen(battery), asked())
    assert words in said
    assert said.count("as of") == (1 if words else 0)
    assert "as of" not in planned(seen(battery), asked(None))[1]


def test_this_machines_battery_is_that_of_now() -> None:
    """Whatever discovery saw; others' stay, and so does what nothing tells of."""
    now = Told(supplies(BAT0=a_battery(capacity="15")))
    made = known(DRAINING)
    for node, source, charge in (
        ("b", now, 0.15),
        ("b", Told(), 0.71),
        ("a", Told(), 0.71),
        ("c", now, 0.71),
        (None, now, 0.71),
    ):
        known_now = with_battery_now(made, asked(), node, source)
        (battery,) = (one.battery for one in known_now.nodes if one.battery)
        assert battery.charge == charge
    assert with_battery_now(made, asked(None), "b", now) is made
    assert planned(with_battery_now(made, asked(), "b", now), asked())[0].stages[0].device[0] == "a"
    added = with_battery_now(known(None), asked(), "b", now)
    assert [one.battery and one.battery.charge for one in added.nodes] == [None, 0.15]


@pytest.mark.parametrize("name", ["b", "b/cuda:0"])
def test_what_is_required_is_used(name: str) -> None:
    """Who insists gets it, and is told."""
    plan, said = planned(known(DRAINING), asked(require=(name,)))
    assert [stage.device for stage in plan.stages] == ["b/cuda:0"]
    assert "b's battery lasts 122 of 180 min, and is used as you ask: connect" in said
    assert "--require" not in said


@pytest.mark.parametrize("name", ["b", "b/cuda:0"])
def test_only_is_no_demand(name: str) -> None:
    """Nothing is left where no other device may be used, and it is said why."""
    plan, said = planned(known(DRAINING), asked(only=(name,)))
    assert plan.status == "infeasible"
    assert "b's battery lasts 122 of 180 min, so its devices are left out" in said
    plan, said = planned(known(DRAINING), asked(only=(name, "a")))
    assert [stage.device for stage in plan.stages] == ["a/cpu:0"]


@pytest.mark.parametrize("name", ["b", "b/cuda:0"])
def test_what_is_excluded_anyway_is_not_worth_a_word(name: str) -> None:
    """Its battery is nobody's concern, and its name is still one."""
    plan, said = planned(known(DRAINING), asked(exclude=(name,)))
    assert [stage.device for stage in plan.stages] == ["a/cpu:0"]
    assert "battery" not in said
    with pytest.raises(RegistryError, match="'c'"):
        planned(known(DRAINING), asked(exclude=("c",)))


def test_the_coordinator_must_last() -> None:
    """Without it nothing works, whether its devices would be used or not."""
    for exclude in ((), ("a",)):
        plan, said = planned(known(DRAINING, "a"), asked(exclude=exclude))
        assert [stage.device for stage in plan.stages] == ["b/cuda:0"]
        assert ("devices are left out" in said) == (exclude == ())
        assert "; nothing works without it, as it coordinates: connect its charger" in said


def test_a_machine_alone() -> None:
    """Nothing is left of it: that is an error with a way out."""
    made = known(DRAINING, "a").model_copy(update={"devices": (device("a/cpu:0"),), "links": ()})
    plan, said = planned(made, asked())
    assert plan.status == "infeasible"
    assert "--require a uses it nevertheless" in said
    plan, said = planned(made, asked(require=("a",)))
    assert plan.status == "optimal"
    assert "and is used as you ask; nothing works without it" in said


def test_a_placement_of_ones_own_is_kept() -> None:
    """It is predicted, and what does not last in it is named; what is not in it does not matter."""
    made = known(DRAINING)
    used, unused = (
        "; ".join(evaluate(made, workload(), [(name, 0, 3)], asked()).why)
        for name in ("b/cuda:0", "a/cpu:0")
    )
    assert "b's battery lasts 122 of 180 min, and is used as you ask" in used
    assert "battery" not in unused
    with pytest.raises(Infeasible, match="--exclude"):
        evaluate(made, workload(), [("b/cuda:0", 0, 3)], asked(exclude=("b/cuda:0",)))


def test_the_longest_context_is_that_of_what_lasts() -> None:
    """No memory of a device counts that is left out."""
    small = device("a/cpu:0", 300 * MB, 5e10, 1e12)
    made = known(DRAINING)
    made = made.model_copy(update={"devices": (small, FAST)})
    short, long_run = (
        choose_context(workload(), made, asked(seconds), "a", Longest()).options
        for seconds in (HOUR_S, 3 * HOUR_S)
    )
    assert short.ctx > long_run.ctx
    assert planned(made, long_run)[0].status == "optimal"


def test_an_explanation_says_so_too(tmp_path: Path) -> None:
    """Devices without power are not compared with, whoever placed the blocks."""
    model, made = tiny_llama(tmp_path / "model.gguf"), known(DRAINING)
    plan = plan_workload(workload(), made, asked(), None)
    explained = explain(plan, read_model(model), made, asked(), None)
    assert explained is not None
    assert [(one.device, one.reason) for one in explained.explanation.left_out] == [
        ("b/cuda:0", "battery")
    ]


batteries = st.builds(
    Battery,
    charge=st.none() | st.floats(0, 1),
    charging=st.sampled_from((True, False, None)),
    plugged=st.sampled_from((True, False, None)),
    power_w=st.none() | st.floats(0, 500),
    full_wh=st.none() | st.floats(1, 1000),
)


@given(batteries, st.floats(1, 1e6), st.floats(0, 1e6), st.sampled_from((FAST, HUNGRY)))
def test_longer_runs_use_no_more(
    battery: Battery, seconds: float, more_s: float, fast: Device
) -> None:
    """What is left out of a run is left out of every longer one."""
    made = known(battery, fast=fast)
    short, longer = (powered(made, asked(span)).registry for span in (seconds, seconds + more_s))
    assert all(one in short.devices for one in longer.devices)


@given(batteries, st.floats(0, 1), st.floats(1, 1e6), st.sampled_from((FAST, HUNGRY)))
def test_fuller_batteries_lose_nothing(
    battery: Battery, charge: float, seconds: float, fast: Device
) -> None:
    """What is used with a battery is used with one that has more in it, all else alike."""
    low, high = sorted((charge, 1.0 if battery.charge is None else battery.charge))
    emptier, fuller = (
        powered(known(battery.model_copy(update={"charge": share}), fast=fast), asked(seconds))
        for share in (low, high)
    )
    assert all(one in fuller.registry.devices for one in emptier.registry.devices)
