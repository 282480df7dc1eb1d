"""What can be done about a device's heat, what is to be kept, and what was done: plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgx.core.reading import Battery

    Forecast = Callable[["Load", "Ahead"], float]
    """Gives the highest temperature to reckon with, in °C, of a load in a part of the future."""

Means = Literal["slots", "duty", "move", "smaller", "power limit"]
"""Fewer parallel slots, pauses, moving blocks away, a smaller quantisation or KV type of the same
model, a power limit."""

Kind = Literal["slots", "duty", "move", "smaller", "power limit", "give back"]
"""What an action changes; the last is for a battery's sake."""


LEAST_CHARGE: Final = 0.2
"""On battery below this charge a device is given back."""


class Load(NamedTuple):
    """Work and rest in turns, work first.

    Attributes:
        power_w: Drawn while it works.
        idle_w: Drawn while it rests.
        duty: Share of the time in which it works, 0 to 1.
        period_s: One turn of work and rest.
    """

    power_w: float
    idle_w: float
    duty: float
    period_s: float

    @property
    def mean_w(self) -> float:
        """Power on average."""
        return self.idle_w + self.duty * (self.power_w - self.idle_w)


class Ahead(NamedTuple):
    """A part of the future, in seconds from now."""

    from_s: float
    until_s: float


class Limits(NamedTuple):
    """What is to be kept.

    Attributes:
        ceiling_c: No reading may be above.
        reserve_c: Kept free below it: what a sensor rounds, and what forecasts are off.
        band_c: A new way of working leaves so much more free, one for more work twice as much.
        hidden_c: How much hotter the hottest spot may be than any reading shows.
        least_charge: On battery below this charge the device is given back; null for never.
    """

    ceiling_c: float
    reserve_c: float = 0.5
    band_c: float = 0.1
    hidden_c: float = 0.0
    least_charge: float | None = LEAST_CHARGE

    @property
    def urgent_c(self) -> float:
        """What is forecast above this makes it act even right after another action."""
        return self.ceiling_c - self.hidden_c - self.reserve_c / 2

    @property
    def acts_c(self) -> float:
        """What is forecast above this makes it act."""
        return self.ceiling_c - self.hidden_c - self.reserve_c

    def aims_c(self, *, cools: bool) -> float:
        """What is newly chosen must settle below this; lower still where it is for more work."""
        return self.acts_c - self.band_c * (1 if cools else 2)


class Way(NamedTuple):
    """One way for a device to work, without pauses.

    Attributes:
        means: What it takes; ``slots`` for the usual way too.
        name: What to call it, as ``2 slots``, ``4 blocks on tower``, ``Q4_K_M``, ``250 W``.
        power_w: Drawn while it works.
        rate: What gets done, as a share of the usual way's.
        slots: Conversations at a time; null where they stay as they are.
    """

    means: Means
    name: str
    power_w: float
    rate: float
    slots: int | None = None


class Possible(NamedTuple):
    """What can be done about a device here and now.

    Attributes:
        ways: The usual one first.
        idle_w: Drawn while it rests.
        pauses: Whether it can rest between pieces of work.
        period_s: One turn of work and rest, as short as it can be.
    """

    ways: tuple[Way, ...]
    idle_w: float
    pauses: bool = True
    period_s: float = 4.0


class Setting(NamedTuple):
    """How a device works: in a way, and for a share of the time."""

    way: Way
    duty: float = 1.0

    @property
    def rate(self) -> float:
        """What gets done, as a share of the usual."""
        return self.way.rate * self.duty

    @property
    def means(self) -> Means:
        """What it takes mainly."""
        return "duty" if self.way.means == "slots" and self.duty < 1 else self.way.means

    @property
    def words(self) -> str:
        """Say what is set."""
        if self.duty == 0:
            return "a pause"
        return self.way.name if self.duty == 1 else f"{self.way.name}, {self.duty:.0%} of the time"


class Sight(NamedTuple):
    """What is seen of a device.

    Attributes:
        at_s: By a clock that never steps.
        temperature_c: As far as it can be relied on.
        trouble: Why there is no temperature to rely on.
        battery: Of its machine, if it has one.
    """

    at_s: float
    temperature_c: float | None
    trouble: str | None = None
    battery: Battery | None = None


class Action(NamedTuple):
    """A change, its reason and the forecast behind it.

    Attributes:
        at_s: When.
        kind: What is mainly changed.
        cools: Whether it is for less heat, not for more work.
        setting: How the device is to work from now on.
        reason: One sentence.
        before_c: Highest temperature forecast for the next HOLD_S without the change; null where
            nothing is known.
        after_c: The same with the change.
    """

    at_s: float
    kind: Kind
    cools: bool
    setting: Setting
    reason: str
    before_c: float | None
    after_c: float | None


class State(NamedTuple):
    """What a policy remembers.

    Attributes:
        setting: How the device works.
        acted_at_s: When that was changed; null where it never was.
        changed_at_s: When more than slots and pauses were.
        given_back: Whether it does not work at all, for its battery's sake.
    """

    setting: Setting
    acted_at_s: float | None = None
    changed_at_s: float | None = None
    given_back: bool = False


def as_usual(possible: Possible) -> State:
    """Return the state of a device that works as usual."""
    return State(Setting(possible.ways[0]))
