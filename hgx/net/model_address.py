"""Where a model lies that is no file here: an address in the web, or in a model hub."""

from __future__ import annotations

import os
import re
from base64 import b64encode
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from hgx.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
"""Of two letters at least: one alone is a drive of Windows."""

_HUB: Final = re.compile(
    r"hf://(?P<repo>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>[^/?#]+))?/(?P<file>[^?#]+)",
    re.ASCII | re.IGNORECASE,
)

_FILE: Final = re.compile(r"[^/?]*(?=\?|$)")
"""The last part of a path, in front of a query."""

_ENDPOINT: Final = "https://huggingface.co"
_PORTS: Final = {"http": 80, "https": 443}


class ModelAddress(NamedTuple):
    """One file that is read from afar.

    Attributes:
        name: What to call it: as the user wrote it, without a password.
        url: Where its bytes are, without a password.
        authorization: Header that says who asks; only for the origin of ``url``.
        login: What to do where the server wants to know who asks.
    """

    name: str
    url: str
    authorization: str | None
    login: str

    @property
    def file(self) -> str:
        """The name of the file, quoted as in the address."""
        match = _FILE.search(self.url)
        return match[0] if match else ""

    def sibling(self, file: str) -> ModelAddress:
        """Return the address of another file in the same folder."""
        name, url = (_FILE.sub(lambda _: file, it, count=1) for it in (self.name, self.url))
        return self._replace(name=name, url=url)


def is_address(name: str) -> bool:
    """Whether what a user named is an address, of whatever scheme, and no path."""
    return _SCHEME.match(name) is not None


def parse_address(name: str, environ: Mapping[str, str] = os.environ) -> ModelAddress:
    """Read ``https://``, ``http://`` or ``hf://OWNER/REPO[@REVISION]/FILE``.

    Args:
        name: As the user wrote it.
        environ: ``HF_ENDPOINT`` is the hub's address, ``HF_TOKEN`` is shown to the hub alone.

    Raises:
        ModelError: It is none of these, or the environment is not usable.
    """
    scheme = name.partition("://")[0].lower()
    if not name.isprintable():
        msg = f"{name!a} has characters that no address has: write it without them"
        raise ModelError(msg)
    if scheme not in {"hf", *_PORTS}:
        msg = f"{name} begins with {scheme}://: hgx reads models at https://, http:// and hf://"
        raise ModelError(msg)
    endpoint = environ.get("HF_ENDPOINT", "").strip().rstrip("/") or _ENDPOINT
    url = _hub_url(name, endpoint) if scheme == "hf" else name.partition("#")[0]
    if _origin(url) is None:
        where = "HF_ENDPOINT" if scheme == "hf" else name
        msg = f"{where} is not an address of the web: write https://HOST/..., or http://"
        raise ModelError(msg)
    return _with_login(name.partition("#")[0], url, endpoint, environ)


def _origin(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of an address of the web; null where it is none."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
    # ValueError is what a port raises that is no number, and a bracket that is never closed.
    except (KeyError, ValueError):
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname else None


def _hub_url(name: str, endpoint: str) -> str:
    match = _HUB.fullmatch(name)
    if match is None or not {"", ".", ".."}.isdisjoint(match["file"].split("/")):
        msg = f"{name} is not hf://OWNER/REPO/FILE.gguf or hf://OWNER/REPO@REVISION/FILE.gguf"
        raise ModelError(msg)
    revision = quote(unquote(match["revision"] or "main"), safe="")
    return f"{endpoint}/{match['repo']}/resolve/{revision}/{quote(unquote(match['file']))}"


def _with_login(name: str, url: str, endpoint: str, environ: Mapping[str, str]) -> ModelAddress:
    parts = urlsplit(url)
    if parts.username is not None:
        secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        header = f"Basic {b64encode(secret).decode()}"
        return ModelAddress(bare, bare, header, "check the name and the password in the address")
    if _origin(url) != _origin(endpoint):
        return ModelAddress(name, url, None, "write USER:PASSWORD@ in front of the host")
    token = environ.get("HF_TOKEN", "").strip()
    if not token:
        return ModelAddress(name, url, None, "set HF_TOKEN if the model is private or gated")
    if not re.fullmatch(r"[!-~]+", token):
        msg = "HF_TOKEN has characters that no token has: copy it again"
        raise ModelError(msg)
    login = "accept the model's terms on its page, and check HF_TOKEN"
    return ModelAddress(name, url, f"Bearer {token}", login)
