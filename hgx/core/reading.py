"""Readings of hardware at one moment: what sensors give, and what events carry.

Everything is null where unknown. Zero is a reading: 0 °C, 0 W and an empty battery are real.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hgx.core.base import Bytes, Document, NonNegative, Strict

Share = Annotated[float, Field(ge=0, le=1)]
"""A part of a whole, 0 to 1."""


class Reading(Strict):
    """One device at one moment.

    Attributes:
        temperature_c: The hottest sensor of the chip itself, not of its memory.
        slowdown_c: Where the hardware begins to slow down.
        shutdown_c: Where it switches itself off.
        throttles: Why clocks are held down now, in words; empty where they are not.
        power_w: Drawn by the chip or board.
        power_kind: Whether ``power_w`` is of the moment or an average, where the vendor says so.
        power_limit_w: What it may draw.
        clock_hz: Clock of the arithmetic units.
        memory_clock_hz: Clock of the memory.
        utilisation: Share of the last interval in which it worked.
        memory_total_bytes: Memory of its own.
        memory_used_bytes: Memory in use by anybody.
        memory_free_bytes: Memory that could be allocated now.
    """

    temperature_c: float | None = None
    slowdown_c: float | None = None
    shutdown_c: float | None = None
    throttles: tuple[str, ...] | None = None
    power_w: NonNegative | None = None
    power_kind: Literal["instant", "average"] | None = None
    power_limit_w: NonNegative | None = None
    clock_hz: NonNegative | None = None
    memory_clock_hz: NonNegative | None = None
    utilisation: Share | None = None
    memory_total_bytes: Bytes | None = None
    memory_used_bytes: Bytes | None = None
    memory_free_bytes: Bytes | None = None


class Battery(Document):
    """A machine's battery at one moment.

    Attributes:
        charge: How full it is, 0 to 1.
        charging: Whether it takes in energy.
        plugged: Whether the machine has power from outside.
        power_w: Into or out of the battery; always above or equal zero.
        temperature_c: Of its cells.
        full_wh: Energy in it when it is full, as old as it is; several batteries add up.
    """

    charge: Share | None = None
    charging: bool | None = None
    plugged: bool | None = None
    power_w: NonNegative | None = None
    temperature_c: float | None = None
    full_wh: Annotated[float, Field(gt=0)] | None = None


PowerSource = Literal["mains", "battery"]
"""Where a machine has its power from; a machine without a battery is on mains."""
