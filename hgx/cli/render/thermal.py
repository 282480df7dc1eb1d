"""What ``hgx thermal`` shows: the live table, fits and forecasts."""

from __future__ import annotations

import json
import math
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from hgx.cli.render.console import plain, stderr, stdout
from hgx.cli.render.devices import Column, DeviceTable
from hgx.cli.render.live import show_live
from hgx.cli.render.watch import battery_words

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from pathlib import Path

    from rich.console import RenderableType

    from hgx.core.reading import Reading
    from hgx.core.thermal import ThermalParameters
    from hgx.flows.thermal_fit import Fitted
    from hgx.flows.thermal_forecast import Answer
    from hgx.flows.thermal_live import Heat, Look
    from hgx.thermal.forecast import TimeToLimit

_COLUMNS = (
    Column("DEVICE", words=True),
    *(Column(heading) for heading in ("TEMP", "SLOWS", "SHUTS OFF", "POWER", "TIME TO LIMIT")),
    Column("THROTTLED", words=True),
    Column("NOTE", words=True),
)
_NEAR_S = 60.0
"""Sooner than that a limit is shown in red."""

_AHEAD_S = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)


def show_looks(looks: Iterable[Look], *, as_json: bool) -> None:
    """Show each look: in place of the last on a terminal, below it elsewhere.

    Args:
        looks: As they come.
        as_json: Whether to print a line of JSON for each instead.
    """
    show_live(looks, picture, (lambda look: json.dumps(_look_json(look))) if as_json else None)


def picture(look: Look) -> RenderableType:
    """Lay out a look: a line per device, and the battery."""
    lines = [f"{look.at.astimezone():%H:%M:%S}"]
    if look.battery:
        lines.insert(0, battery_words(look.battery))
    table = DeviceTable(_COLUMNS, [_cells(heat) for heat in look.devices])
    return Group(table, *(Text(line, style="dim") for line in lines))


def _cells(heat: Heat) -> tuple[Text, ...]:
    reading, soonest = heat.row.reading, heat.to_limit
    near = soonest is not None and soonest.soonest_s < _NEAR_S
    throttles = reading.throttles
    return (
        Text(plain(heat.row.device)),
        Text(_celsius(reading.temperature_c)),
        Text(_celsius(heat.limit_c)),
        Text(_celsius(reading.shutdown_c)),
        Text("-" if reading.power_w is None else f"{reading.power_w:.1f} W"),
        Text(time_words(soonest), style="bold red" if near else ""),
        Text("-" if throttles is None else plain(", ".join(throttles)) or "no"),
        Text(plain("; ".join(heat.notes))),
    )


def time_words(found: TimeToLimit | None) -> str:
    """Say when a limit is reached: what is expected, and what it may be."""
    if found is None:
        return "-"
    if math.isinf(found.soonest_s):
        return "never"
    if found.latest_s == 0:
        return "now"
    expected = "perhaps" if math.isinf(found.expected_s) else _duration(found.expected_s)
    latest = "never" if math.isinf(found.latest_s) else _duration(found.latest_s)
    return f"{expected} ({_duration(found.soonest_s)} to {latest})"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _celsius(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} °C"


def _look_json(look: Look) -> dict[str, object]:
    return {
        "at": look.at.isoformat(timespec="milliseconds"),
        "devices": [
            {
                "id": heat.row.device,
                "reading": heat.row.reading.model_dump(mode="json", exclude_none=True),
                "limit_c": heat.limit_c,
                "to_limit": time_json(heat.to_limit),
                "notes": heat.notes,
            }
            for heat in look.devices
        ],
        "battery": look.battery and look.battery.model_dump(mode="json", exclude_none=True),
    }


def time_json(found: TimeToLimit | None) -> dict[str, float | None] | None:
    """Write a time to a limit, with null for never."""
    if found is None:
        return None
    return {name: _number(value) for name, value in found._asdict().items()}


