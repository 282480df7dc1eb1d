"""Keeps this machine from getting too hot while it serves a model.

Every two seconds the sensors of the devices that the model is on are looked at, the policy decides
(``hgx.thermal.policy``), and the gate lets fewer requests through, or with pauses between them.
What already runs is not interrupted: the engine has no pause. Other machines look after themselves.
"""

from __future__ import annotations

import time
from threading import Event, Thread
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

from hgx.core.reading import Reading
from hgx.serve.gate import TURN_S
from hgx.thermal.drift import Seen, begin, observe
from hgx.thermal.means import Limits, Possible, Sight, Way, as_usual
from hgx.thermal.outlook import forecast_of, sight_of
from hgx.thermal.policy import CAREFUL_DUTY, decide, give_back
from hgx.thermal.rule import IDLE, Rule, slots_words, usual_ways
from hgx.thermal.twins import usual

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hgx.core.reading import Battery
    from hgx.core.registry import Device
    from hgx.core.thermal import ThermalParameters
    from hgx.serve.gate import Gate
    from hgx.thermal.drift import Track
    from hgx.thermal.means import Action, State

    Tell = Callable[[str], object]

LOOK_S = 2.0

BELOW_SLOWDOWN_C = 2.0
"""The ceiling is so far below where the hardware slows itself down."""

UNKNOWN_CEILING_C = 80.0
"""Where nothing says at which temperature the hardware slows down."""

LEAST_RESERVE_C = 0.5
RULE_RESERVE_C = 2.0
"""Kept free below the ceiling: by the model's own errors, or where there is none."""

_FIRST_S = 5.0
"""Sensors have so long to answer for the first time."""

_GIVEN_BACK = "this machine's battery is low, so it does not answer: connect it to a charger"


class Sensors(Protocol):
    """What reads this machine; ``hgx.node.readings.Telemetry`` does."""

    def readings(self) -> dict[str, Reading]:
        """Return the newest readings by device name without the node."""
        ...

    def battery(self) -> Battery | None:
        """Return the battery, if there is one."""
        ...


class Ceiling(NamedTuple):
    """What is not to be exceeded, and what to say of it."""

    limits: Limits
    doubt: str | None


class Cooling:
    """Looks after devices, as long as the context lasts.

    Args:
        devices: Of this machine, that a model is on.
        slots: Conversations at a time.
        sensors: Read this machine.
        gate: Lets requests through.
        tell: Told what is done and why, one sentence each.
        clock: Returns seconds; it never steps.
        look_s: Seconds between looks, by the clock of the system.
    """

    def __init__(
        self,
        devices: Iterable[Device],
        slots: int,
        sensors: Sensors,
        gate: Gate,
        tell: Tell,
        *,
        clock: Callable[[], float] = time.monotonic,
        look_s: float = LOOK_S,
    ) -> None:
        self._devices = tuple(devices)
        self._slots = slots
        self._sensors = sensors
        self._gate = gate
        self._tell = tell
        self._clock = clock
        self._look_s = look_s
        self._cared: dict[str, _Care] = {}
        self._began_s = clock()
        self._silent_told = False
        self._last = (clock(), gate.busy_s)
        self._over = Event()
        self._thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def look(self) -> None:
        """Look once, and set the gate by what is decided."""
        now_s, readings, battery = self._clock(), self._sensors.readings(), self._sensors.battery()
        worked = self._worked(now_s)
        for device in self._devices:
            name = device.id.partition("/")[2]
            reading = readings.get(name, Reading())
            care = self._cared.get(device.id)
            if care is None:
                care = self._cared[device.id] = _Care(device, reading, self._slots, self._tell)
            care.look(now_s, reading, worked, battery)
        self._say_silent(now_s)
        states = [care.state for care in self._cared.values()]
        slots = [state.setting.way.slots or self._slots for state in states]
        given_back = any(state.given_back for state in states)
        self._gate.set(
            min(slots, default=None),
            min((state.setting.duty for state in states), default=1.0),
            _GIVEN_BACK if given_back else None,
        )

    def _watch(self) -> None:
        while not self._over.wait(self._look_s):
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 - else the thread would end and tell nobody
                self._gate.set(1, CAREFUL_DUTY)
                failed = f"looking after heat failed, as hgx did not foresee: {error!r}"
                self._tell(f"{failed}: from now on it works {CAREFUL_DUTY:.0%} of the time")
                return

    def _worked(self, now_s: float) -> float:
        """Return the share of the time since the last look in which the engine had work."""
        (then_s, then_busy_s), busy_s = self._last, self._gate.busy_s
        self._last = (now_s, busy_s)
        passed_s = now_s - then_s
        return min(1.0, (busy_s - then_busy_s) / passed_s) if passed_s > 0 else 1.0

    def _say_silent(self, now_s: float) -> None:
        """Say once, after sensors had time to answer, that there is no temperature."""
        if self._silent_told or now_s - self._began_s < _FIRST_S:
            return
        self._silent_told = True
        for device_id, care in self._cared.items():
            if not care.met:
                why = "no temperature can be read, and unknown is not cool"
                self._tell(f"{device_id}: {why}: it has to keep itself from getting too hot")


