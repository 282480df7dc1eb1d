"""The gateway in front of a small engine, over real sockets."""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import TYPE_CHECKING

import httpx2
import pytest

from hgx.engine.base import Endpoint
from hgx.serve import gateway as module
from hgx.serve.app import create_app
from hgx.serve.gate import Gate
from hgx.serve.gateway import Gateway
from tests.serve.small_engine import serving

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.serve.small_engine import SmallEngine

_ROUTES = ["/v1/completions", "/v1/chat/completions"]


@pytest.mark.parametrize("route", _ROUTES)
def test_a_question_and_its_answer(engine: SmallEngine, gateway: str, route: str) -> None:
    """The engine gets the body as it was sent, with its key, and its answer comes back as is."""
    body = {"prompt": "x", "anything": [1, None]}
    answer = httpx2.post(gateway + route, json=body, headers={"authorization": "Bearer user"})
    assert answer.status_code == 200
    assert answer.json() == {"choices": [{"text": "hello"}], "path": route}
    assert engine.asked == [body]
    assert engine.keys == ["Bearer the-key"]


def test_the_engines_refusal_is_passed_on(gateway: str) -> None:
    """Status and body of the engine's own error reach the client."""
    answer = httpx2.post(f"{gateway}/v1/completions", json={"prompt": "refuse"})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "no"


def test_a_stream_comes_as_it_is_made(engine: SmallEngine, gateway: str) -> None:
    """The first event arrives while the engine has not made the second one yet."""
    body = {"prompt": "x", "stream": True}
    with httpx2.stream("POST", f"{gateway}/v1/completions", json=body, timeout=30) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        pieces = answer.iter_raw()
        assert next(pieces) == b'data: {"n": 1}\n\n'
        assert not engine.more.is_set()
        engine.more.set()
        assert b"".join(pieces) == b'data: {"n": 2}\n\ndata: [DONE]\n\n'


def test_leaving_a_stream_stops_the_engine(engine: SmallEngine, gateway: str) -> None:
    """A client that goes away in the middle of a stream makes the engine stop."""
    body = {"prompt": "x", "stream": True}
    with httpx2.stream("POST", f"{gateway}/v1/completions", json=body, timeout=30) as answer:
        next(answer.iter_raw())
    assert engine.left.wait(30)


def test_leaving_before_the_answer_stops_the_engine(engine: SmallEngine, gateway: str) -> None:
    """A client that goes away before there is any answer makes the engine stop too."""
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.post(f"{gateway}/v1/completions", json={"prompt": "hang"}, timeout=0.5)
    assert engine.left.wait(30)


def test_an_engine_that_breaks_off_a_stream(engine: SmallEngine, gateway: str) -> None:
    """A stream the engine does not finish ends with an event that is an error."""
    engine.more.set()
    body = {"prompt": "break", "stream": True}
    answer = httpx2.post(f"{gateway}/v1/completions", json=body, timeout=30)
    events = answer.text.strip().split("\n\n")
    assert events[0] == 'data: {"n": 1}'
    error = json.loads(events[-1].removeprefix("data: "))["error"]
    assert (error["type"], error["code"]) == ("server_error", "engine_stopped")


def test_an_engine_that_breaks_off_an_answer() -> None:
    """A connection that breaks before any answer is a 503 that says to try again."""

    def hang_up() -> None:
        connection, _ = listener.accept()
        connection.recv(65536)
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=hang_up, daemon=True).start()
        endpoint = Endpoint(f"http://127.0.0.1:{listener.getsockname()[1]}", "")
        with serving(create_app(Gateway(endpoint, lambda: True), "x")) as url:
            answer = httpx2.post(f"{url}/v1/completions", json={"prompt": "x"}, timeout=30)
    assert answer.status_code == 503
    assert "try again" in answer.json()["error"]["message"]


def test_an_engine_that_died(engine: SmallEngine, gateway: str) -> None:
    """Once the engine's process has ended, requests and health say so."""
    assert httpx2.get(f"{gateway}/health").json() == {"status": "ok"}
    engine.running = False
    answer = httpx2.post(f"{gateway}/v1/completions", json={"prompt": "x"})
    assert answer.status_code == 503
    assert "has stopped" in answer.json()["error"]["message"]
    assert httpx2.get(f"{gateway}/health").status_code == 503


def test_an_engine_that_does_not_listen() -> None:
    """An engine that lives but refuses connections is a 503 as well."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with serving(create_app(Gateway(Endpoint(closed, ""), lambda: True), "x")) as url:
        answer = httpx2.post(f"{url}/v1/completions", json={})
    assert answer.status_code == 503
    assert "try again" in answer.json()["error"]["message"]


def test_a_request_that_is_too_large(
    engine: SmallEngine, gateway: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body above the limit is refused and never reaches the engine."""
    monkeypatch.setattr(module, "MAX_BODY_BYTES", 1000)
    answer = httpx2.post(f"{gateway}/v1/completions", json={"prompt": "x" * 1000})
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "request_too_large"
    assert engine.asked == []


