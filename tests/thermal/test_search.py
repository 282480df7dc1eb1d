"""The model that is closest to readings."""

from __future__ import annotations

import numpy as np
import pytest

from hgx.thermal.clean import Piece, clean
from hgx.thermal.rc import Network, Stage, run, steady_rise, temperature_c
from hgx.thermal.search import drawn, search
from tests.thermal.made import CARD, twin, watched, work


def exact(network: Network, seconds: float = 300.0) -> Piece:
    """Readings without any rounding or delay, of power that stays between them."""
    time, power = work(seconds, np.random.default_rng(1))
    time, power = time[::10], power[::10]
    states = run(network, steady_rise(network, 75.0), time, power)
    return Piece(time, temperature_c(network, states), power)


@pytest.mark.parametrize("network", [CARD, Network((Stage(0.08, 20.0),), 25.0)])
def test_a_device_is_found_again(network: Network) -> None:
    """Its stages, its surroundings and what it begins with, from whole degrees."""
    pieces, _ = clean(twin(network=network))
    found = search(pieces, len(network.stages))
    assert found.rmse_c < 0.6
    assert found.network.ambient_c == pytest.approx(network.ambient_c, abs=1.0)
    assert found.network.resistance_k_per_w == pytest.approx(network.resistance_k_per_w, rel=0.02)
    assert found.network.stages[-1].tau_s == pytest.approx(network.stages[-1].tau_s, rel=0.1)
    assert found.rows == len(pieces[0].time_s)
    assert 0.25 <= found.late_s <= 0.75  # the mean over a second is half a second old


def test_a_warm_begin_is_found() -> None:
    """A trace may begin with a device that was busy before."""
    time, power = work(266.0, np.random.default_rng(2))
    start = steady_rise(CARD, 600.0)
    pieces, _ = clean(watched(time, power, rise_k=start))
    found = search(pieces, 2)
    assert found.starts_k.shape == (1, 2)
    assert found.starts_k[0, 1] == pytest.approx(start[1], abs=1.5)


def test_pieces_begin_each_for_themselves() -> None:
    """After a gap the device may be anywhere."""
    cool, warm = exact(CARD), exact(CARD._replace(ambient_c=CARD.ambient_c))
    warm = warm._replace(
        time_s=warm.time_s + 5000,
        temperature_c=warm.temperature_c + 20 * np.exp(-warm.time_s / CARD.stages[1].tau_s),
    )
    found = search([cool, warm], 2)
    assert found.starts_k.shape == (2, 2)
    more = found.starts_k[1] - found.starts_k[0]
    assert more[1] == pytest.approx(20.0, abs=1.0)
    assert found.network.resistance_k_per_w == pytest.approx(CARD.resistance_k_per_w, rel=0.02)


def test_long_traces_are_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer temperatures are compared, and all power counts."""
    monkeypatch.setattr("hgx.thermal.search.MOST_ROWS", 100)
    pieces, _ = clean(twin())
    found = search(pieces, 2)
    assert found.rows <= 120
    assert found.network.resistance_k_per_w == pytest.approx(CARD.resistance_k_per_w, rel=0.05)


def test_a_stage_that_does_nothing_is_none() -> None:
    """Of a temperature that never changes no stage is left."""
    found = search([exact(CARD)._replace(temperature_c=np.full(600, 50.0))], 2)
    assert found.network.stages == ()
    assert found.network.ambient_c == pytest.approx(50.0)


def test_power_is_moved_back_by_what_it_is_late() -> None:
    """A step that a meter shows late was drawn that much before."""
    time = np.arange(10.0)
    shown = np.where(time >= 5, 100.0, 0.0)
    assert drawn(time, shown, 0.5).tolist() == [0, 0, 0, 0, 100, 100, 100, 100, 100, 100]
    assert drawn(time, shown, 2.5).tolist() == [0, 0, 100, 100, 100, 100, 100, 100, 100, 100]
