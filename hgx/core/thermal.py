"""What was learnt of a device's heat: how warm which power makes it, how soon, and who draws it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from hgx.core.base import Document, Identifier, NonNegative, Rate

ActivityKind = Literal["idle", "prefill", "decode"]
"""What a device does with a model; idle is when it waits with the model in its memory."""

Span = tuple[float, float]
"""Least and most that a number may be, with 95% confidence."""

Resistance = Annotated[float, Field(ge=1e-6, le=1e3)]
"""Kelvin per watt: less or more is no device."""

TimeConstant = Annotated[float, Field(ge=1e-3, le=1e6)]
"""Seconds, up to days."""

Power = Annotated[float, Field(ge=0, le=1e5)]
"""Watts."""

AmbientC = Annotated[float, Field(ge=-60, le=150)]
"""Where a device without power ends up, in °C; with a warm neighbour well above the room."""

MOST_POWERS = 256
"""Of so many activities it is kept at most what they draw."""


class ThermalStage(Document):
    """A part of the way that heat takes out of a device, as a resistance and a time constant.

    Attributes:
        resistance_k_per_w: How many kelvin a lasting watt adds.
        tau_s: After this time 63% of that is reached.
        resistance_span_k_per_w: What the resistance may be; null where nobody worked it out.
        tau_span_s: What the time constant may be, likewise.
    """

    resistance_k_per_w: Resistance
    tau_s: TimeConstant
    resistance_span_k_per_w: Span | None = None
    tau_span_s: Span | None = None


class ActivityPower(Document):
    """What a device draws while it does something.

    Attributes:
        kind: What it does.
        precision: Quantisation type of the weights, as ``Q4_K``; null where not known or idle.
        batch: Sequences or tokens that are computed at a time; null where not known or idle.
        power_w: Median.
        scatter_w: Standard deviation between samples.
        samples: How many readings it rests on.
    """

    kind: ActivityKind
    precision: Identifier | None = None
    batch: Annotated[int, Field(ge=1)] | None = None
    power_w: Power
    scatter_w: Power = 0.0
    samples: Annotated[int, Field(ge=1)]


class ForecastError(Document):
    """How far forecasts were off, as a root mean square, so many seconds ahead."""

    ahead_s: Rate
    rmse_c: NonNegative


class ThermalParameters(Document):
    """A device's thermal model with its evidence.

    Attributes:
        stages: One or two, the quickest first.
        ambient_c: Temperature without any power.
        ambient_span_c: What it may be.
        resistance_span_k_per_w: What all stages together may add per watt: their spans do not say,
            because where one is higher the other is lower.
        power_late_s: How late the power meter shows what is drawn: an average of the past.
        rmse_c: How far the model is off on the trace it was fitted to.
        errors: How far forecasts with known power were off, by how far ahead, in rising order.
        held_out: Whether ``errors`` are of a part of the trace that the fit had not seen.
        powers: What activities draw.
        highest_power_w: The most that was seen: what is expected of an unknown activity.
        samples: How many readings were used.
        duration_s: How long they took.
        source: Where they come from, in words.
        fitted_at: When.
        warnings: What to know before relying on it.
    """

    stages: Annotated[tuple[ThermalStage, ...], Field(min_length=1, max_length=2)]
    ambient_c: AmbientC
    ambient_span_c: Span | None = None
    resistance_span_k_per_w: Span | None = None
    power_late_s: NonNegative = 0.0
    rmse_c: NonNegative
    errors: Annotated[tuple[ForecastError, ...], Field(max_length=64)] = ()
    held_out: bool = False
    powers: Annotated[tuple[ActivityPower, ...], Field(max_length=MOST_POWERS)] = ()
    highest_power_w: Power
    samples: Annotated[int, Field(ge=1)]
    duration_s: Rate
    source: str | None = None
    fitted_at: AwareDatetime | None = None
    warnings: Annotated[tuple[str, ...], Field(max_length=64)] = ()

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for what, values in (
            ("stages", [stage.tau_s for stage in self.stages]),
            ("errors", [error.ahead_s for error in self.errors]),
        ):
            if values != sorted(set(values)):
                msg = f"{what} must come in rising order of seconds, each once"
                raise ValueError(msg)
        return self
