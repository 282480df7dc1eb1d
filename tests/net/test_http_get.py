"""Asking a web server: redirects, refusals, secrets, and connections that come to nothing."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest

from hgx.errors import ModelError
from hgx.net import http_get
from hgx.net.http_get import HttpGet, open_client
from hgx.net.identity import own_identity
from hgx.net.model_address import parse_address
from hgx.net.patience import Pace, Patience
from hgx.store.home import Home
from tests.net.servers import dripping, server
from tests.net.web import Body, by_path, in_turn, plain, ranged, web

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from tests.net.web import Answer, Handler

BODY: Final = Body(b"0123456789", 10)
QUICK: Final = Pace(grace_s=0.4, silence_s=0.2)


@contextmanager
def getter(
    url: str, environ: dict[str, str] | None = None, pace: Pace | None = None
) -> Generator[HttpGet]:
    """Get ready to ask for a file."""
    pace = pace or Pace()
    address = parse_address(url, environ or {})
    with open_client(url, pace) as client, Patience(pace) as patience:
        yield HttpGet(address, client, pace, patience)


def read(get: HttpGet, first: int = 0, last: int = 9) -> bytes:
    """Ask for a range and read it."""
    answer = get.ask(first, last)
    return b"".join(get.body(answer))


def test_a_range_is_asked_for_as_it_is() -> None:
    """The question names the range and wants no compression; the answer is the bytes."""
    with web(ranged(BODY)) as site, getter(site.url) as get:
        assert read(get, 2, 4) == b"234"
        (asked,) = site.asked
        assert (asked.headers["range"], asked.headers["accept-encoding"]) == (
            "bytes=2-4",
            "identity",
        )
        assert asked.headers["user-agent"].startswith("hgx/")
        assert "authorization" not in asked.headers


@pytest.mark.parametrize(("tag", "sent"), [('"1"', '"1"'), ('W/"1"', None), (None, None)])
def test_only_a_strong_tag_is_sent(tag: str | None, sent: str | None) -> None:
    """A weak one promises nothing about bytes."""
    with web(ranged(BODY)) as site, getter(site.url) as get:
        get.ask(0, 1, tag).close()
        assert site.asked[0].headers.get("if-range") == sent


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "asks who you are .*401.*: check the address, and write USER:PASSWORD@"),
        (403, "is refused to you .*403.*: check the address, and write USER:PASSWORD@"),
        (404, "does not exist .*404.*: check the address"),
        (410, "is no longer there .*: check the address"),
        (416, "is empty, or changed while it was read .*: try again later"),
        (429, "is asked for too often .*: try again later"),
        (500, "is at a server that fails .*500.*: try again later"),
        (503, "is at a server that fails .*503.*: try again later"),
        (418, "is not given by its server .*418.*: check the address"),
        (302, "is not given by its server .*302.*: check the address"),
    ],
)
def test_a_refusal_says_what_to_do(status: int, message: str) -> None:
    """Each status is a sentence with the address in it."""
    with (
        web(plain(status)) as site,
        getter(site.url) as get,
        pytest.raises(ModelError, match=f"{site.url} {message}"),
    ):
        get.ask(0, 9)


@pytest.mark.parametrize(
    ("token", "advice"), [("", "set HF_TOKEN if"), ("secret", "accept the model's terms")]
)
def test_the_hub_refuses_with_advice_of_its_own(token: str, advice: str) -> None:
    """Without a token one is needed, with one it may be the wrong one; it is not shown."""
    with web(plain(401)) as site:
        environ = {"HF_ENDPOINT": f"http://127.0.0.1:{site.port}", "HF_TOKEN": token}
        with (
            getter("hf://o/r/m.gguf", environ) as get,
            pytest.raises(ModelError, match=advice) as caught,
        ):
            get.ask(0, 9)
    assert site.asked[0].headers.get("authorization") == ("Bearer secret" if token else None)
    assert caught.value.message.startswith("hf://o/r/m.gguf asks who you are")
    assert "secret" not in caught.value.message


def test_a_redirect_is_followed_once() -> None:
    """Later ranges are asked where the first redirect led, which saves a round trip each."""
    with web(by_path({"/model.gguf": plain(302, Location="/b"), "/b": ranged(BODY)})) as site:
        with getter(site.url) as get:
            assert (read(get, 0, 3), read(get, 4, 5)) == (b"0123", b"45")
        assert [one.path for one in site.asked] == ["/model.gguf", "/b", "/b"]
        assert site.ranges == ["bytes=0-3", "bytes=0-3", "bytes=4-5"]


def test_another_host_is_shown_no_secret() -> None:
    """A token goes to the hub and wherever it redirects within itself, and nowhere else."""
    with web(ranged(BODY)) as other:
        hops = {
            "/o/r/resolve/main/m.gguf": plain(302, Location="/b"),
            "/b": plain(307, Location=other.url),
        }
        with web(by_path(hops)) as hub:
            environ = {"HF_ENDPOINT": f"http://127.0.0.1:{hub.port}", "HF_TOKEN": "secret"}
            with getter("hf://o/r/m.gguf", environ) as get:
                assert (read(get), read(get)) == (BODY.head, BODY.head)
            shown = [one.headers.get("authorization") for one in hub.asked]
            assert shown == ["Bearer secret"] * 2
        assert ["authorization" in one.headers for one in other.asked] == [False] * 2


def test_a_password_in_the_address_is_shown_to_its_host() -> None:
    """As a header of every request."""
    with web(ranged(BODY)) as site, getter(site.url.replace("//", "//me:pw@")) as get:
        assert read(get) == BODY.head
        assert site.asked[0].headers["authorization"] == "Basic bWU6cHc="


@pytest.mark.parametrize("where", ["/model.gguf", "/elsewhere"])
def test_redirects_in_a_loop_are_given_up(where: str) -> None:
    """However the loop is closed, it is left after so many rounds."""
    with (
        web(plain(302, Location=where)) as site,
        getter(site.url) as get,
        pytest.raises(ModelError, match="redirects more than 10 times: download the file"),
    ):
        get.ask(0, 9)
    assert len(site.asked) == 11


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("ftp://a/b", "cannot be reached .*ftp://"),
        ("http://a:port", r"not given by its server .*302"),
    ],
)
def test_a_redirect_to_nowhere_is_an_error(location: str, message: str) -> None:
    """Where it leads must be an address of the web."""
    with (
        web(plain(302, Location=location)) as site,
        getter(site.url) as get,
        pytest.raises(ModelError, match=message),
    ):
        get.ask(0, 9)


def test_what_a_redirect_says_is_not_read() -> None:
    """A redirect whose body never ends is followed all the same."""

    def endless(handler: Handler) -> None:
        handler.start(302, {"Location": "/b", "Content-Length": "999999999"})
        handler.drip()

    answers: dict[str, Answer] = {"/model.gguf": endless, "/b": ranged(BODY)}
    with web(by_path(answers)) as site, getter(site.url) as get:
        assert read(get) == BODY.head


@pytest.mark.parametrize(
    ("encoding", "shown"), [("gzip", "gzip"), ("x" * 1000, "x{200}"), ("a\x1b[2Jb", r"a \[2Jb")]
)
def test_compression_is_refused(encoding: str, shown: str) -> None:
    """Offsets in compressed bytes mean nothing, so what was not asked for is not taken."""
    with (
        web(ranged(BODY, Content_Encoding=encoding)) as site,
        getter(site.url) as get,
        pytest.raises(ModelError, match=rf"compresses it \({shown}\), though asked not"),
    ):
        get.ask(0, 9)


def head_drips(handler: Handler) -> None:
    """Send one header after the other."""
    handler.wfile.write(b"HTTP/1.1 206 OK\r\n")
    handler.drip(b"X: y\r\n")


def body_drips(handler: Handler) -> None:
    """Send the body byte by byte."""
    handler.start(206, {"Content-Length": "1000000"})
    handler.drip()


def chunk_drips(handler: Handler) -> None:
    """Begin a chunk and never come to its content."""
    handler.start(206, {"Transfer-Encoding": "chunked"})
    handler.wfile.write(b"1;")
    handler.drip()


def redirect_drips(handler: Handler) -> None:
    """Redirect in a loop, and take a while each time."""
    handler.site.ended.wait(0.1)
    handler.start(302, {"Location": handler.path, "Content-Length": "0"})


@pytest.mark.parametrize("drip", [head_drips, body_drips, chunk_drips, redirect_drips])
def test_a_server_that_drips_is_left(drip: Callable[[Handler], None]) -> None:
    """One that sends a byte now and then never falls silent, and is left nonetheless."""
    with (
        web(drip) as site,
        getter(site.url, pace=QUICK) as get,
        pytest.raises(ModelError, match=r"comes too slowly, .*B so far: try again later"),
    ):
        read(get)


def silent(handler: Handler) -> None:
    """Wait for the end."""
    handler.site.ended.wait(30)


def test_a_silent_server_is_left() -> None:
    """Nothing at all for so long is no answer."""
    with (
        web(silent) as site,
        getter(site.url, pace=QUICK._replace(grace_s=30)) as get,
        pytest.raises(ModelError, match=r"gives no answer for 0.2 s: try again later"),
    ):
        get.ask(0, 9)


@pytest.mark.parametrize(
    "said",
    [b"", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 206 OK\r\nContent-Length: 10\r\n\r\n01234"],
    ids=["nothing", "another protocol", "half"],
)
def test_an_answer_that_breaks_off_is_an_error(said: bytes) -> None:
    """Less than was announced, or no HTTP at all."""
    with (
        server(said) as port,
        getter(f"http://127.0.0.1:{port}/m.gguf") as get,
        pytest.raises(ModelError, match=r"m.gguf broke off \(.+\): try again"),
    ):
        read(get)


def test_who_is_not_there_cannot_be_reached() -> None:
    """The system's reason is in the message."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with (
        getter(f"http://127.0.0.1:{port}/m.gguf") as get,
        pytest.raises(ModelError, match=r"cannot be reached \(.*refused.*\): check the address"),
    ):
        get.ask(0, 9)


