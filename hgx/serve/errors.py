"""Errors as OpenAI's clients expect them: ``{"error": {"message", "type", "code"}}``."""

from __future__ import annotations

import json

from starlette.responses import JSONResponse


def error_body(message: str, kind: str, code: str) -> dict[str, dict[str, str]]:
    """Build the body of an error.

    Args:
        message: What is wrong and what to do; one line.
        kind: OpenAI's class of error, as ``invalid_request_error``.
        code: A word for programs.
    """
    return {"error": {"message": message, "type": kind, "code": code}}


def error_response(status: int, message: str, kind: str, code: str) -> JSONResponse:
    """Build a whole answer of an error; ``status`` is HTTP's, for the rest see ``error_body``."""
    return JSONResponse(error_body(message, kind, code), status)


def error_event(message: str, kind: str, code: str) -> bytes:
    """Build a server-sent event of an error, to close a stream that has begun.

    It opens with an empty line, because the stream may have been cut inside an event.
    """
    return f"\n\ndata: {json.dumps(error_body(message, kind, code))}\n\n".encode()
