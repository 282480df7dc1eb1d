"""Devices to try a policy on."""

from __future__ import annotations

import pytest

from hgx.core.thermal import ActivityPower
from hgx.thermal.means import Limits
from hgx.thermal.rc import network_of, steady_c
from hgx.thermal.twins import IDLE_SHARE, SYNTHETIC, fitted, parameters_of


@pytest.mark.parametrize("name", SYNTHETIC)
def test_made_up_devices_need_a_policy(name: str) -> None:
    """Each gets too hot by full work, and is cool at rest."""
    twin = SYNTHETIC[name]()
    usual = twin.possible.ways[0]
    assert steady_c(twin.whole, usual.power_w) > twin.limits.ceiling_c
    assert steady_c(twin.whole, twin.possible.idle_w) < twin.limits.acts_c


def test_a_model_of_one_is_the_truth_unless_it_is_to_be_wrong() -> None:
    """The model of a made-up device is the device, without what is hidden; factors spoil it."""
    twin = SYNTHETIC["card"]()
    assert network_of(parameters_of(twin)) == twin.network
    wrong = network_of(parameters_of(twin, resistance=2.0, tau=3.0))
    assert wrong.resistance_k_per_w == 2 * twin.network.resistance_k_per_w
    assert list(wrong.taus) == [3 * one.tau_s for one in twin.network.stages]


def test_one_as_it_was_fitted() -> None:
    """It works as hard as it was ever seen to, and rests as it was seen to, if it was."""
    parameters = parameters_of(SYNTHETIC["laptop"]())
    unseen = fitted(parameters, "mine", Limits(90.0)).possible
    assert (unseen.ways[0].power_w, unseen.idle_w) == (45.0, 45.0 * IDLE_SHARE)
    idle = ActivityPower(kind="idle", power_w=4.0, samples=9)
    twin = fitted(parameters.model_copy(update={"powers": (idle,)}), "mine", Limits(90.0))
    assert (twin.possible.idle_w, twin.limits.ceiling_c, twin.hidden) == (4.0, 90.0, None)