def test_the_one_model(gateway: str) -> None:
    """The list has the one model under its clean name; any other name is not found."""
    models = httpx2.get(f"{gateway}/v1/models").json()
    assert [model["id"] for model in models["data"]] == ["small"]
    assert httpx2.get(f"{gateway}/v1/models/small").json() == models["data"][0]
    other = httpx2.get(f"{gateway}/v1/models/gpt-x")
    assert (other.status_code, other.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/v1/completions", 405, "method_not_allowed"),
        ("GET", "/slots", 404, "not_found"),
        ("POST", "/v1/embeddings", 404, "not_found"),
    ],
)
def test_what_there_is_not(gateway: str, method: str, path: str, status: int, code: str) -> None:
    """Unknown routes and methods are refused in OpenAI's shape; the engine's own are not open."""
    answer = httpx2.request(method, gateway + path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize("header", ["host", "origin"])
def test_web_pages_are_refused(engine: SmallEngine, gateway: str, header: str) -> None:
    """A foreign Host or Origin is refused before anything else happens."""
    answer = httpx2.post(
        f"{gateway}/v1/completions", json={"prompt": "x"}, headers={header: "http://example.com"}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    assert engine.asked == []


def test_a_fault_of_the_gateway(engine: SmallEngine) -> None:
    """An error hgx did not foresee is a 500 in OpenAI's shape."""

    def broken() -> bool:
        msg = "unforeseen"
        raise ValueError(msg)

    with serving(create_app(Gateway(Endpoint(engine.url, ""), broken), "x")) as url:
        answer = httpx2.post(f"{url}/v1/completions", json={})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")


@pytest.fixture
def gated(engine: SmallEngine) -> Generator[tuple[str, Gate]]:
    """The URL of a gateway whose gate is shut, and the gate."""
    gate = Gate()
    gate.set(None, 0.0)
    endpoint = Endpoint(engine.url, "the-key")
    with serving(create_app(Gateway(endpoint, engine.alive, gate=gate), "small")) as url:
        yield url, gate


def _has(gate: Gate, *, running: int, waiting: int) -> bool:
    """Whether so many requests run and wait before half a minute is over."""
    for _ in range(600):
        if (gate.running, gate.waiting) == (running, waiting):
            return True
        time.sleep(0.05)
    return False


def test_a_request_waits_at_the_gate(engine: SmallEngine, gated: tuple[str, Gate]) -> None:
    """While the gate is shut the engine is not asked; when it opens, the request is answered."""
    url, gate = gated
    answers: list[httpx2.Response] = []

    def ask() -> None:
        answers.append(httpx2.post(f"{url}/v1/completions", json={"prompt": "x"}, timeout=60))

    asking = threading.Thread(target=ask)
    asking.start()
    assert _has(gate, running=0, waiting=1)
    assert engine.asked == []
    gate.set(None, 1.0)
    asking.join(30)
    assert [answer.status_code for answer in answers] == [200]
    assert _has(gate, running=0, waiting=0)


def test_who_leaves_the_gate_is_forgotten(engine: SmallEngine, gated: tuple[str, Gate]) -> None:
    """A client that goes away while it waits is never passed on."""
    url, gate = gated
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.post(f"{url}/v1/completions", json={"prompt": "x"}, timeout=0.5)
    assert _has(gate, running=0, waiting=0)
    gate.set(None, 1.0)
    assert httpx2.post(f"{url}/v1/completions", json={"prompt": "y"}).status_code == 200
    assert engine.asked == [{"prompt": "y"}]


def test_a_gate_that_refuses(gated: tuple[str, Gate]) -> None:
    """Where waiting is no use requests are told so, as an error of the server."""
    url, gate = gated
    gate.set(None, 0.0, "the battery is low: connect a charger")
    answer = httpx2.post(f"{url}/v1/completions", json={"prompt": "x"}, timeout=30)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "resting")
    assert answer.json()["error"]["message"] == "the battery is low: connect a charger"
    assert gate.waiting == 0


def test_an_engine_that_dies_while_a_request_waits(
    engine: SmallEngine, gated: tuple[str, Gate]
) -> None:
    """Nobody waits at the gate of an engine that has ended."""
    url, _ = gated
    engine.running = False
    answer = httpx2.post(f"{url}/v1/completions", json={"prompt": "x"}, timeout=30)
    assert answer.json()["error"]["code"] == "engine_stopped"
