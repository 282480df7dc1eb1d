"""The network interfaces of this machine."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import TYPE_CHECKING

import psutil

from hgx.net import interfaces
from hgx.net.interfaces import Interface, own_addresses, usable_interfaces, with_zones

if TYPE_CHECKING:
    import pytest


def entry(family: int, address: str) -> SimpleNamespace:
    """Return an address as psutil gives it."""
    return SimpleNamespace(family=family, address=address)


def state(flags: str, *, up: bool = True) -> SimpleNamespace:
    """Return an interface's state as psutil gives it."""
    return SimpleNamespace(isup=up, flags=flags)


def test_which_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interface counts if it is up and has an address that is not loopback."""
    v4, v6 = socket.AF_INET, socket.AF_INET6
    addresses = {
        "lo": [entry(v4, "127.0.0.1"), entry(v6, "::1")],
        "eth0": [entry(v6, "fe80::1%eth0"), entry(v4, "10.0.0.2"), entry(v6, "fd00::2")],
        "eth1": [entry(v4, "10.0.1.2")],
        "en0": [entry(v4, "10.0.2.2"), entry(socket.AF_UNIX, "02:00:00:00:00:01")],
        "new": [entry(v4, "10.0.3.2")],
        "gone": [entry(v4, "10.0.4.2")],
    }
    states = {
        "lo": state("up,loopback"),
        "eth0": state("up,multicast"),
        "eth1": state("multicast", up=False),
        "en0": state(""),
        "gone": state("up"),
    }
    numbers = [(2, "eth0"), (3, "eth1"), (4, "en0"), (5, "new"), (1, "lo")]
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: addresses)
    monkeypatch.setattr(psutil, "net_if_stats", lambda: states)
    monkeypatch.setattr(socket, "if_nameindex", lambda: numbers)
    assert usable_interfaces() == (
        Interface("en0", 4, ("10.0.2.2",), (), None),
        Interface("eth0", 2, ("10.0.0.2",), ("fe80::1%eth0", "fd00::2"), True),
    )
    assert own_addresses() == ("10.0.2.2", "10.0.0.2", "fe80::1%eth0", "fd00::2")


def test_real_ones() -> None:
    """What this machine has can be asked for, and loopback is not among it."""
    assert not {"127.0.0.1", "::1"} & set(own_addresses())


def test_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    """A link-local address without zone may be on any interface that has IPv6."""
    found = (
        Interface("a", 1, ("10.0.0.2",), ("fe80::1%a",), None),
        Interface("b", 2, ("10.0.0.3",), (), None),
        Interface("c", 3, (), ("fd00::1",), None),
    )
    monkeypatch.setattr(interfaces, "usable_interfaces", lambda: found)
    given = ("169.254.1.1", "10.0.0.9", "fd00::9", "fe80::9", "fe80::8%7")
    zoned = ("169.254.1.1", "10.0.0.9", "fd00::9", "fe80::9%a", "fe80::9%c", "fe80::8%7")
    assert with_zones(given) == zoned
