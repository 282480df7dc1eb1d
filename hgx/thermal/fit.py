"""A device's thermal parameters from a trace, with their evidence; or why there are none."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from hgx.core.thermal import ForecastError, ThermalParameters, ThermalStage
from hgx.thermal.activity import learn_powers
from hgx.thermal.clean import LEAST_READINGS, Piece, clean
from hgx.thermal.holdout import look_back
from hgx.thermal.search import COLDEST_AMBIENT_C, search
from hgx.thermal.spans import spans_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from hgx.thermal.search import Found
    from hgx.thermal.spans import Spans
    from hgx.thermal.trace import Trace

SHORTEST_S: Final = 60.0
FEWEST_READINGS: Final = 30

LEAST_SWING: Final = 0.1
"""Part of its highest power by which power must change; of nearly constant power anything
follows."""

LEAST_RISE_K: Final = 3.0
"""Whole degrees must change by a few to tell anything."""

WIDEST_SPAN: Final = 0.3
"""Half of the span of the resistance, as a part of it: beyond, forecasts are guesses."""

MOST_ERROR_K: Final = 1.0
MOST_ERROR: Final = 0.3
"""A fit is off by no more than a degree, or than this part of how temperatures scatter."""

BETTER: Final = 0.95
"""A second stage must make the error at least so much smaller."""

SEEN_SHARE: Final = 0.6
"""Part of the trace that a model is fitted to, to see how far off it is on the rest."""

AHEAD_S: Final = (5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
FEWEST_FORECASTS: Final = 20


class Refusal(NamedTuple):
    """Why a trace gives no model.

    Attributes:
        reason: What is wrong with it.
        remedy: What to do, in the imperative.
        notes: What else was wrong with readings.
    """

    reason: str
    remedy: str
    notes: tuple[str, ...] = ()


def fit(
    trace: Trace,
    *,
    stages: int | None = None,
    source: str | None = None,
    fitted_at: datetime | None = None,
) -> ThermalParameters | Refusal:
    """Fit a thermal model.

    Args:
        trace: What was recorded, as it was; what cannot be relied on is left out.
        stages: One or two; null for two where they are notably better than one.
        source: Where the trace comes from, in words.
        fitted_at: Now.

    Returns:
        The parameters; or why there are none, where power changed too little, the trace is too
        short or does not follow its power.
    """
    pieces, notes = clean(trace)
    found = _fit(pieces, stages)
    if isinstance(found, Refusal):
        return found._replace(notes=notes)
    parameters = _parameters(pieces, *found).model_copy(
        update={
            "powers": learn_powers(trace),
            "warnings": notes,
            "source": source,
            "fitted_at": fitted_at,
        }
    )
    seen, from_s = _first_part(pieces)
    early = _fit(seen, len(parameters.stages))
    held_out = not isinstance(early, Refusal)
    if isinstance(early, Refusal):
        early, from_s = found, -math.inf
    errors = _errors(_parameters(pieces, *early), pieces[-1], from_s)
    return parameters.model_copy(update={"errors": errors, "held_out": held_out and bool(errors)})


def _fit(pieces: Sequence[Piece], stages: int | None) -> tuple[Found, Spans] | Refusal:
    refusal = _too_little(pieces)
    if refusal:
        return refusal
    found = search(pieces, stages or 2)
    if stages is None:
        one = search(pieces, 1)
        if len(found.network.stages) < 2 or found.rmse_c > BETTER * one.rmse_c:
            found = one
    if not found.network.stages:
        return Refusal(
            "the temperature does not rise with the power",
            "record temperature and power of the same device",
        )
    spans = spans_of(pieces, found)
    return _unsure(pieces, found, spans) or (found, spans)


def _too_little(pieces: Sequence[Piece]) -> Refusal | None:
    """Say what makes a fit pointless."""
    duration_s = sum(piece.duration_s for piece in pieces)
    temperature = _all_temperatures(pieces)
    if duration_s < SHORTEST_S or len(temperature) < FEWEST_READINGS:
        return Refusal(
            f"the trace is too short: {len(temperature)} good readings in {duration_s:.0f} s",
            f"record at least {SHORTEST_S:.0f} s, better several minutes",
        )
    power = np.concatenate([piece.power_w for piece in pieces])
    low, high = np.percentile(power, (1, 99)).tolist()
    cure = "record a trace in which the device is idle, works fully, and is idle again"
    if high - low < LEAST_SWING * high or high <= 0:
        return Refusal(f"power hardly changes: from {low:.4g} to {high:.4g} W", cure)
    if np.ptp(temperature) < LEAST_RISE_K:
        least, most = temperature.min(), temperature.max()
        return Refusal(f"temperature hardly changes: from {least:.1f} to {most:.1f} °C", cure)
    return None


def _unsure(pieces: Sequence[Piece], found: Found, spans: Spans) -> Refusal | None:
    """Say why a fit is not to be relied on."""
    scatter_k = float(_all_temperatures(pieces).std())
    if found.rmse_c > max(MOST_ERROR_K, MOST_ERROR * scatter_k):
        return Refusal(
            f"temperature does not follow power: the best model is {found.rmse_c:.1f} °C off",
            "record with steady surroundings and fans, and with the power of this device alone",
        )
    longest_s = max(piece.duration_s for piece in pieces)
    slowest_s = found.network.stages[-1].tau_s
    if slowest_s > longest_s:
        return Refusal(
            f"the trace is too short: after {longest_s:.0f} s the device was still warming up",
            "record several times as long",
        )
    low, high = spans.resistance_k_per_w
    total = found.network.resistance_k_per_w
    if (high - low) / 2 > WIDEST_SPAN * total or found.network.ambient_c <= COLDEST_AMBIENT_C:
        return Refusal(
            f"power changes too little to tell: a watt may add anything from {low:.2g} to "
            f"{high:.2g} K",
            "record a trace in which the device is idle, works fully, and is idle again",
        )
    return None


def _all_temperatures(pieces: Sequence[Piece]) -> np.ndarray:
    known = [piece.temperature_c[np.isfinite(piece.temperature_c)] for piece in pieces]
    return np.concatenate(known) if known else np.zeros(0)


def _first_part(pieces: Sequence[Piece]) -> tuple[list[Piece], float]:
    """Return the pieces up to a share of their time, and from when on the last one is unseen."""
    left_s = SEEN_SHARE * sum(piece.duration_s for piece in pieces)
    at = 0
    while pieces[at].duration_s <= left_s:
        left_s -= pieces[at].duration_s
        at += 1
    end_s = float(pieces[at].time_s[0]) + left_s
    count = int(np.searchsorted(pieces[at].time_s, end_s))
    begun = Piece(*(column[:count] for column in pieces[at]))
    seen = [*pieces[:at], begun] if count >= LEAST_READINGS else list(pieces[:at])
    return seen, end_s if at == len(pieces) - 1 else -math.inf


def _errors(
    parameters: ThermalParameters, piece: Piece, from_s: float
) -> tuple[ForecastError, ...]:
    """Say how far forecasts were off, by how far ahead."""
    return tuple(
        ForecastError(ahead_s=ahead_s, rmse_c=_rounded(seen.rmse_c(seen.planned)))
        for ahead_s, seen in zip(
            AHEAD_S, look_back(parameters, piece, from_s, AHEAD_S), strict=True
        )
        if len(seen.came) >= FEWEST_FORECASTS
    )


def _parameters(pieces: Sequence[Piece], found: Found, spans: Spans) -> ThermalParameters:
    stages = tuple(
        ThermalStage(
            resistance_k_per_w=_rounded(stage.resistance_k_per_w),
            tau_s=_rounded(stage.tau_s),
            resistance_span_k_per_w=_rounded_span(resistance),
            tau_span_s=_rounded_span(tau),
        )
        for stage, (resistance, tau) in zip(found.network.stages, spans.stages, strict=True)
    )
    return ThermalParameters(
        stages=stages,
        ambient_c=_rounded(found.network.ambient_c),
        ambient_span_c=_rounded_span(spans.ambient_c),
        resistance_span_k_per_w=_rounded_span(spans.resistance_k_per_w),
        power_late_s=found.late_s,
        rmse_c=_rounded(found.rmse_c),
        highest_power_w=_rounded(max(float(piece.power_w.max()) for piece in pieces)),
        samples=sum(len(piece.time_s) for piece in pieces),
        duration_s=_rounded(sum(piece.duration_s for piece in pieces)),
    )


def _rounded(value: float) -> float:
    """Six digits: finer than any of this is known, and short in a file."""
    return float(f"{value:.6g}")


def _rounded_span(span: tuple[float, float]) -> tuple[float, float]:
    return _rounded(span[0]), _rounded(span[1])