class _Care:
    """Looks after one device.

    Attributes:
        state: What the policy left.
        met: Whether there ever was a temperature; until then only the battery matters.
    """

    def __init__(self, device: Device, reading: Reading, slots: int, tell: Tell) -> None:
        self._name = device.id
        self._tell = tell
        self._slots = slots
        self._parameters = device.thermal
        self._rule = Rule()
        self._track: Track | None = None
        self._doubts: str | None = None
        self._limits = ceiling_of(device, reading).limits
        self._possible = possible_of(device.thermal, slots)
        self._device = device
        self.state: State = as_usual(self._possible)
        self.met = False

    def look(self, now_s: float, reading: Reading, worked: float, battery: Battery | None) -> None:
        """Take readings into account and decide."""
        if not self.met and not self._meet(reading):
            sight = Sight(now_s, None, None, battery)
            self.state, action = give_back(sight, self._limits, self._possible, self.state)
            if action:
                self._tell(f"{self._name}: {told(action)}")
            return
        parameters, track = self._stands(now_s, reading, worked)
        sight = sight_of(track, battery)
        forecast = forecast_of(parameters, track)
        self.state, action = decide(sight, forecast, self._limits, self._possible, self.state)
        if action:
            self._tell(f"{self._name}: {told(action)}")
        elif sight.trouble and sight.trouble != self._doubts:
            self._tell(f"{self._name}: {sight.trouble}")
        self._doubts = sight.trouble

    def _meet(self, reading: Reading) -> bool:
        """Look whether there is a temperature; where there is, take note of its ceiling."""
        self.met = reading.temperature_c is not None
        if self.met:
            found = ceiling_of(self._device, reading)
            self._limits = found.limits
            if found.doubt:
                self._tell(f"{self._name}: {found.doubt}")
        return self.met

    def _stands(
        self, now_s: float, reading: Reading, worked: float
    ) -> tuple[ThermalParameters, Track]:
        """Say where the device stands now, in its own model or by a rule of thumb."""
        temperature_c = reading.temperature_c
        step_c = float(temperature_c is not None and temperature_c.is_integer())
        if self._parameters is None:
            return self._rule.observe(Seen(now_s, temperature_c, IDLE + (1 - IDLE) * worked))
        power_w = reading.power_w
        if power_w is None:
            usual_w, idle_w = self._possible.ways[0].power_w, self._possible.idle_w
            power_w = idle_w + worked * (usual_w - idle_w)
        seen = Seen(now_s, temperature_c, power_w, step_c)
        before = self._track
        self._track = (
            observe(self._parameters, before, seen) if before else begin(self._parameters, seen)
        )
        return self._parameters, self._track


def told(action: Action) -> str:
    """Say what is done, why, and what is expected of it."""
    if action.after_c is None:
        return action.reason
    return f"{action.reason} (at most {action.after_c:.0f} °C are expected)"


def ceiling_of(device: Device, reading: Reading) -> Ceiling:
    """Return what is to be kept: below where the hardware slows itself down.

    Args:
        device: As it is known.
        reading: The first one.
    """
    found = (reading.slowdown_c, device.temperature_limit_c)
    slowdown_c = min((limit for limit in found if limit is not None), default=None)
    parameters = device.thermal
    reserve_c = RULE_RESERVE_C
    if parameters:
        near = [error.rmse_c for error in parameters.errors if error.ahead_s <= LOOK_S * 5]
        reserve_c = max(LEAST_RESERVE_C, parameters.rmse_c, *near)
    if slowdown_c is None:
        doubt = "where it slows itself down is not known: it is kept below"
        return Ceiling(Limits(UNKNOWN_CEILING_C, reserve_c), f"{doubt} {UNKNOWN_CEILING_C:.0f} °C")
    return Ceiling(Limits(slowdown_c - BELOW_SLOWDOWN_C, reserve_c), None)


def possible_of(parameters: ThermalParameters | None, slots: int) -> Possible:
    """Return what can be done about a device of this machine: fewer slots, and pauses.

    What fewer conversations draw and get done was not measured: both are taken to fall with their
    number, which the policy corrects by what it sees.

    Args:
        parameters: Its model; null where there is none.
        slots: Conversations at a time.
    """
    if parameters is None:
        return usual_ways(slots)._replace(period_s=TURN_S)
    whole = usual(parameters)
    busy_w, idle_w = whole.ways[0].power_w, whole.idle_w
    ways = tuple(
        Way(
            "slots",
            slots_words(count),
            idle_w + (busy_w - idle_w) * count / slots,
            count / slots,
            count,
        )
        for count in range(slots, 0, -1)
    )
    return Possible(ways, idle_w, period_s=TURN_S)


def own_devices(devices: Iterable[Device], used: Iterable[str], node: str) -> tuple[Device, ...]:
    """Return the devices of this machine that a plan uses.

    Args:
        devices: All that are known.
        used: Ids of those that have a stage.
        node: This machine.
    """
    wanted = set(used)
    return tuple(device for device in devices if device.node == node and device.id in wanted)
