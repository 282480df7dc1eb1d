"""Where a device's heat stands now: the model kept beside the sensors, reading by reading.

The model's states follow the power that is read. A bias follows what the device is warmer or cooler
than the model says, as rooms and dust do change; it moves by a bounded share of each difference and
stays within bounds, so that no single reading moves forecasts by much. A temperature that is
missing or cannot be is not believed: the model goes on without it for a short while, after which
the temperature is unknown. Power that is missing counts as the most that was ever seen. Whatever is
not as it should be is a doubt, in words.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from hgx.thermal.rc import network_of, rise_at, steady_c, step, temperature_c

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hgx.core.thermal import ThermalParameters

    Floats = NDArray[np.float64]

BIAS_TAU_S: Final = 10.0
"""How soon the bias follows: far slower than whole degrees flicker, far quicker than rooms warm."""

MOST_GAIN: Final = 0.5
"""The most of a difference that one reading may put into the bias."""

MOST_BIAS_K: Final = 20.0
"""Beyond this it is not the device that was fitted."""

UNKNOWN_AFTER_S: Final = 10.0
"""Without a temperature to believe for so long, the temperature is unknown."""

LONGEST_GAP_S: Final = 60.0
"""After a longer silence, what the device drew meanwhile is anybody's guess."""

STUCK_K: Final = 8.0
"""A reading that stays the same while the model moves so far is stuck: more than models err."""

FALL_K: Final = 15.0
"""So far below what a device can have cooled down to, a reading is not believed."""

COLDER_K: Final = 25.0
"""So far below the ambient of the fit: colder than a room becomes."""

POSSIBLE_C: Final = (0.0, 126.0)
"""A chip that is on is warmer than ice, and eight bits say 127 or 128 where there is no sensor."""

POSSIBLE_W: Final = (0.0, 10_000.0)


class Seen(NamedTuple):
    """What the sensors say at a moment; null where unknown.

    Attributes:
        time_s: By a clock that only goes forward.
        temperature_c: In °C.
        power_w: Drawn since the last moment.
        step_c: The temperature is rounded to multiples of this: what that leaves open moves no
            bias. Zero where every difference is to count.
    """

    time_s: float
    temperature_c: float | None
    power_w: float | None
    step_c: float = 0.0


class Track(NamedTuple):
    """What is known of a device's heat at a moment.

    Attributes:
        time_s: The moment.
        rise_k: The model's state, shape ``(stages,)``.
        coolest_k: The state if nothing was drawn where the power was not known.
        bias_c: What the device is warmer than the model says.
        power_w: What it draws, or the most that was ever seen.
        temperature_c: What to reckon with: the reading or what the model makes of it, whichever is
            higher; the model alone where the reading is not believed.
        believed_s: When a temperature was last believed; minus infinity if never.
        same: A reading that may be stuck, and what the model said when it first came.
        doubts: What is not as it should be, in words.
    """

    time_s: float
    rise_k: Floats
    coolest_k: Floats
    bias_c: float
    power_w: float
    temperature_c: float
    believed_s: float
    same: tuple[float | None, float]
    doubts: tuple[str, ...] = ()

    @property
    def unknown(self) -> bool:
        """Whether nobody knows how warm it is; never to be taken for cool."""
        return self.time_s - self.believed_s > UNKNOWN_AFTER_S


def begin(parameters: ThermalParameters, seen: Seen) -> Track:
    """Take up a device of which nothing is known but what its sensors say now.

    Args:
        parameters: Its model.
        seen: The first readings. Without a temperature the device is taken to have long drawn the
            most that was ever seen, and its temperature is unknown.
    """
    network = network_of(parameters)
    power_w, doubt_w = _power(parameters, seen.power_w)
    reading_c, doubt_c = seen.temperature_c, _impossible(parameters, seen.temperature_c)
    known = reading_c is not None and doubt_c is None
    if reading_c is None or doubt_c:
        power_then_w = parameters.highest_power_w
        reading_c = steady_c(network, power_then_w)
    else:
        power_then_w = power_w
    rise_k = rise_at(network, reading_c, power_then_w)
    return Track(
        time_s=seen.time_s,
        rise_k=rise_k,
        coolest_k=rise_k,
        bias_c=0.0,
        power_w=power_w,
        temperature_c=reading_c,
        believed_s=seen.time_s if known else -math.inf,
        same=(seen.temperature_c, reading_c),
        doubts=_said(doubt_c, doubt_w),
    )


