"""What a device's heat comes to if it does something from now on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hgx.core.reading import Reading
from hgx.flows.thermal_devices import fitted_parameters
from hgx.sensors.node import read_node
from hgx.sensors.source import MACHINE
from hgx.thermal.activity import IDLE, power_of
from hgx.thermal.drift import Seen, begin
from hgx.thermal.forecast import forecast, time_to_limit
from hgx.thermal.sustained import Work, sustained

if TYPE_CHECKING:
    from hgx.core.registry import Device
    from hgx.sensors.source import Source
    from hgx.thermal.activity import Activity, Power
    from hgx.thermal.forecast import Forecast, TimeToLimit
    from hgx.thermal.sustained import Sustained

_POINTS = 120


class Question(NamedTuple):
    """What is asked.

    Attributes:
        device: Of this machine, whose heat was fitted.
        activity: What it is to do.
        duration_s: How far to look ahead.
        temperature_c: Where it begins; null for what its sensor says.
        limit_c: What is not to be exceeded; null for where the hardware slows down.
    """

    device: Device
    activity: Activity
    duration_s: float = 600.0
    temperature_c: float | None = None
    limit_c: float | None = None


class Answer(NamedTuple):
    """What is forecast.

    Attributes:
        question: What was asked.
        power: What the activity draws.
        begins_c: Where it begins; null where nobody knows.
        forecast: Temperatures from now on, evenly over the time asked for.
        limit_c: What is not to be exceeded; null where nothing says.
        to_limit: When that is reached; null without a limit.
        sustained: The share of such work that the limit allows for ever; null likewise.
    """

    question: Question
    power: Power
    begins_c: float | None
    forecast: Forecast
    limit_c: float | None
    to_limit: TimeToLimit | None
    sustained: Sustained | None


def answer(question: Question, source: Source = MACHINE) -> Answer:
    """Forecast a device's heat.

    Args:
        question: What is asked.
        source: The machine, or a recording, for where it begins and its limit.

    Raises:
        Unavailable: The device's heat was never fitted.
    """
    parameters = fitted_parameters(question.device)
    name = question.device.id.partition("/")[2]
    reading = read_node(source).devices.get(name, Reading())
    begins_c = question.temperature_c
    if begins_c is None:
        begins_c = reading.temperature_c
    # Where it begins by hand is not where the sensor reads this power.
    power_now_w = reading.power_w if question.temperature_c is None else 0.0
    track = begin(parameters, Seen(time.monotonic(), begins_c, power_now_w))
    power = power_of(parameters, question.activity)
    ahead_s = np.linspace(0.0, question.duration_s, _POINTS + 1)
    known = (question.limit_c, reading.slowdown_c, question.device.temperature_limit_c)
    limit_c = next((limit for limit in known if limit is not None), None)
    to_limit, share = None, None
    if limit_c is not None:
        to_limit = time_to_limit(parameters, track, power, limit_c, question.duration_s)
        rest = power_of(parameters, IDLE)
        share = sustained(parameters, limit_c, Work(power, rest))
    found = forecast(parameters, track, power, ahead_s)
    return Answer(question, power, begins_c, found, limit_c, to_limit, share)
