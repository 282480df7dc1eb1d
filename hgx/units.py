"""Bytes, seconds and rates: parse what people type, print what people read.

Sizes are binary (1 KiB = 1024 bytes), as memory is sold and as llama.cpp prints it; rates are
decimal (1 GB/s = 1e9 bytes per second), as vendors give them.
"""

from __future__ import annotations

import math
import re

KIB = 1024
MIB = 1024**2
GIB = 1024**3

_SIZE = re.compile(r"\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[a-zA-Z]*)\s*")
_SIZE_UNITS = {
    "": 1,
    "b": 1,
    "k": KIB,
    "kib": KIB,
    "kb": 1000,
    "m": MIB,
    "mib": MIB,
    "mb": 1000**2,
    "g": GIB,
    "gib": GIB,
    "gb": 1000**3,
    "t": 1024**4,
    "tib": 1024**4,
    "tb": 1000**4,
}


def parse_bytes(text: str) -> int:
    """Read a size such as ``512MiB``, ``1.5G``, ``2GB`` or ``1048576``.

    Args:
        text: A number and an optional unit. ``M`` and ``MiB`` are 1024², ``MB`` is 1000².

    Returns:
        The size in bytes, rounded to the nearest whole byte.

    Raises:
        ValueError: The text is not a size; the message says what one looks like.
    """
    match = _SIZE.fullmatch(text)
    scale = _SIZE_UNITS.get(match["unit"].lower()) if match else None
    if match is None or scale is None:
        msg = f"{text!r} is not a size: write a number and a unit, such as 512MiB or 2GB"
        raise ValueError(msg)
    return round(float(match["number"]) * scale)


def format_bytes(count: float) -> str:
    """Print a size in bytes with three significant digits, as ``246 MiB`` or ``4.5 GiB``."""
    size = abs(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 999.5:
            return f"{_three_digits(math.copysign(size, count))} {unit}"
        size /= 1024
    return f"{_three_digits(math.copysign(size, count))} TiB"


def format_seconds(seconds: float) -> str:
    """Print a duration in seconds with three significant digits, as ``16.4 ms`` or ``2.1 s``."""
    size = abs(seconds)
    if size == 0:
        return "0 s"
    for scale, unit in ((1e-6, "µs"), (1e-3, "ms")):
        if size < 999.5 * scale:
            return f"{_three_digits(seconds / scale)} {unit}"
    return f"{_three_digits(seconds)} s"


def format_rate(bytes_per_s: float) -> str:
    """Print a memory rate in bytes per second, as ``18.2 GB/s`` (decimal, as vendors do)."""
    return f"{_decimal(bytes_per_s)}B/s"


def format_flops(flops_per_s: float) -> str:
    """Print an arithmetic rate in floating point operations per second, as ``90 GFLOP/s``."""
    return f"{_decimal(flops_per_s)}FLOP/s"


def format_tokens(per_s: float) -> str:
    """Print a rate of tokens with three significant digits, as ``66.4 tokens/s``."""
    return f"{_three_digits(per_s)} tokens/s"


def _decimal(value: float) -> str:
    size = value
    for prefix in ("", "k", "M", "G"):
        if size < 999.5:
            return f"{_three_digits(size)} {prefix}"
        size /= 1000
    return f"{_three_digits(size)} T"


def _three_digits(value: float) -> str:
    size = abs(value)
    digits = 0 if size >= 99.95 else 1 if size >= 9.995 else 2
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
