"""Announcing where the library gives up; real networks are in test_announcing.py."""

from __future__ import annotations

import asyncio

import pytest
from zeroconf import NotRunningException

from hgx.errors import Unavailable
from hgx.net import announcer
from hgx.net.announcer import Announcer
from tests.net.test_advert import ADVERT
from tests.sensors.doubles import always


class Sockets:
    """Stands for the library; it does not start.

    Attributes:
        closed: Whether it was closed.
        zeroconf: What it wraps.
    """

    def __init__(self) -> None:
        self.closed = False
        self.zeroconf = self

    async def async_close(self) -> None:
        """Close it."""
        self.closed = True


@pytest.mark.parametrize("error", [NotRunningException(), OSError(19, "No such device")])
def test_library_does_not_start(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """A library that does not start is closed, and that is said."""
    sockets = Sockets()

    def fail(*_: object, **__: object) -> None:
        raise error

    async def announce() -> None:
        async with Announcer(ADVERT):
            pass

    monkeypatch.setattr(announcer, "open_multicast", always(sockets))
    monkeypatch.setattr(announcer, "AsyncServiceBrowser", fail)
    with pytest.raises(Unavailable, match=r"multicast cannot be used here \((Not|.*device)"):
        asyncio.run(announce())
    assert sockets.closed
