"""The most that pauses leave possible."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from hgx.thermal.optimum import Task, most_work
from hgx.thermal.rc import Network, Stage, run, steady_rise, temperature_c
from hgx.thermal.twins import SYNTHETIC
from tests.thermal.patterns import best_of_patterns

_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def test_without_a_limit_it_works_all_the_time() -> None:
    """What never gets hot needs no pause."""
    cool = Task(Network((Stage(0.1, 10.0),), 20.0), 100.0, 10.0, 50.0, 4.0, 400.0)
    assert most_work(cool, [1.0]) == 1.0


def test_what_is_too_hot_at_rest_does_not_work() -> None:
    """Where even rest is above the limit nothing is done."""
    hot = Task(Network((Stage(0.1, 10.0),), 20.0), 100.0, 60.0, 25.0, 4.0, 400.0)
    assert most_work(hot, [6.0]) == pytest.approx(0.0, abs=1e-3)


def test_one_stage_in_the_end() -> None:
    """In the end the mean power of one slow stage is what the limit allows."""
    network = Network((Stage(0.5, 400.0),), 20.0)
    task = Task(network, 100.0, 0.0, 50.0, 1.0, 4000.0)
    start = [float(one) for one in steady_rise(network, 60.0)]
    assert most_work(task, start) == pytest.approx(0.6, abs=0.01)


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_no_pattern_gets_more_done(stages: int) -> None:
    """Of all patterns of shares over some turns none beats it."""
    network = Network((Stage(0.2, 8.0), Stage(0.2, 30.0), Stage(0.05, 0.5))[:stages], 20.0)
    start = steady_rise(network, 20.0)
    task = Task(network, 100.0, 10.0, 38.0, 4.0, 24.0)
    best = best_of_patterns(task, start, product(_SHARES, repeat=6))
    found = most_work(task, [float(one) for one in start])
    assert 0 < best <= found + 1e-9


@pytest.mark.parametrize("name", SYNTHETIC)
def test_short_pauses_ride_on_the_limit(name: str) -> None:
    """With ever shorter turns it comes near to the mean power that the limit allows for ever."""
    twin = SYNTHETIC[name]()
    usual, idle_w, network = twin.possible.ways[0], twin.possible.idle_w, twin.network
    ceiling_c = twin.limits.ceiling_c - twin.limits.hidden_c
    mean_w = (ceiling_c - network.ambient_c) / network.resistance_k_per_w
    for_ever = (mean_w - idle_w) / (usual.power_w - idle_w)
    start = [float(one) for one in steady_rise(network, mean_w)]
    task = Task(network, usual.power_w, idle_w, ceiling_c, 0.25, 60.0)
    assert most_work(task, start) == pytest.approx(for_ever, abs=0.02)


def test_its_own_steps_are_those_of_the_model() -> None:
    """It goes on in time as the model of RC stages does, of which it shares no code."""
    network = Network((Stage(0.2, 8.0), Stage(0.2, 30.0)), 20.0)
    times = np.arange(0.0, 40.25, 0.25)
    states = run(network, [0.0, 0.0], times, np.full(len(times), 100.0))
    limit_c = float(temperature_c(network, states[-1]))
    task = Task(network, 100.0, 0.0, limit_c, 4.0, 40.0)
    assert most_work(task, [0.0, 0.0]) == 1.0
    assert most_work(task._replace(ceiling_c=limit_c - 0.1), [0.0, 0.0]) < 1.0
