"""Trying out multicast DNS without the library; what needs networks is in test_diagnose.py."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from hgx.net import multicast
from hgx.net.interfaces import Interface
from hgx.net.multicast import Way, ways

if TYPE_CHECKING:
    import pytest

ETH0 = Interface("eth0", 2, ("10.0.0.2", "10.0.0.3"), ("fd00::2",), None)


def test_ways() -> None:
    """Each version of IP that an interface has is a way."""
    only4, only6 = ETH0._replace(name="a", ipv6=()), ETH0._replace(name="b", ipv4=())
    assert ways((ETH0, only4, only6)) == (Way(ETH0, 4), Way(ETH0, 6), Way(only4, 4), Way(only6, 6))
    assert str(Way(ETH0, 6)) == "eth0 (IPv6)"


def test_own_question_among_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """What others say is passed over, but not for longer than the limit."""
    mouth, ear = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with mouth, ear:
        for packet in (b"other", b"own", b"other"):
            mouth.send(packet)
        assert multicast._arrives(ear, b"own")  # pyright: ignore[reportPrivateUsage] - the one part that needs luck
        monkeypatch.setattr(multicast, "_HEAR_S", 0.0)
        assert not multicast._arrives(ear, b"own")  # pyright: ignore[reportPrivateUsage] - see above


def test_system_without_shared_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no SO_REUSEPORT it is not asked for."""
    monkeypatch.delattr(socket, "SO_REUSEPORT")
    opened = multicast._socket(Way(ETH0, 4))  # pyright: ignore[reportPrivateUsage] - no such system here
    with opened:
        assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
