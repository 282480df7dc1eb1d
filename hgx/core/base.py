"""The one base of all domain types: frozen, strict, nothing unexpected inside."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class Strict(BaseModel):
    """Immutable value whose fields are exactly those declared, of exactly those types."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, populate_by_name=True
    )


class Document(Strict):
    """A part of a file that people and later versions may extend: unknown fields are kept."""

    model_config = ConfigDict(extra="allow")


def _whole(value: object) -> object:
    """Accept ``8e9`` where a whole number is meant; JSON has only one kind of number."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


Bytes = Annotated[int, BeforeValidator(_whole), Field(ge=0)]
"""A whole number of bytes, zero included."""

PositiveBytes = Annotated[int, BeforeValidator(_whole), Field(gt=0)]
"""A whole number of bytes above zero."""

Rate = Annotated[float, Field(gt=0)]
"""Something per second, above zero: an unknown rate is absent, never zero."""

NonNegative = Annotated[float, Field(ge=0)]
"""A quantity that may be zero."""

Seconds = NonNegative
"""A duration in seconds."""

Identifier = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[^\s\x00-\x1f\x7f]+$")]
"""A name without white space or control characters."""
