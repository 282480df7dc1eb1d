"""What is wrong in a registry document, in words for the person who wrote it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pydantic import JsonValue, ValidationError
    from pydantic_core import ErrorDetails

_KINDS: Final = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "string_too_short": "text of 1 to 253 characters without spaces",
    "string_too_long": "text of 1 to 253 characters without spaces",
    "string_pattern_mismatch": "text of 1 to 253 characters without spaces",
    "tuple_type": "a list",
    "model_type": "an object",
    "model_attributes_type": "an object",
}
_NAMES: Final = {"nodes": "node", "devices": "device", "links": "link"}


def explain(error: ValidationError, document: JsonValue) -> str:
    """Describe the first fault: its JSON path, whose it is, what is wrong, what to do.

    Args:
        error: What validating the document gave.
        document: The parsed JSON, to name the device or node of the fault.

    Returns:
        One line such as ``devices[2].memory_total_bytes (device "tower/cuda:0") must be above 0,
        and is -1: correct it``; it says how many more faults there are.
    """
    faults = error.errors(include_url=False)
    first = faults[0]
    loc = first["loc"]
    subject = " ".join(part for part in (_path(loc), _owner(loc, document)) if part)
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{subject} {_complaint(first)}{more}".lstrip()


def _path(loc: tuple[int | str, ...]) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc)
    return "".join(steps).lstrip(".")


def _owner(loc: tuple[int | str, ...], document: JsonValue) -> str:
    """Name the node, device or link by its id where it has one, since nobody counts to [17]."""
    match loc, document:
        case (str(room), int(index), *_), dict() if room in _NAMES:
            entries = document.get(room)
        case _:
            return ""
    match entries[index] if isinstance(entries, list) else None:
        case {"id": str(name)}:
            return f"({_NAMES[room]} {_shown(name)})"
        case {"from": str(source), "to": str(target)}:
            return f"(link {_shown(source)} to {_shown(target)})"
        case _:
            return ""


def _complaint(fault: ErrorDetails) -> str:
    kind, value, context = fault["type"], fault["input"], fault.get("ctx", {})
    match kind:
        case "missing":
            return "is missing: add it"
        case "greater_than":
            text = f"must be above {context['gt']:g}, and is {_shown(value)}"
        case "greater_than_equal":
            text = f"must be {context['ge']:g} or more, and is {_shown(value)}"
        case "literal_error":
            return f"is {_shown(value)}, but this hgx reads version 1: upgrade hgx, or correct it"
        case "value_error":
            text = str(context["error"])
        case "json_invalid":
            text = f"is not valid JSON: {context['error']}"
        case _ if kind in _KINDS:
            text = f"must be {_KINDS[kind]}, and is {_shown(value)}"
        case _:
            text = f"is wrong: {fault['msg'].lower()}"
    return f"{text}: correct it"


def _shown(value: object) -> str:
    """Write a value as in JSON, on one line, in ASCII, not longer than a glance."""
    match value:
        case dict():
            return "an object"
        case list() | tuple():
            return "a list"
        case _:
            text = json.dumps(value, default=repr)
            return text if len(text) <= 60 else f"{text[:57]}..."