def observe(parameters: ThermalParameters, track: Track, seen: Seen) -> Track:
    """Take the next readings into account; pure.

    Args:
        parameters: The device's model.
        track: What was known before.
        seen: What the sensors say now. If the clock went back, more than a minute passed, or no
            temperature was ever believed, the device is taken up anew.
    """
    seconds = seen.time_s - track.time_s
    if not 0 <= seconds <= LONGEST_GAP_S:
        gap = f"no readings for {seconds:.0f} s" if seconds > 0 else "the clock went back"
        fresh = begin(parameters, seen)
        return fresh._replace(doubts=(gap, *fresh.doubts))
    if track.believed_s == -math.inf:
        return begin(parameters, seen)
    network = network_of(parameters)
    power_w, doubt_w = _power(parameters, seen.power_w)
    # Meters show what was drawn since the last reading, not what will be until the next.
    rise_k = step(network, track.rise_k, power_w, seconds)
    coolest_k = step(network, track.coolest_k, 0.0 if doubt_w else power_w, seconds)
    model_c = float(temperature_c(network, rise_k))
    # Where the power is guessed the model moves without saying anything of the sensor.
    held = seen.temperature_c == track.same[0] and doubt_w is None
    track = track._replace(
        time_s=seen.time_s,
        rise_k=rise_k,
        coolest_k=coolest_k,
        power_w=power_w,
        temperature_c=model_c + track.bias_c,
        same=track.same if held else (seen.temperature_c, model_c),
    )
    least_c = float(temperature_c(network, coolest_k)) + track.bias_c - FALL_K
    reading_c, doubt_c = seen.temperature_c, _impossible(parameters, seen.temperature_c)
    if reading_c is not None and not doubt_c:
        doubt_c = _unlikely(reading_c, track.same, model_c, least_c)
    if reading_c is None or doubt_c:
        return track._replace(doubts=_said(doubt_c, doubt_w))
    off_c = _told(reading_c - model_c, track.bias_c, seen.step_c / 2)
    bias_c, doubt_c = _corrected(track.bias_c, off_c, seconds)
    return track._replace(
        bias_c=bias_c,
        temperature_c=max(reading_c, model_c + bias_c),
        believed_s=seen.time_s,
        doubts=_said(doubt_c, doubt_w),
    )


def _said(*doubts: str | None) -> tuple[str, ...]:
    return tuple(doubt for doubt in doubts if doubt)


def _power(parameters: ThermalParameters, power_w: float | None) -> tuple[float, str | None]:
    """Return what is drawn, and why it is only the most that was ever seen where it is."""
    low, high = POSSIBLE_W
    if power_w is not None and low <= power_w <= high:
        return power_w, None
    said = "no power reading" if power_w is None else f"a power of {power_w:.6g} W cannot be"
    return parameters.highest_power_w, f"{said}: the most that was seen is assumed"


def _impossible(parameters: ThermalParameters, reading_c: float | None) -> str | None:
    """Say why a temperature cannot be, whatever was before; null where it can."""
    if reading_c is None:
        return "no temperature reading"
    low, high = POSSIBLE_C
    if not low <= reading_c <= high:  # what is no number, too
        return f"a temperature of {reading_c:.6g} °C cannot be"
    if reading_c < parameters.ambient_c - COLDER_K:
        return f"{reading_c:.6g} °C is far colder than around the device"
    return None


def _unlikely(
    reading_c: float, same: tuple[float | None, float], model_c: float, least_c: float
) -> str | None:
    """Say why a temperature is not believed after those before it; null where it is.

    A jump upwards is believed: if it is wrong, it costs some work and no hardware.
    """
    if abs(model_c - same[1]) > STUCK_K:
        return f"the temperature stays at {reading_c:.6g} °C: the sensor is stuck"
    if reading_c < least_c:
        return f"{reading_c:.6g} °C is cooler than the device can have become"
    return None


def _told(off_c: float, bias_c: float, open_k: float) -> float:
    """Return of all differences that a rounded reading leaves open the nearest to the bias."""
    return min(max(bias_c, off_c - open_k), off_c + open_k)


def _corrected(bias_c: float, off_c: float, seconds: float) -> tuple[float, str | None]:
    """Move the bias towards a difference; also say where it is too large for this device."""
    gain = min(MOST_GAIN, -math.expm1(-seconds / BIAS_TAU_S))
    bias_c += gain * (off_c - bias_c)
    if abs(bias_c) <= MOST_BIAS_K:
        return bias_c, None
    way = "warmer" if bias_c > 0 else "cooler"
    doubt = f"the device is {abs(bias_c):.0f} K {way} than its model: fit it anew"
    return math.copysign(MOST_BIAS_K, bias_c), doubt
