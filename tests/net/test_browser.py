"""What is made of what is heard, one after the other; real networks are in test_announcing.py."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from zeroconf import ServiceStateChange

from hgx.net import browser as module
from hgx.net.advert import SERVICE, Advert, make_txt
from hgx.net.browser import Browser

if TYPE_CHECKING:
    from collections.abc import Coroutine

    import pytest

ADVERT = Advert("tower", "tower", ("10.0.0.2",), 9474, "0.2.0", "ab" * 32)


class Network:
    """Answers to look-ups, which wait until they are allowed.

    Attributes:
        advert: Who is looked up.
        allowed: Whether answers come.
        asked: How many look-ups there were.
    """

    def __init__(self, browser: Browser) -> None:
        self.advert = ADVERT
        self.allowed = asyncio.Event()
        self.asked = 0
        self._browser = browser
        vars(browser)["_zeroconf"] = SimpleNamespace(zeroconf=None)

    def info(self, *_: object) -> SimpleNamespace:
        """Return a look-up."""

        async def async_request(*_: object) -> bool:
            self.asked += 1
            await self.allowed.wait()
            return True

        return SimpleNamespace(
            async_request=async_request,
            text=make_txt(self.advert),
            port=self.advert.port,
            parsed_scoped_addresses=lambda: list(self.advert.addresses),
        )

    async def say(self, change: ServiceStateChange) -> None:
        """Have something said of the name, and what follows from it done."""
        heard: Any = getattr(self._browser, "_heard")  # noqa: B009 - what the library calls
        name = f"{self.advert.name}.{SERVICE}"
        heard(zeroconf=None, service_type=SERVICE, name=name, state_change=change)
        for _ in range(10):
            await asyncio.sleep(0)


def on_network(monkeypatch: pytest.MonkeyPatch, test: Any) -> None:
    """Run a test with a browser and its network."""

    async def run() -> None:
        browser = Browser()
        network = Network(browser)
        monkeypatch.setattr(module, "AsyncServiceInfo", network.info)
        running: Coroutine[Any, Any, None] = test(browser, network)
        await running

    asyncio.run(run())


def test_again_while_it_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that changes while it is looked up is looked up anew, and is there once."""

    async def test(browser: Browser, network: Network) -> None:
        await network.say(ServiceStateChange.Added)
        await network.say(ServiceStateChange.Updated)
        assert browser.peers == ()
        network.allowed.set()
        await asyncio.sleep(0.01)
        assert network.asked == 2
        assert browser.peers == (ADVERT,)

    on_network(monkeypatch, test)


def test_goodbye_while_it_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that says goodbye while it is looked up was never there."""

    async def test(browser: Browser, network: Network) -> None:
        await network.say(ServiceStateChange.Added)
        await network.say(ServiceStateChange.Removed)
        assert browser.peers == ()
        network.allowed.set()
        await asyncio.sleep(0.01)
        assert (browser.peers, browser.dropped) == ((), {})

    on_network(monkeypatch, test)


def test_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stays the same stays, what changes is new, and what goes bad or leaves is gone."""

    async def test(browser: Browser, network: Network) -> None:
        async def say(change: ServiceStateChange, port: int) -> tuple[int, ...]:
            network.advert = ADVERT._replace(port=port)
            await network.say(change)
            return tuple(peer.port for peer in browser.peers)

        network.allowed.set()
        assert await say(ServiceStateChange.Added, 9474) == (9474,)
        assert browser.peers == (ADVERT,)
        for port, ports in ((9474, (9474,)), (9475, (9475,)), (0, ()), (9476, (9476,))):
            assert await say(ServiceStateChange.Updated, port) == ports
        assert browser.dropped == {"port": 1}
        assert await say(ServiceStateChange.Removed, 9476) == ()

    on_network(monkeypatch, test)
