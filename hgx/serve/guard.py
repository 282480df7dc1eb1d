"""Who may knock: programs of this machine, and no web page but one's own.

There is no token on a loopback port, so two attacks by web pages must be shut out: a page that
posts to 127.0.0.1 (its Origin gives it away), and a page whose own name was made to resolve to
127.0.0.1 after it loaded (DNS rebinding: its Host gives it away).
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from hgx.serve.errors import error_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
"""Names under which a request may ask for this machine."""


class LoopbackOnly:
    """ASGI middleware that answers 403 to what ``refusal`` refuses.

    Args:
        app: What comes behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection as ASGI prescribes."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            why = refusal(headers.get("host"), headers.get("origin"))
            if why:
                response = error_response(403, why, "invalid_request_error", "forbidden")
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


def refusal(host: str | None, origin: str | None) -> str | None:
    """Say why a request must be refused, or return null.

    Args:
        host: The Host header, with or without a port.
        origin: The Origin header, which browsers set and other programs leave out.
    """
    if host is None or _hostname(host) not in LOOPBACK:
        return "hgx answers only to 127.0.0.1, ::1 and localhost: use one of them in the URL"
    if origin is not None and origin.casefold() != f"http://{host}".casefold():
        return "hgx does not answer web pages of other origins: call it from a program"
    return None


def _hostname(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