def test_a_host_that_cannot_be_is_not_reached() -> None:
    """A name with an empty part is an error of ours."""
    with (
        getter("http://a..b/m.gguf") as get,
        pytest.raises(ModelError, match="cannot be reached"),
    ):
        get.ask(0, 9)


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    """What is encrypted for somebody else is not read."""
    with (
        server(b"HTTP/1.1 200 OK\r\n\r\n", tmp_path) as port,
        getter(f"https://127.0.0.1:{port}/m.gguf") as get,
        pytest.raises(ModelError, match=r"cannot be reached \(.*(?i:certificate).*\)"),
    ):
        get.ask(0, 9)


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Trust the certificate of one node, whatever its server is called; return its home."""
    context = ssl.create_default_context(cafile=own_identity(Home(tmp_path)).path)
    context.check_hostname = False
    monkeypatch.setattr(http_get, "_trusted", lambda: context)
    return tmp_path


def test_an_encrypted_file_is_read(trusted: Path) -> None:
    """With a certificate that somebody vouches for."""
    said = b"HTTP/1.1 206 OK\r\nContent-Length: 10\r\n\r\n0123456789"
    with server(said, trusted) as port, getter(f"https://127.0.0.1:{port}/m.gguf") as get:
        assert read(get) == BODY.head


def test_an_encrypted_drip_is_left(trusted: Path) -> None:
    """The connection that TLS has taken over is ended too."""
    ended = threading.Event()
    said = dripping(b"HTTP/1.1 206 OK\r\n\r\n", ended)
    with (
        server(said, trusted) as port,
        getter(f"https://127.0.0.1:{port}/m.gguf", pace=QUICK) as get,
        pytest.raises(ModelError, match=r"comes too slowly"),
    ):
        try:
            read(get)
        finally:
            ended.set()


@pytest.mark.parametrize("proxy", ["nonsense://host", "http://a:port"])
def test_a_proxy_that_cannot_be_used_is_named(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says which variables to look at."""
    monkeypatch.setenv("ALL_PROXY", proxy)
    with (
        pytest.raises(ModelError, match="check the variables that name proxies"),
        getter("http://127.0.0.1/m.gguf"),
    ):
        pass


def test_a_proxy_is_asked_in_place_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's proxy gets the whole address."""
    with web(ranged(BODY)) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "")
        with getter("http://far.example/m.gguf") as get:
            assert read(get) == BODY.head
        assert proxy.asked[0].path == "http://far.example/m.gguf"


def test_a_server_may_fail_in_between() -> None:
    """A later range that is refused says so, like the first."""
    with web(in_turn(ranged(BODY), plain(503))) as site, getter(site.url) as get:
        assert read(get, 0, 3) == b"0123"
        with pytest.raises(ModelError, match=r"fails .*503"):
            get.ask(4, 9)
