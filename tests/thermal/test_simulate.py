"""Policies and devices in a closed loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from hgx.core.thermal import ThermalParameters
from hgx.thermal.fit import fit
from hgx.thermal.means import Limits
from hgx.thermal.rc import steady_rise
from hgx.thermal.simulate import Run, best, simulate
from hgx.thermal.twins import SYNTHETIC, Twin, fitted, parameters_of
from tests.thermal.real import DATA, HEATING, MISSING, read_gpus

if TYPE_CHECKING:
    from hgx.thermal.means import Action, Forecast, Possible, Sight, State

HOUR_S = 3600.0
CARDS = range(8)


def keeps(run: Run, ceiling_c: float) -> bool:
    """Whether no sample was above a limit, neither as it was nor as it was shown."""
    return max(float(run.hottest_c.max()), float(np.nanmax(run.shown_c))) <= ceiling_c


def never(
    sight: Sight, forecast: Forecast | None, limits: Limits, possible: Possible, state: State
) -> tuple[State, Action | None]:
    """A policy that does nothing."""
    del sight, forecast, limits, possible
    return state, None


@pytest.mark.parametrize("name", SYNTHETIC)
def test_a_device_for_an_hour(name: str) -> None:
    """No sample is above the limit, 95% of the best is done, and actions are rare in the end."""
    twin = SYNTHETIC[name]()
    run = simulate(twin, HOUR_S)
    assert keeps(run, twin.limits.ceiling_c)
    assert run.done >= 0.95 * best(twin, HOUR_S)
    assert run.actions_per_minute <= 1
    assert run.actions[0].cools


@pytest.mark.parametrize("name", SYNTHETIC)
def test_without_a_policy_it_gets_too_hot(name: str) -> None:
    """What the policy prevents does happen without it, and the best is not all."""
    twin = SYNTHETIC[name]()
    run = simulate(twin, HOUR_S, policy=never)
    assert not keeps(run, twin.limits.ceiling_c)
    assert (run.done, run.actions, run.actions_per_minute) == (1.0, (), 0)
    assert 0.3 < best(twin, HOUR_S) < 1


@pytest.mark.parametrize(("resistance", "tau"), [(1.08, 1.2), (0.92, 0.8), (0.92, 1.2)])
@pytest.mark.parametrize("name", SYNTHETIC)
def test_with_a_model_that_is_wrong(name: str, resistance: float, tau: float) -> None:
    """With 8% and 20% off, and more kept free for that, the limit still holds."""
    twin = SYNTHETIC[name]()
    limits = twin.limits._replace(reserve_c=2 * twin.limits.reserve_c)
    run = simulate(
        twin._replace(limits=limits, noise_c=twin.step_c / 4),
        HOUR_S,
        believed=parameters_of(twin, resistance=resistance, tau=tau),
    )
    assert keeps(run, twin.limits.ceiling_c)
    assert run.done >= 0.9 * best(twin, HOUR_S)
    assert run.actions_per_minute <= 2


@pytest.mark.parametrize("name", SYNTHETIC)
def test_a_device_that_is_hot_already(name: str) -> None:
    """One that begins at the limit is at once worked less, and never above it again."""
    twin = SYNTHETIC[name]()
    usual = twin.possible.ways[0]
    start = steady_rise(twin.whole, 0.5 * (usual.power_w + twin.possible.idle_w))
    start *= (twin.limits.ceiling_c - 2 - twin.network.ambient_c) / start.sum()
    run = simulate(twin, HOUR_S / 2, start_k=start)
    assert float(run.hottest_c[run.time_s > 60].max()) <= twin.limits.ceiling_c
    assert run.done >= 0.9 * best(twin, HOUR_S / 2, start)


def recorded(card: int) -> tuple[Twin, ThermalParameters]:
    """A real card as it was fitted, to be kept two degrees below the hottest it was."""
    trace = read_gpus(DATA / HEATING)[card]
    parameters = fit(trace)
    assert isinstance(parameters, ThermalParameters)
    # The model is the device here, so little has to be kept free for its errors.
    limits = Limits(float(trace.temperature_c.max()) - 2, reserve_c=0.25)
    twin = fitted(parameters, f"card {card}", limits)
    idle_w = float(np.percentile(trace.power_w, 2))
    return twin._replace(possible=twin.possible._replace(idle_w=idle_w)), parameters


@pytest.mark.skipif(not (DATA / HEATING).exists(), reason=MISSING)
@pytest.mark.parametrize("card", CARDS)
def test_models_fitted_to_real_traces(card: int) -> None:
    """The same holds for real cards as they were fitted."""
    twin, _ = recorded(card)
    run = simulate(twin, HOUR_S / 2)
    assert keeps(run, twin.limits.ceiling_c)
    assert run.done >= 0.95 * best(twin, HOUR_S / 2)
    assert run.actions_per_minute <= 1
