"""What a policy would come to on a device that has work without end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from hgx.errors import Unavailable
from hgx.flows.thermal_devices import fitted_parameters
from hgx.thermal.means import Limits
from hgx.thermal.policy import decide
from hgx.thermal.simulate import best, simulate
from hgx.thermal.twins import SYNTHETIC, fitted

if TYPE_CHECKING:
    from hgx.core.registry import Device
    from hgx.thermal.means import Action, Forecast, Possible, Sight, State
    from hgx.thermal.simulate import Policy, Run
    from hgx.thermal.twins import Twin

PolicyName = Literal["hgx", "none"]


class Simulated(NamedTuple):
    """What it came to.

    Attributes:
        twin: The device.
        policy: What looked after it.
        run: What happened.
        best: The most that pauses alone leave possible, as a share of work without any.
    """

    twin: Twin
    policy: PolicyName
    run: Run
    best: float

    @property
    def kept(self) -> bool:
        """Whether no sample was above the limit."""
        return float(self.run.hottest_c.max()) <= self.twin.limits.ceiling_c


def made_up(name: str, limit_c: float | None) -> Twin:
    """Return a device that was made up.

    Args:
        name: One of ``SYNTHETIC``.
        limit_c: Another limit than its own.
    """
    twin = SYNTHETIC[name]()
    if limit_c is None:
        return twin
    return twin._replace(limits=twin.limits._replace(ceiling_c=limit_c))


def twin_of(device: Device, limit_c: float | None) -> Twin:
    """Return a device of this machine, as it was fitted.

    Args:
        device: The device.
        limit_c: What is not to be exceeded; null for where its hardware slows down.

    Raises:
        Unavailable: Its heat was never fitted, or nothing says what its limit is.
    """
    parameters = fitted_parameters(device)
    limit_c = device.temperature_limit_c if limit_c is None else limit_c
    if limit_c is None:
        reason = f"nothing says at which temperature {device.id} slows down"
        raise Unavailable(reason, "give a limit with --limit")
    return fitted(parameters, device.id, Limits(limit_c))


def simulated(twin: Twin, policy: PolicyName, duration_s: float) -> Simulated:
    """Let a policy look after a device for some time.

    Args:
        twin: The device.
        policy: ``hgx`` for the one that serves, ``none`` for none.
        duration_s: For how long.
    """
    run = simulate(twin, duration_s, policy=_POLICIES[policy])
    return Simulated(twin, policy, run, best(twin, duration_s))


def _nothing(
    sight: Sight, forecast: Forecast | None, limits: Limits, possible: Possible, state: State
) -> tuple[State, Action | None]:
    """Leave everything as it is."""
    del sight, forecast, limits, possible
    return state, None


_POLICIES: Final[dict[PolicyName, Policy]] = {"hgx": decide, "none": _nothing}
