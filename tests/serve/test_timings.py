"""llama.cpp's figures, found at the end of its answers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.serve.timings import timings_in

FIGURES = {"prompt_n": 5.0, "prompt_ms": 84.67, "predicted_n": 24.0, "predicted_ms": 642.1}


@given(st.text(), st.integers(0, 80))
def test_after_any_text(text: str, cut: int) -> None:
    """Whatever the answer says, also if it looks like figures, and wherever it is cut off."""
    said = f'"timings":{{"prompt_ms":1}} {text}'
    whole = json.dumps({"content": said, "timings": FIGURES}, separators=(",", ":")).encode()
    where = min(cut, whole.rindex(b'"timings":'))
    assert timings_in(whole[where:]) == FIGURES


def test_in_a_stream() -> None:
    """The last event of a stream has them."""
    last = json.dumps({"choices": [], "timings": FIGURES}, separators=(",", ":"))
    stream = f'data: {{"choices":[1]}}\n\ndata: {last}\n\ndata: [DONE]\n\n'
    assert timings_in(stream.encode()) == FIGURES


@pytest.mark.parametrize(
    "tail", [b"", b"data: [DONE]", b'"timings":', b'"timings":{"a":', b'"timings":[1]']
)
def test_none(tail: bytes) -> None:
    """An answer without figures, or with damaged ones, has none."""
    assert timings_in(tail) is None


def test_only_numbers() -> None:
    """What is no number is left out."""
    assert timings_in(b'"timings":{"a":1,"b":"x","c":null}') == {"a": 1.0}
