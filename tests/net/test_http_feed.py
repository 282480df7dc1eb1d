"""The bytes of a file from front to back, whatever its server can do, and what it may not do."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hgx.errors import ModelError
from hgx.net import http_feed
from hgx.net.http_feed import FIRST_BYTES, MOST_BYTES, open_feed
from hgx.net.http_get import HttpGet, open_client
from hgx.net.model_address import parse_address
from hgx.net.patience import Pace, Patience
from tests.net.web import Body, in_turn, plain, ranged, web, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from hgx.net.http_feed import Feed
    from tests.net.web import Answer, Handler, Site

DATA: Final = bytes(range(256)) * 2
SMALL: Final = Body(DATA, len(DATA))
BIG: Final = Body(b"GGUF", 1 << 32)


@contextmanager
def feed(site: Site) -> Generator[Feed]:
    """Open the feed of a site's file."""
    address, pace = parse_address(site.url, {}), Pace()
    with open_client(address.name, pace) as client, Patience(pace) as patience:
        yield open_feed(HttpGet(address, client, pace, patience))


steps = st.lists(st.tuples(st.integers(0, 90), st.integers(1, 90)), max_size=8)


@settings(max_examples=50)
@given(steps, st.sampled_from([ranged, whole]), st.integers(1, 100))
def test_the_bytes_are_those_of_the_file(
    skips: list[tuple[int, int]], kind: Callable[[Body], Answer], first_bytes: int
) -> None:
    """Whatever is passed over and however much is taken, it begins with what was asked for."""
    with pytest.MonkeyPatch.context() as patch, web(kind(SMALL)) as site:
        patch.setattr(http_feed, "FIRST_BYTES", first_bytes)
        with feed(site) as opened:
            assert opened.size == SMALL.size
            position = 0
            for skip, count in skips:
                position = min(position + skip, SMALL.size)
                got = opened.take(position, count)
                assert len(got) >= min(count, SMALL.size - position)
                assert DATA.startswith(got, position)
                position += len(got)


def test_each_question_is_for_twice_as_much() -> None:
    """Few questions where much is read, and no more than the limit at a time."""
    with web(ranged(BIG)) as site, feed(site) as opened:
        position, sizes = 0, list[int]()
        for _ in range(8):
            sizes.append(len(opened.take(position, 8)))
            position += sizes[-1]
        assert sizes == [min(FIRST_BYTES << n, MOST_BYTES) for n in range(8)]
        assert site.ranges[:2] == ["bytes=0-262143", "bytes=262144-786431"]
        assert site.sent == sum(sizes)


def test_what_is_passed_over_is_not_fetched() -> None:
    """The next question begins where the next byte is needed."""
    with web(ranged(BIG)) as site, feed(site) as opened:
        opened.take(0, 8)
        opened.take(1 << 30, 8)
        assert site.ranges[1].startswith(f"bytes={1 << 30}-")


def test_without_ranges_no_more_is_read_than_needed() -> None:
    """The connection is closed after what was needed, however much the server would send."""
    with web(whole(BIG)) as site:
        with feed(site) as opened:
            assert opened.size == BIG.size
            assert opened.take(0, 4).startswith(b"GGUF\0")
            assert opened.take(1 << 20, 10)[:10] == bytes(10)
        assert len(site.asked) == 1
    assert site.sent < 64 << 20  # what the system's buffers take; the file is 64 times as long


def test_a_server_may_give_less_than_was_asked_for() -> None:
    """The rest is asked for again."""

    def little(handler: Handler) -> None:
        first, last = handler.span(SMALL.size)
        count = min(last - first + 1, 100)
        said = f"bytes {first}-{first + count - 1}/512"
        handler.start(206, {"Content-Range": said, "Content-Length": f"{count}"})
        handler.send(SMALL.part(first, count))

    with web(little) as site, feed(site) as opened:
        assert opened.take(0, 250) == DATA[:300]
        assert site.ranges == ["bytes=0-262143", "bytes=100-511", "bytes=200-511"]


def cut(handler: Handler) -> None:
    """Announce a range and give half of it, the chunked way, which has no length."""
    handler.start(206, {"Content-Range": "bytes 0-511/512", "Transfer-Encoding": "chunked"})
    handler.wfile.write(b"100\r\n" + bytes(256) + b"\r\n0\r\n\r\n")


def flood(handler: Handler) -> None:
    """Announce a range and never stop."""
    handler.start(206, {"Content-Range": "bytes 0-511/512", "Transfer-Encoding": "chunked"})
    while True:
        handler.wfile.write(b"10000\r\n" + bytes(65536) + b"\r\n")


def half_of_all(handler: Handler) -> None:
    """Announce the whole file and give half of it, the chunked way."""
    handler.start(200, {"Content-Length": "512", "Transfer-Encoding": "chunked"})
    handler.wfile.write(b"100\r\n" + bytes(256) + b"\r\n0\r\n\r\n")


LIES: Final[dict[str, tuple[Answer, str]]] = {
    "no range": (ranged(SMALL, Content_Range=""), "asked for bytes 0-262143 and says ''"),
    "no size": (ranged(SMALL, Content_Range="bytes 0-511/*"), r"says 'bytes 0-511/\*'"),
    "another unit": (ranged(SMALL, Content_Range="lines 0-511/512"), "says 'lines"),
    "another place": (ranged(SMALL, Content_Range="bytes 1-511/512"), "says 'bytes 1-511/512'"),
    "backwards": (ranged(SMALL, Content_Range="bytes 0-511/9"), "says 'bytes 0-511/9'"),
    "more": (ranged(SMALL, Content_Range="bytes 0-262144/999999"), "says 'bytes 0-262144/"),
    "long": (ranged(SMALL, Content_Range="x" * 1000), "says 'x{60}'"),
    "huge": (ranged(SMALL, Content_Range=f"bytes 0-511/{10**40}"), "says 'bytes 0-511/1000"),
    "length against range": (
        ranged(SMALL, Content_Range="bytes 0-99/512"),
        "announces 100 bytes and sends more",
    ),
    "cut": (cut, "announces 512 bytes and sends 256"),
    "flood": (flood, "announces 512 bytes and sends more"),
    "no length": (whole(SMALL, Content_Length=""), "does not say how long it is"),
    "half": (half_of_all, "announces 512 bytes and sends 256"),
    "empty": (whole(Body(b"", 0)), "is empty: name another file"),
    "empty by range": (ranged(Body(b"", 0)), "is empty, or changed"),
}


@pytest.mark.parametrize(("answer", "message"), LIES.values(), ids=LIES)
def test_what_contradicts_itself_is_an_error(answer: Answer, message: str) -> None:
    """One sentence that shows what was said, cut where it is long."""
    with web(answer) as site, pytest.raises(ModelError, match=message) as caught, feed(site) as it:
        it.take(0, 512)
    assert site.url in caught.value.message
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    "later",
    [
        ranged(BIG._replace(size=BIG.size + 1)),
        ranged(BIG, ETag='"2"'),
        ranged(BIG, ETag=""),
        whole(BIG),
        plain(416),
    ],
    ids=["size", "tag", "tag gone", "all of it", "no such range"],
)
def test_a_file_that_changes_meanwhile_is_an_error(later: Answer) -> None:
    """Bytes of two files are not put together."""
    with web(in_turn(ranged(BIG), later)) as site, feed(site) as opened:
        position = len(opened.take(0, 1))
        with pytest.raises(ModelError, match=r"changed while it was read.*: try again"):
            opened.take(position, 1)
        assert site.asked[1].headers["if-range"] == '"1"'
