"""Headers read from afar: as those of files, and of them no more than that."""

from __future__ import annotations

import struct
import tracemalloc
from typing import TYPE_CHECKING, Final

import pytest

from hgx.errors import ModelError
from hgx.gguf.header import parse_header, read_header
from hgx.net.http_feed import FIRST_BYTES
from hgx.net.http_source import open_address, read_remote_parts
from hgx.net.model_address import parse_address
from hgx.net.patience import Pace
from tests.gguf.ggufs import Tensor, Value, write_gguf
from tests.net.web import Body, body_of, by_path, ranged, web, whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.net.web import Answer

META: Final[dict[str, Value]] = {
    "general.architecture": "llama",
    "tokenizer.ggml.tokens": [f"token {n}" for n in range(100_000)],
    "tokenizer.ggml.scores": [0.5] * 300_000,
    "a.last": 7,
}
TENSORS: Final = [Tensor("t", (1024, 1024, 1024), "F16")]


@pytest.mark.parametrize("kind", [ranged, whole])
def test_a_header_is_that_of_the_file(kind: Callable[[Body], Answer], tmp_path: Path) -> None:
    """With ranges and without, everything is as read from disk, apart from the name."""
    local = read_header(write_gguf(tmp_path / "m.gguf", META, TENSORS))
    with web(kind(body_of(META, TENSORS))) as site:
        (remote,) = read_remote_parts(parse_address(site.url, {}))
    assert remote.name == site.url
    assert (remote.file_bytes, remote.metadata, remote.lengths, remote.tensors) == (
        local.file_bytes,
        local.metadata,
        local.lengths,
        local.tensors,
    )
    assert site.sent < 64 << 20 < remote.file_bytes


def test_a_short_header_is_one_question() -> None:
    """What fits the first range takes one round trip."""
    with web(ranged(body_of({"general.architecture": "llama"}, TENSORS))) as site:
        read_remote_parts(parse_address(site.url, {}))
        assert (site.ranges, site.sent) == ([f"bytes=0-{FIRST_BYTES - 1}"], FIRST_BYTES)


def test_memory_does_not_grow_with_the_vocabulary() -> None:
    """Only the last range is held, and the window that is read through."""
    meta: dict[str, Value] = {"k": ["x" * 1000] * 50_000}
    with web(ranged(body_of(meta, TENSORS))) as site:
        address = parse_address(site.url, {})
        with open_address(address) as source:
            tracemalloc.start()
            parse_header(source)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
    assert site.sent > 50 << 20
    # The server is in the same process, and makes a range and its padding at a time.
    assert peak < 48 << 20


@pytest.mark.parametrize("named", [1, 3])
@pytest.mark.parametrize("query", ["", "?download=true"])
def test_any_part_of_a_split_model_leads_to_all(named: int, query: str) -> None:
    """The others are asked for by their names, next to the one that was named, once each."""
    answers: dict[str, Answer] = {}
    for number in range(3):
        meta: dict[str, Value] = {"split.no": number, "split.count": 3}
        path = f"/q4/a%20b-{number + 1:05}-of-00003.gguf{query}"
        answers[path] = ranged(body_of(meta, [Tensor(f"t{number}", (32,), "F32")]))
    with web(by_path(answers)) as site:
        root = f"http://127.0.0.1:{site.port}"
        parts = read_remote_parts(parse_address(root + list(answers)[named - 1], {}))
        assert [part.name for part in parts] == [root + path for path in answers]
        assert sorted(one.path for one in site.asked) == list(answers)


def test_a_part_that_is_not_there_is_named() -> None:
    """The message has the address of what is missing."""
    meta: dict[str, Value] = {"split.no": 0, "split.count": 2}
    with web(by_path({"/m-00001-of-00002.gguf": ranged(body_of(meta, []))})) as site:
        address = parse_address(f"http://127.0.0.1:{site.port}/m-00001-of-00002.gguf", {})
        with pytest.raises(ModelError, match=r"/m-00002-of-00002\.gguf does not exist"):
            read_remote_parts(address)


DAMAGED: Final[dict[str, tuple[Body, str]]] = {
    "not GGUF": (Body(b"<!DOCTYPE html>", 5000), "is not a GGUF file: it begins with b'<!DO'"),
    "incomplete": (
        Body(body_of({}, TENSORS).head, 1 << 20),
        r"incomplete: .* missing; tell who offers it, or name another",
    ),
    "huge": (
        Body(
            b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"k" + struct.pack("<IIQ", 9, 0, 1 << 29),
            1 << 40,
        ),
        r"is damaged: 536870912 more bytes are announced .*; tell who offers it",
    ),
    "short": (Body(b"GGUF\3\0\0\0", 9), "is damaged: .* announced than it can hold"),
}


@pytest.mark.parametrize("kind", [ranged, whole])
@pytest.mark.parametrize(("body", "message"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_header_is_an_error(
    kind: Callable[[Body], Answer], body: Body, message: str
) -> None:
    """As of a file, but downloading it again is no cure; and what it claims is not fetched."""
    with web(kind(body)) as site:
        with pytest.raises(ModelError, match=message) as caught:
            read_remote_parts(parse_address(site.url, {}))
        assert caught.value.message.startswith(site.url)
    assert site.sent < 64 << 20


def test_a_slow_server_is_left() -> None:
    """The pace holds for a file as a whole."""
    with web(lambda handler: handler.drip()) as site:
        address = parse_address(site.url, {})
        with (
            pytest.raises(ModelError, match="comes too slowly"),
            open_address(address, Pace(grace_s=0.2)),
        ):
            pass
