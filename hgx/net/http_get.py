"""One file of a web server, asked for in ranges of bytes; whatever goes wrong is one sentence."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Final

import httpx2

from hgx._version import __version__
from hgx.errors import ModelError
from hgx.units import format_bytes

if TYPE_CHECKING:
    import ssl
    from collections.abc import Generator, Iterator

    from hgx.net.model_address import ModelAddress
    from hgx.net.patience import Pace, Patience

_MOST_REDIRECTS: Final = 10
_MOST_SHOWN: Final = 200
"""Letters of what a server says that a message shows."""

_ANSWERED: Final = (200, 206)
_REFUSALS: Final = {
    401: "asks who you are",
    403: "is refused to you",
    404: "does not exist",
    410: "is no longer there",
    416: "is empty, or changed while it was read",
    429: "is asked for too often",
}


class HttpGet:
    """Asks for ranges of one file.

    Redirects are followed once: what comes after is asked where the first led. A secret is shown to
    the origin it is meant for and to no other.

    Args:
        address: The file.
        client: What asks; see ``open_client``.
        pace: What is asked of the server.
        patience: Ends what is slower.
    """

    def __init__(
        self, address: ModelAddress, client: httpx2.Client, pace: Pace, patience: Patience
    ) -> None:
        self.name: Final = address.name
        self._address = address
        self._client = client
        self._pace = pace
        self._patience = patience
        self._url = address.url

    def ask(self, first: int, last: int, tag: str | None = None) -> httpx2.Response:
        """Ask for the bytes from ``first`` to ``last``, both included.

        Args:
            first: Offset of the first byte.
            last: Offset of the last.
            tag: Of the file that earlier bytes came from, where it has one.

        Returns:
            An answer of status 206 or 200, whose body is still to come; the caller closes it.

        Raises:
            ModelError: The server is not reached, refuses, or answers something else.
        """
        headers = {"Range": f"bytes={first}-{last}"}
        # The weak ones do not promise that bytes are equal, so that RFC 9110 forbids them here.
        if tag is not None and not tag.startswith("W/"):
            headers["If-Range"] = tag
        with self._plainly():
            answer = self._follow(headers)
        if answer.status_code not in _ANSWERED:
            answer.close()
            raise self._refused(answer.status_code)
        encoding = answer.headers.get("content-encoding", "identity")
        if encoding != "identity":
            answer.close()
            raise self.wrong(f"compresses it ({_shown(encoding)}), though asked not to")
        return answer

    def body(self, answer: httpx2.Response) -> Iterator[bytes]:
        """Give what an answer consists of, as it comes.

        Raises:
            ModelError: It breaks off, or comes too slowly.
        """
        with self._plainly():
            for piece in answer.iter_raw():
                self._patience.add(len(piece))
                yield piece

    def wrong(self, what: str) -> ModelError:
        """Return the error for a server that does not do what it should."""
        return ModelError(f"the server of {self.name} {what}: download the file, and name that")

    def _follow(self, headers: dict[str, str]) -> httpx2.Response:
        for _ in range(_MOST_REDIRECTS + 1):
            answer = self._client.send(self._request(headers), stream=True)
            following = answer.next_request
            if following is None:
                return answer
            # Unread: what a redirect has to say may never end.
            answer.close()
            self._url = str(following.url)
        raise self.wrong(f"redirects more than {_MOST_REDIRECTS} times")

    def _request(self, headers: dict[str, str]) -> httpx2.Request:
        secret = self._address.authorization
        if secret is not None and _origin(self._url) == _origin(self._address.url):
            headers = {**headers, "Authorization": secret}
        trace = {"trace": self._patience.trace}
        return self._client.build_request("GET", self._url, headers=headers, extensions=trace)

    def _refused(self, status: int) -> ModelError:
        what = _REFUSALS.get(status)
        if what is None:
            what = "is at a server that fails" if status >= 500 else "is not given by its server"
        advice = "check the address"
        if status in {401, 403}:
            advice = f"check the address, and {self._address.login}"
        elif status in {416, 429} or status >= 500:
            advice = "try again later"
        return ModelError(f"{self.name} {what} (HTTP status {status}): {advice}")

    @contextmanager
    def _plainly(self) -> Generator[None]:
        try:
            yield
        # ValueError is what a host raises whose name cannot be one.
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            raise self._broken(error) from error

    def _broken(self, error: Exception) -> ModelError:
        if self._patience.exhausted:
            got = format_bytes(self._patience.received)
            what = f"comes too slowly, {got} so far: try again later, or download it"
        elif isinstance(error, httpx2.ConnectTimeout | httpx2.ReadTimeout):
            what = f"gives no answer for {self._pace.silence_s:g} s: try again later"
        elif isinstance(error, httpx2.ReadError | httpx2.RemoteProtocolError):
            what = f"broke off ({_shown(str(error))}): try again"
        else:
            what = f"cannot be reached ({_shown(str(error))}): check the address and the network"
        return ModelError(f"{self.name} {what}")


@contextmanager
def open_client(name: str, pace: Pace) -> Generator[httpx2.Client]:
    """Make a client that uses the proxies of the environment, for the length of a ``with`` block.

    Args:
        name: What it will ask for.
        pace: What is asked of servers.

    Raises:
        ModelError: The environment names a proxy or certificates that cannot be used.
    """
    headers = {"User-Agent": f"hgx/{__version__}", "Accept-Encoding": "identity"}
    try:
        client = httpx2.Client(verify=_trusted(), headers=headers, timeout=pace.silence_s)
    # ImportError: of SOCKS, for which a package of its own would be needed.
    except (ValueError, ImportError, OSError, httpx2.InvalidURL) as error:
        msg = (
            f"{name} cannot be asked for ({_shown(str(error))}): check the variables that name "
            f"proxies and certificates, such as HTTPS_PROXY and SSL_CERT_FILE"
        )
        raise ModelError(msg) from error
    with client:
        yield client


@cache
def _trusted() -> ssl.SSLContext:
    """Certificates this system trusts: reading them takes as long as reading a header."""
    return httpx2.create_ssl_context()


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = httpx2.URL(url)
    return parts.scheme, parts.host, parts.port


def _shown(text: str) -> str:
    """Cut what a server says, and leave out what a terminal would obey."""
    return "".join(it if it.isprintable() else " " for it in text[:_MOST_SHOWN])
