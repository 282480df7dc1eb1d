"""The most work that pauses leave possible within a limit: what a policy is measured against.

It knows the device as it is and its whole future. It shares no code with the policy: time goes on
in small steps of plain numbers.

At every moment it works as much as keeps the limit, sparing nothing for later ("riding"). Where
pauses may be as short as one likes nothing gets more done. Write the temperature as
``T(k) = f(k) + sum_j h(k - j) d(j)`` with shares ``d`` of work, ``h`` the answer to one step of
work, and the limit as ``T(k) <= L``. ``h`` is a sum of decaying exponentials with positive weights,
so it is log-convex, and its inverse sequence is positive first and negative from then on, with a
positive sum (Kaluza 1928). Hence the prices ``y`` with ``sum_k h(k - j) y(k) = 1`` for all steps
``j`` since the limit was reached are positive. Steps before that pay less than 1 for their work, as
``h`` falls, so there full work is right. Both together prove the ride by linear duality.

Whole pauses make the end of work hotter than the mean. So rest comes first in each turn, and work
goes on until the limit is reached: a turn that began with work could not work at all right after
the limit was reached. Other patterns might gain a little: the best steady share is tried too.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hgx.thermal.rc import Network

_STEP_S = 0.25
_HALVINGS = 12


class Task(NamedTuple):
    """What is to be done with a device.

    Attributes:
        network: The device as it is, with all its stages, also those that no sensor sees.
        work_w: Drawn while it works.
        idle_w: Drawn while it rests.
        ceiling_c: No moment may be hotter.
        period_s: One turn of work and rest, as short as it can be.
        duration_s: For how long.
    """

    network: Network
    work_w: float
    idle_w: float
    ceiling_c: float
    period_s: float
    duration_s: float


def most_work(task: Task, start_k: Sequence[float]) -> float:
    """Return the largest share of work that keeps the limit, over the whole time.

    Args:
        task: What is to be done.
        start_k: The rise of each stage at the begin.
    """
    return max(_riding(task, list(start_k)), _steady(task, list(start_k)))


def _riding(task: Task, rise: list[float]) -> float:
    periods = int(task.duration_s / task.period_s)
    done = 0.0
    for _ in range(periods):
        low, high = 0.0, 1.0
        if _period(task, rise, 1.0)[0] <= task.ceiling_c:
            low = 1.0
        for _ in range(0 if low else _HALVINGS):
            middle = (low + high) / 2
            if _period(task, rise, middle)[0] <= task.ceiling_c:
                low = middle
            else:
                high = middle
        rise = _period(task, rise, low)[1]
        done += low
    return done / periods


def _steady(task: Task, start: list[float]) -> float:
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _keeps(task, start, middle) else (low, middle)
    return low


def _keeps(task: Task, rise: list[float], duty: float) -> bool:
    for _ in range(int(task.duration_s / task.period_s)):
        hottest_c, rise = _period(task, rise, duty)
        if hottest_c > task.ceiling_c:
            return False
    return True


def _period(task: Task, rise: list[float], duty: float) -> tuple[float, list[float]]:
    """Rest, then work; return the highest temperature while it works, and the stages then."""
    hottest_c = -math.inf
    work_s = duty * task.period_s
    for power_w, seconds in ((task.idle_w, task.period_s - work_s), (task.work_w, work_s)):
        steps = math.ceil(seconds / _STEP_S)
        for _ in range(steps):
            rise = [
                stage.resistance_k_per_w * power_w
                + (was - stage.resistance_k_per_w * power_w)
                * math.exp(-seconds / steps / stage.tau_s)
                for was, stage in zip(rise, task.network.stages, strict=True)
            ]
            if power_w == task.work_w:
                hottest_c = max(hottest_c, task.network.ambient_c + sum(rise))
    return hottest_c, rise
