"""The HTTP interface: OpenAI's routes for one model, in front of its engine."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Route

from hgx.serve.errors import error_response
from hgx.serve.guard import LoopbackOnly

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.requests import Request
    from starlette.responses import Response

    from hgx.serve.gateway import Gateway

FORWARDED = ("/v1/chat/completions", "/v1/completions")
"""Routes that the engine answers."""


def create_app(gateway: Gateway, model_id: str) -> Starlette:
    """Build the application.

    Requests may name any model: there is only one, and many clients insist on a name of OpenAI's.
    ``/v1/models`` says what it is called; ``/v1/models/NAME`` knows no other.

    Args:
        gateway: The way to the engine; it is closed when the application ends.
        model_id: What the model is called; never a path.
    """
    model = {"id": model_id, "object": "model", "created": int(time.time()), "owned_by": "hgx"}

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        yield
        await gateway.close()

    async def health(_: Request) -> Response:
        if gateway.alive():
            return JSONResponse({"status": "ok"})
        return JSONResponse({"status": "engine stopped"}, HTTPStatus.SERVICE_UNAVAILABLE)

    async def models(_: Request) -> Response:
        return JSONResponse({"object": "list", "data": [model]})

    async def one_model(request: Request) -> Response:
        name = str(request.path_params["name"])
        if name == model_id:
            return JSONResponse(model)
        message = f"there is no model {name!r} here: this server runs {model_id!r}"
        return error_response(404, message, "invalid_request_error", "model_not_found")

    return Starlette(
        routes=[
            *(Route(path, gateway.forward, methods=["POST"]) for path in FORWARDED),
            Route("/v1/models", models),
            Route("/v1/models/{name:path}", one_model),
            Route("/health", health),
        ],
        middleware=[Middleware(LoopbackOnly)],
        exception_handlers={HTTPException: _no_route, Exception: _failure},
        lifespan=lifespan,
    )


async def _no_route(request: Request, error: Exception) -> Response:
    """Say in OpenAI's shape what no route answered."""
    if not isinstance(error, HTTPException):  # for the type checker: it is registered for these
        return await _failure(request, error)
    message = f"{request.method} {request.url.path}: {error.detail}"
    if error.status_code == HTTPStatus.NOT_FOUND:
        message += f"; hgx has {', '.join(FORWARDED)}, /v1/models and /health"
    code = error.detail.lower().replace(" ", "_")
    return error_response(error.status_code, message, "invalid_request_error", code)


async def _failure(_: Request, error: Exception) -> Response:
    """Say in OpenAI's shape that hgx itself failed; the server prints the traceback."""
    message = f"hgx failed on this request ({type(error).__name__}): its terminal says more"
    return error_response(500, message, "server_error", "internal_error")
