"""Fits, forecasts and simulations of heat, drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hgx.cli.render.curves import Curve, Panel, draw_curves
from hgx.store.atomic import storage_error
from hgx.thermal.rc import network_of, rise_at, run, temperature_c

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from hgx.flows.thermal_fit import Fitted
    from hgx.flows.thermal_forecast import Answer
    from hgx.flows.thermal_simulate import Simulated


def write_plot(path: Path, drawing: str) -> None:
    """Write a drawing.

    Raises:
        StorageError: The place is not writable, or the disk is full.
    """
    try:
        path.write_text(drawing, encoding="utf-8", newline="")
    except OSError as error:
        raise storage_error("write", path, error) from error


def draw_fitted(fitted: Fitted) -> str:
    """Draw a trace, and what its power alone makes of it in the model."""
    trace, network = fitted.trace, network_of(fitted.parameters)
    order = np.argsort(trace.time_s, kind="stable")
    time_s, seen_c = trace.time_s[order] - trace.time_s.min(), trace.temperature_c[order]
    power_w = np.nan_to_num(trace.power_w[order])
    first_c = float(next(iter(seen_c[np.isfinite(seen_c)]), network.ambient_c))
    start_k = rise_at(network, first_c, float(power_w[0]))
    model_c = temperature_c(network, run(network, start_k, time_s, power_w))
    heat = Panel(
        "Temperature, °C", (_curve("sensor", time_s, seen_c), _curve("model", time_s, model_c))
    )
    power = Panel("Power, W", (_curve("drawn", time_s, power_w),), 120, low=0.0)
    return draw_curves(f"{fitted.device}: {fitted.parameters.source or 'a trace'}", (heat, power))


def draw_forecast(answer: Answer) -> str:
    """Draw temperatures to come with their interval, and the limit."""
    found, question = answer.forecast, answer.question
    time_s = found.ahead_s
    curves = [
        _curve("expected", time_s, found.temperature_c),
        Curve("95% interval", time_s.tolist(), found.low_c.tolist(), found.high_c.tolist()),
    ]
    if answer.limit_c is not None:
        curves.insert(1, _curve("limit", time_s, np.full_like(time_s, answer.limit_c)))
    title = f"{question.device.id}: {question.activity} at {answer.power.power_w:.1f} W"
    return draw_curves(title, (Panel("Temperature, °C", curves),))


def draw_simulated(simulated: Simulated) -> str:
    """Draw the hottest spot with its limit, and how much work was done."""
    run_, twin = simulated.run, simulated.twin
    time_s = run_.time_s
    limit = np.full_like(time_s, twin.limits.ceiling_c)
    turns_s = [number * twin.possible.period_s for number in range(len(run_.rate))]
    done = f"{run_.done:.1%} done, pauses that keep the limit leave {simulated.best:.1%}"
    title = f"{twin.name}, policy {simulated.policy}: {done}"
    heat = Panel(
        "Hottest spot, °C",
        (_curve("device", time_s, run_.hottest_c), _curve("limit", time_s, limit)),
    )
    work = Panel(
        "Work, share", (Curve("done", turns_s, run_.rate.tolist()),), 120, low=0.0, high=1.0
    )
    return draw_curves(title, (heat, work))


def _curve(name: str, time_s: NDArray[np.float64], values: NDArray[np.float64]) -> Curve:
    return Curve(name, time_s.tolist(), values.tolist())