def _number(value: float) -> float | None:
    """Write a number to six digits; JSON has no infinity."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


@contextmanager
def recording(*, quiet: bool) -> Generator[Callable[[float, Reading], None]]:
    """Show the last reading while a trace is recorded, on a terminal."""
    console = stderr()
    if quiet or not console.is_terminal:
        yield lambda seconds, reading: None  # noqa: ARG005 - the shape is the other's
        return
    with console.status("Recording") as status:

        def show(seconds: float, reading: Reading) -> None:
            power = "" if reading.power_w is None else f", {reading.power_w:.1f} W"
            heat = _celsius(reading.temperature_c)
            status.update(f"Recording for {seconds:.0f} s: {heat}{power} (Ctrl+C ends it)")

        yield show


def show_recorded(path: Path, count: int, *, as_json: bool, quiet: bool) -> None:
    """Say where a trace is."""
    if as_json:
        print(json.dumps({"path": str(path), "readings": count}), file=stdout().file)
    elif not quiet:
        stderr().print(f"{count} readings are in {plain(str(path))}", soft_wrap=True)
        stderr().print(f"Next: hgx thermal fit {plain(str(path))}", style="dim", soft_wrap=True)


def show_fitted(fitted: Fitted, *, as_json: bool, quiet: bool) -> None:
    """Show what was learnt of a device's heat."""
    parameters = fitted.parameters
    if as_json:
        found = {"device": fitted.device, "thermal": parameters.model_dump(mode="json")}
        found |= {"note": fitted.note} if fitted.note else {}
        print(json.dumps(found, indent=2), file=stdout().file)
        return
    for line in _fit_lines(fitted.device, parameters):
        stdout().print(line, soft_wrap=True)
    notes = (fitted.note,) if fitted.note else parameters.warnings
    for warning in () if quiet else notes:
        stderr().print(f"note: {plain(warning)}", style="dim", soft_wrap=True)


def _fit_lines(device: str, parameters: ThermalParameters) -> Iterable[str]:
    yield f"{plain(device)}: {parameters.source or 'a trace'}, {parameters.rmse_c:.2f} °C off"
    for number, stage in enumerate(parameters.stages, 1):
        resistance = _with_span(stage.resistance_k_per_w, stage.resistance_span_k_per_w)
        yield f"  stage {number}: {resistance} K/W, {_with_span(stage.tau_s, stage.tau_span_s)} s"
    ambient = _with_span(parameters.ambient_c, parameters.ambient_span_c)
    yield f"  without power: {ambient} °C"
    what = "of readings it had not seen" if parameters.held_out else "of the same readings"
    for error in parameters.errors:
        yield f"  forecasts {error.ahead_s:.0f} s ahead {what}: {error.rmse_c:.2f} °C off"
    for power in parameters.powers:
        parts = (power.kind, power.precision, power.batch and f"batch {power.batch}")
        name = " ".join(str(part) for part in parts if part)
        yield f"  {plain(name)}: {power.power_w:.1f} W ± {power.scatter_w:.1f}"


def _with_span(value: float, span: tuple[float, float] | None) -> str:
    return f"{value:.3g}" if span is None else f"{value:.3g} ({span[0]:.3g} to {span[1]:.3g})"


def show_forecast(answer: Answer, *, as_json: bool, quiet: bool) -> None:
    """Show temperatures to come, when the limit is reached, and what can be kept up."""
    if as_json:
        print(json.dumps(_forecast_json(answer)), file=stdout().file)
        return
    question, found = answer.question, answer.forecast
    head = f"{plain(question.device.id)}, {question.activity} at {answer.power.power_w:.1f} W"
    begin = "an unknown temperature" if answer.begins_c is None else _celsius(answer.begins_c)
    stdout().print(f"{head}, from {begin}", soft_wrap=True)
    for ahead_s in (one for one in _AHEAD_S if one <= question.duration_s):
        at = int(abs(found.ahead_s - ahead_s).argmin())
        low, high = (_tenths(float(one[at])) for one in (found.low_c, found.high_c))
        middle = _tenths(float(found.temperature_c[at]))
        stdout().print(f"  in {_duration(ahead_s):>7}: {middle} °C ({low} to {high})")
    if answer.limit_c is not None:
        words = time_words(answer.to_limit)
        stdout().print(f"  {answer.limit_c:.0f} °C, the limit: {words}", soft_wrap=True)
    if answer.sustained is not None:
        kept = answer.sustained
        share = f"{kept.duty:.0%} of it ({kept.low:.0%} to {kept.high:.0%})"
        stdout().print(f"  can be kept up for ever: {share}", soft_wrap=True)
    for doubt in () if quiet else found.doubts:
        stderr().print(f"note: {plain(doubt)}", style="dim", soft_wrap=True)


def _tenths(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else "unknown"


def _forecast_json(answer: Answer) -> dict[str, object]:
    found = answer.forecast
    columns = found._asdict()
    return {
        "device": answer.question.device.id,
        "activity": str(answer.question.activity),
        "power_w": answer.power.power_w,
        "begins_c": answer.begins_c,
        "limit_c": answer.limit_c,
        "to_limit": time_json(answer.to_limit),
        "sustained": answer.sustained and answer.sustained._asdict(),
        "forecast": {
            name: [_number(float(one)) for one in columns[name]]
            for name in ("ahead_s", "temperature_c", "low_c", "high_c")
        },
        "doubts": found.doubts,
    }
