"""Patterns of work and rest, tried one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgx.thermal.rc import step, temperature_c

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from hgx.thermal.optimum import Task


def best_of_patterns(
    task: Task, start_k: NDArray[np.float64], patterns: Iterable[tuple[float, ...]]
) -> float:
    """Return the most work of all patterns that keep a limit, as a share of the time.

    Args:
        task: What is to be done.
        start_k: The state at the begin.
        patterns: Shares of work in turn after turn.
    """
    best = 0.0
    for pattern in patterns:
        done = sum(pattern) / len(pattern)
        if done > best and _keeps(task, start_k, pattern):
            best = done
    return best


def _keeps(task: Task, rise_k: NDArray[np.float64], pattern: tuple[float, ...]) -> bool:
    for share in pattern:
        work_s = share * task.period_s
        rise_k = step(task.network, rise_k, task.work_w, work_s)
        if share and float(temperature_c(task.network, rise_k)) > task.ceiling_c:
            return False
        rise_k = step(task.network, rise_k, task.idle_w, task.period_s - work_s)
    return True
