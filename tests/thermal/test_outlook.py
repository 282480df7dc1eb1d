"""What is forecast of a device that works and rests in turns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.thermal.drift import Seen, begin
from hgx.thermal.means import Ahead, Load
from hgx.thermal.outlook import DISBELIEF_K, forecast_of, highest_c, most_duty, sight_of
from hgx.thermal.rc import Network, Stage, steady_rise, step, temperature_c
from hgx.thermal.twins import laptop, parameters_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NETWORK = Network((Stage(0.1, 0.25), Stage(0.2, 7.0), Stage(0.1, 300.0)), 25.0)


def _tried(rise_k: NDArray[np.float64], load: Load, until_s: float) -> float:
    """Go through all turns one after the other, in small steps."""
    hottest = float(temperature_c(NETWORK, rise_k))
    for _ in range(round(until_s / load.period_s)):
        for power_w, seconds in (
            (load.power_w, load.duty * load.period_s),
            (load.idle_w, (1 - load.duty) * load.period_s),
        ):
            for _ in range(20):
                rise_k = step(NETWORK, rise_k, power_w, seconds / 20)
                hottest = max(hottest, float(temperature_c(NETWORK, rise_k)))
    return hottest


@given(
    duty=st.floats(0, 1),
    start_w=st.floats(0, 100),
    period_s=st.sampled_from([0.1, 2.0, 10.0]),
)
def test_all_turns_at_once_are_one_after_the_other(
    duty: float, start_w: float, period_s: float
) -> None:
    """The formula gives what small steps give, from any state of long work, up to what cools."""
    start = steady_rise(NETWORK, start_w)
    load = Load(100.0, 10.0, duty, period_s)
    expected = _tried(start, load, 20 * period_s)
    assert highest_c(NETWORK, start, load, Ahead(0, 20 * period_s)) == pytest.approx(
        expected, abs=0.2
    )


@given(duty=st.floats(0, 1), more=st.floats(0, 0.5))
def test_more_work_is_never_cooler(duty: float, more: float) -> None:
    """The highest temperature rises with the share of work."""
    start = steady_rise(NETWORK, 50.0)

    def peak(share: float) -> float:
        return highest_c(NETWORK, start, Load(100.0, 10.0, min(share, 1.0), 4.0), Ahead(0, 60))

    assert peak(duty) <= peak(duty + more) + 1e-9


def test_a_later_part_leaves_out_what_was_before() -> None:
    """A device that cools down is at its hottest now, and not later."""
    start, rest = steady_rise(NETWORK, 100.0), Load(100.0, 10.0, 0.0, 4.0)
    now = highest_c(NETWORK, start, rest, Ahead(0, 60))
    assert now == pytest.approx(float(temperature_c(NETWORK, start)))
    assert highest_c(NETWORK, start, rest, Ahead(30, 60)) < now - 15


def test_a_mean_power_hides_what_is_quick() -> None:
    """In turns of seconds a quick stage gets as hot as by work alone, whatever the mean."""
    quick = Network((Stage(0.1, 0.25),), 25.0)
    start = steady_rise(quick, 10.0)
    in_turns = highest_c(quick, start, Load(100.0, 10.0, 0.5, 4.0), Ahead(0, 60))
    assert in_turns == pytest.approx(35.0, abs=0.01)
    assert Load(100.0, 10.0, 0.5, 4.0).mean_w == 55.0


@pytest.mark.parametrize(("most", "found"), [(2.0, 1.0), (0.623, 0.62), (-1.0, 0.0)])
def test_the_largest_share(most: float, found: float) -> None:
    """The largest share that is allowed is found, in steps; all of it, and none, too."""
    assert most_duty(lambda duty: duty <= most, 0.01) == pytest.approx(found)


def test_what_the_sensor_says_counts_more_where_it_is_far_above() -> None:
    """A forecast begins at the model's temperature, and higher where the sensor says so."""
    parameters = parameters_of(laptop())
    track = begin(parameters, Seen(0.0, 50.0, 20.0))
    rest = Load(20.0, 20.0, 1.0, 4.0)
    assert forecast_of(parameters, track)(rest, Ahead(0, 0)) == pytest.approx(50.0, abs=1.5)
    hot = track._replace(temperature_c=70.0)
    expected = forecast_of(parameters, track)(rest, Ahead(0, 0)) + 20.0 - DISBELIEF_K
    assert forecast_of(parameters, hot)(rest, Ahead(0, 0)) == pytest.approx(expected)


def test_unknown_is_told_as_unknown() -> None:
    """Without a temperature there is none in the sight, and why."""
    parameters = parameters_of(laptop())
    sight = sight_of(begin(parameters, Seen(7.0, None, 20.0)))
    assert (sight.at_s, sight.temperature_c) == (7.0, None)
    assert "no temperature" in (sight.trouble or "")
