"""What announcing and listening have in common, where multicast cannot be used."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from hgx.errors import Unavailable
from hgx.net import mdns
from hgx.net.browser import browse
from hgx.net.mdns import open_multicast

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(97, "Address family not supported"), "Address family not supported"),
        (RuntimeError("No interfaces to listen on"), "No interfaces"),
    ],
)
def test_no_sockets(monkeypatch: pytest.MonkeyPatch, error: Exception, said: str) -> None:
    """Where there are no sockets for multicast, that is said with a remedy."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(mdns, "AsyncZeroconf", fail)
    with pytest.raises(Unavailable, match=rf"multicast cannot be used here \(.*{said}") as caught:
        asyncio.run(browse(0))
    assert "--peer HOST:PORT" in caught.value.remedy


def test_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where IPv6 cannot be had IPv4 alone is used."""
    tried: list[object] = []

    def fail_once(_: object, ip_version: object) -> str:
        tried.append(ip_version)
        if len(tried) == 1:
            raise OSError(97, "Address family not supported")
        return "opened"

    monkeypatch.setattr(mdns, "AsyncZeroconf", fail_once)
    opened: Callable[[None], object] = open_multicast
    assert opened(None) == "opened"
    assert [str(version) for version in tried] == ["IPVersion.All", "IPVersion.V4Only"]


def test_host_of_no_interface() -> None:
    """A link-local address that no interface has cannot be announced."""
    with pytest.raises(Unavailable, match="no interface has the address fe80::99%x: choose"):
        open_multicast("fe80::99%x")
