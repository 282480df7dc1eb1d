"""One prompt, one answer, and its figures."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, NamedTuple

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from hgx.engine.base import Endpoint
from hgx.errors import EngineError
from hgx.serve.once import Measured, ask, measure
from tests.serve.small_engine import serving

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from hgx.serve.once import Answer

_TIMINGS = {"prompt_ms": 250.0, "predicted_ms": 375.0, "predicted_n": 4}
_COMPLETION: list[object] = [
    {"choices": [{"text": ", there"}]},
    {"choices": [{"text": " was", "finish_reason": None}]},
    {"choices": [{"text": "", "finish_reason": "length"}], "timings": _TIMINGS},
    {"choices": [], "usage": {"completion_tokens": 4}},
]
_CHAT: list[object] = [
    {"choices": [{"delta": {"role": "assistant", "content": None}}]},
    {"choices": [{"delta": {"content": "Paris"}}]},
    {"choices": [{"delta": {}, "finish_reason": "stop"}], "timings": _TIMINGS},
]


def _stream(events: Sequence[object]) -> Response:
    lines = [f"data: {json.dumps(event)}\n\n" for event in events]
    return PlainTextResponse(": a comment\n\n" + "".join(lines) + "data: [DONE]\n\n")


class _Asked(NamedTuple):
    """What came of a question: the answer, and what the engine was asked."""

    answer: Answer
    path: str
    body: dict[str, object]


def _ask(respond_with: Response, *, chat: bool = False) -> _Asked:
    """Ask an engine that responds so."""
    asked: list[tuple[str, dict[str, object]]] = []

    async def respond(request: Request) -> Response:
        asked.append((request.url.path, await request.json()))
        return respond_with

    pieces: list[str] = []
    app = Starlette(routes=[Route("/{path:path}", respond, methods=["POST"])])
    with serving(app) as url:
        answer = ask(Endpoint(url, "key"), "Once", chat=chat, max_tokens=7, show=pieces.append)
    assert "".join(pieces) == answer.text
    return _Asked(answer, *asked[0])


def test_a_text_is_continued() -> None:
    """Without a chat template the text is continued, the same every time; figures come along."""
    asked = _ask(_stream(_COMPLETION))
    assert asked.path == "/v1/completions"
    assert (asked.body["prompt"], asked.body["max_tokens"]) == ("Once", 7)
    assert asked.body["temperature"] == 0
    assert (asked.answer.text, asked.answer.finish_reason) == (", there was", "length")
    assert asked.answer.usage == {"completion_tokens": 4}
    assert asked.answer.measured == Measured(ttft_s=0.25, tpot_s=0.125)


def test_a_message_is_answered() -> None:
    """With a chat template the prompt is a message, and the model's own sampling holds."""
    asked = _ask(_stream(_CHAT), chat=True)
    assert asked.path == "/v1/chat/completions"
    assert asked.body["messages"] == [{"role": "user", "content": "Once"}]
    assert "temperature" not in asked.body
    assert (asked.answer.text, asked.answer.finish_reason) == ("Paris", "stop")


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (JSONResponse({"error": {"message": "too long"}}, 400), "too long"),
        (PlainTextResponse("what?", 500), "what?"),
        (JSONResponse([], 404), r"\[\]"),
        (_stream([{"error": {"message": "broken"}}]), "broken"),
    ],
)
def test_a_refusal(response: Response, reason: str) -> None:
    """The engine's reason for a refusal is quoted, whatever its shape."""
    with pytest.raises(EngineError, match=f"refused the prompt: {reason}"):
        _ask(response)


def test_an_engine_that_is_gone() -> None:
    """An engine that no longer listens is an error, not a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(EngineError, match="ended while it answered"):
        ask(Endpoint(url, ""), "x", chat=False, max_tokens=1, show=lambda _: None)


def test_one_token_has_no_rate() -> None:
    """Time per token after the first needs a second token; without timings nothing is known."""
    one = measure({"prompt_ms": 100.0, "predicted_ms": 0.0, "predicted_n": 1})
    assert one == Measured(ttft_s=0.1, tpot_s=None)
    assert measure({}) is None
