"""One prompt, one answer: asked of the engine directly, shown as it comes, and timed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn, cast

import httpx2

from hgx.core.base import Seconds, Strict
from hgx.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydantic import JsonValue

    from hgx.engine.base import Endpoint

# A base model left to itself repeats its last sentence; a light penalty on repetition and no dice
# give text that reads well and is the same every time. Compared on Gemma 3 270M, five prompts.
_CONTINUE = {"temperature": 0, "repeat_penalty": 1.1}


class Measured(Strict):
    """What the engine's own clock says of one answer.

    Attributes:
        ttft_s: Seconds until the first token.
        tpot_s: Seconds per token after the first; null where there was only one.
    """

    ttft_s: Seconds
    tpot_s: Seconds | None


class Answer(Strict):
    """One answer.

    Attributes:
        text: All of it.
        finish_reason: ``stop``, or ``length`` where the limit of tokens ended it.
        usage: Counts of tokens, as OpenAI names them.
        timings: The engine's own figures, in milliseconds.
        measured: Those of them that a plan predicts.
    """

    text: str
    finish_reason: str | None
    usage: dict[str, Any]
    timings: dict[str, float]
    measured: Measured | None


def ask(
    endpoint: Endpoint,
    prompt: str,
    *,
    chat: bool,
    max_tokens: int,
    show: Callable[[str], None],
) -> Answer:
    """Ask a running engine one thing.

    Args:
        endpoint: Where it listens.
        prompt: A message where ``chat``, else a text to continue.
        chat: Whether the model has a chat template.
        max_tokens: Longest answer.
        show: Given each piece of text as it comes.

    Raises:
        EngineError: The engine refused, or ended while it answered.
    """
    body: dict[str, JsonValue] = {"max_tokens": max_tokens, "stream": True}
    body["stream_options"] = {"include_usage": True}
    if chat:
        body["messages"] = [{"role": "user", "content": prompt}]
    else:
        body |= {"prompt": prompt, **_CONTINUE}
    path = "/v1/chat/completions" if chat else "/v1/completions"
    pieces: list[str] = []
    last: dict[str, Any] = {}
    finish: str | None = None
    for event in _events(endpoint, path, body):
        last |= {key: event[key] for key in ("usage", "timings") if event.get(key)}
        for choice in event.get("choices") or ():
            text = choice.get("text") or choice.get("delta", {}).get("content") or ""
            finish = choice.get("finish_reason") or finish
            if text:
                pieces.append(text)
                show(text)
    timings: dict[str, float] = last.get("timings") or {}
    return Answer(
        text="".join(pieces),
        finish_reason=finish,
        usage=last.get("usage") or {},
        timings={key: float(value) for key, value in timings.items()},
        measured=measure(timings),
    )


def measure(timings: dict[str, float]) -> Measured | None:
    """Turn the engine's timings into TTFT and TPOT.

    ``prompt_ms`` ends with the first token; ``predicted_ms`` begins there, so it is the time of
    ``predicted_n - 1`` tokens, although the engine's own rate divides by ``predicted_n``.

    Args:
        timings: The engine's figures, in milliseconds.

    Returns:
        Null where the engine gave none.
    """
    if "prompt_ms" not in timings:
        return None
    after_first = int(timings.get("predicted_n", 0)) - 1
    tpot = timings["predicted_ms"] / 1000 / after_first if after_first > 0 else None
    return Measured(ttft_s=timings["prompt_ms"] / 1000, tpot_s=tpot)


def _events(endpoint: Endpoint, path: str, body: dict[str, JsonValue]) -> Iterator[dict[str, Any]]:
    """Yield the objects of a stream of server-sent events."""
    headers = {"authorization": f"Bearer {endpoint.api_key}"}
    timeout = httpx2.Timeout(None, connect=10)
    try:
        with (
            httpx2.Client(
                base_url=endpoint.url, headers=headers, timeout=timeout, trust_env=False
            ) as client,
            client.stream("POST", path, json=body) as answer,
        ):
            if answer.is_error:
                _refuse(answer.read())
            for line in answer.iter_lines():
                data = line.removeprefix("data: ")
                if data in (line, "[DONE]"):  # no data, or no more of it
                    continue
                event = cast("dict[str, Any]", json.loads(data))
                if "error" in event:
                    _refuse(data.encode())
                yield event
    except httpx2.TransportError as error:
        msg = "the engine ended while it answered: try again, or read its log in the home's logs"
        raise EngineError(msg) from error


def _refuse(body: bytes) -> NoReturn:
    try:
        message = str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        message = body.decode(errors="replace")[:200]
    raise EngineError(f"the engine refused the prompt: {message}")
