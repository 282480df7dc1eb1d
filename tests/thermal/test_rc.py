"""RC stages: laws that hold for every device."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.thermal.rc import (
    Network,
    Stage,
    network_of,
    response,
    rise_at,
    run,
    steady_c,
    steady_rise,
    step,
    temperature_c,
)
from tests.thermal.made import CARD, networks, parameters

POWER = st.floats(0.0, 1000.0)
SECONDS = st.floats(0.001, 5000.0)


def close(value: float) -> object:
    """Equal but for rounding."""
    return pytest.approx(value, rel=1e-9, abs=1e-9)


@given(networks(), POWER)
def test_in_the_end_it_is_ambient_and_resistance_times_power(
    network: Network, power_w: float
) -> None:
    """After very long any device is there, and stays there."""
    expected = network.ambient_c + network.resistance_k_per_w * power_w
    assert steady_c(network, power_w) == close(expected)
    late = step(network, np.zeros(len(network.stages)), power_w, 1e6)
    assert float(temperature_c(network, late)) == close(expected)
    there = steady_rise(network, power_w)
    assert step(network, there, power_w, 7.0) == pytest.approx(there)


@given(networks(), POWER, POWER, SECONDS)
def test_it_is_linear(network: Network, first_w: float, second_w: float, seconds: float) -> None:
    """Two powers together warm as much as both alone."""
    rest = np.zeros(len(network.stages))
    both = step(network, rest, first_w + second_w, seconds)
    alone = step(network, rest, first_w, seconds) + step(network, rest, second_w, seconds)
    assert both == pytest.approx(alone)


@given(networks(), st.lists(st.tuples(SECONDS, POWER, POWER), min_size=2, max_size=12))
def test_more_power_is_never_cooler(
    network: Network, steps: list[tuple[float, float, float]]
) -> None:
    """At any time, whatever comes before."""
    time = np.cumsum([seconds for seconds, _, _ in steps])
    less = np.array([min(first, second) for _, first, second in steps])
    more = np.array([max(first, second) for _, first, second in steps])
    start = np.ones(len(network.stages))
    cool, warm = (run(network, start, time, power) for power in (less, more))
    assert (temperature_c(network, warm) >= temperature_c(network, cool) - 1e-9).all()


@given(networks(), POWER, SECONDS, SECONDS)
def test_two_steps_are_one_long_step(
    network: Network, power_w: float, first_s: float, second_s: float
) -> None:
    """Steps of constant power are exact, however long."""
    start = np.full(len(network.stages), 3.0)
    once = step(network, start, power_w, first_s + second_s)
    twice = step(network, step(network, start, power_w, first_s), power_w, second_s)
    assert twice == pytest.approx(once, abs=1e-9)


@given(networks(), st.lists(st.tuples(st.floats(0.0, 100.0), POWER), min_size=1, max_size=40))
def test_a_run_is_step_after_step(network: Network, steps: list[tuple[float, float]]) -> None:
    """Over uneven times, the first of which is when it begins."""
    time = np.cumsum([seconds for seconds, _ in steps])
    power = np.array([power_w for _, power_w in steps])
    state = np.linspace(1.0, 5.0, len(network.stages))
    states = run(network, state, time, power)
    assert states[0] == pytest.approx(state)
    for at in range(1, len(time)):
        state = step(network, state, power[at - 1], time[at] - time[at - 1])
        assert states[at] == pytest.approx(state, abs=1e-9)


def test_many_states_step_at_once() -> None:
    """Each with its own power and time."""
    states = np.array([[1.0, 2.0], [3.0, 4.0]])
    both = step(CARD, states, [100.0, 200.0], [1.0, 2.0])
    assert both[1] == pytest.approx(step(CARD, states[1], 200.0, 2.0))


def test_the_last_power_of_a_response_does_not_count() -> None:
    """It is drawn after the last time; unknown as it may be."""
    found = response(np.array([5.0]), np.array([0.0, 1.0]), np.array([100.0, np.nan]))
    assert found[:, 0] == pytest.approx([0.0, 100 * (1 - np.exp(-0.2))])


@given(networks(), st.floats(0, 120), POWER)
def test_a_guessed_state_has_the_temperature_that_is_seen(
    network: Network, observed_c: float, power_w: float
) -> None:
    """However much is drawn."""
    rise = rise_at(network, observed_c, power_w)
    assert float(temperature_c(network, rise)) == close(observed_c)


def test_a_registry_has_all_of_it() -> None:
    """Stages and ambient come back as they were."""
    assert network_of(parameters(CARD)) == CARD
    assert Network((Stage(0.1, 1.0),), 20.0).resistances.tolist() == [0.1]
