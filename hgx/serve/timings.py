"""The figures that llama.cpp puts at the end of each answer, found without reading the answer."""

from __future__ import annotations

import json
from typing import cast

TAIL_BYTES = 16 * 1024
"""How much of the end of an answer has to be kept for them."""

_FIELD = b'"timings":'
"""No text of an answer can look like that: quotation marks in it are escaped."""


def timings_in(tail: bytes) -> dict[str, float] | None:
    """Return the last timings in a part of an answer, streamed or not.

    Args:
        tail: Its end; what comes before the timings may be cut anywhere.

    Returns:
        Counts, and times in milliseconds, by llama.cpp's names; null where there are none.
    """
    before, found, after = tail.rpartition(_FIELD)
    del before
    if not found:
        return None
    try:
        value: object = json.JSONDecoder().raw_decode(after.decode(errors="replace").lstrip())[0]
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    named = cast("dict[str, object]", value)
    return {key: float(entry) for key, entry in named.items() if isinstance(entry, int | float)}
