"""The network interfaces of this machine, as far as other machines can be reached by them."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, NamedTuple

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable


class Interface(NamedTuple):
    """An interface that is up and is not loopback.

    Attributes:
        name: As the system calls it.
        number: By which IPv6 multicast is told where to go.
        ipv4: Addresses, without masks.
        ipv6: Addresses, link-local ones with their zone.
        multicast: Whether it carries multicast; null where the system does not tell.
    """

    name: str
    number: int
    ipv4: tuple[str, ...]
    ipv6: tuple[str, ...]
    multicast: bool | None

    @property
    def addresses(self) -> tuple[str, ...]:
        """All of them."""
        return (*self.ipv4, *self.ipv6)


def usable_interfaces() -> tuple[Interface, ...]:
    """Return the interfaces that are up, are not loopback and have an address."""
    numbers = {name: number for number, name in socket.if_nameindex()}
    states = psutil.net_if_stats()
    found: list[Interface] = []
    for name, addresses in sorted(psutil.net_if_addrs().items()):
        state = states.get(name)
        if state is None or not state.isup or name not in numbers:
            continue
        flags = set(state.flags.split(",")) - {""}
        texts = [(entry.family, entry.address.partition("%")[0]) for entry in addresses]
        interface = Interface(
            name,
            numbers[name],
            tuple(text for family, text in texts if _counts(family, text, socket.AF_INET)),
            tuple(
                _zoned(text, name)
                for family, text in texts
                if _counts(family, text, socket.AF_INET6)
            ),
            "multicast" in flags if flags else None,
        )
        if interface.addresses:
            found.append(interface)
    return tuple(found)


def own_addresses() -> tuple[str, ...]:
    """Return the addresses at which others may reach this machine, IPv4 first."""
    interfaces = usable_interfaces()
    return (
        *(address for interface in interfaces for address in interface.ipv4),
        *(address for interface in interfaces for address in interface.ipv6),
    )


def with_zones(addresses: Iterable[str]) -> tuple[str, ...]:
    """Add a zone to each link-local address that has none; the interface may be any of ours.

    An announcement tells the zone only where it came from a link-local address itself.
    """
    found: list[str] = []
    for address in addresses:
        if "%" in address or not ipaddress.ip_address(address).is_link_local or ":" not in address:
            found.append(address)
        else:
            zones = (interface.name for interface in usable_interfaces() if interface.ipv6)
            found.extend(f"{address}%{zone}" for zone in zones)
    return tuple(found)


def _counts(family: int, address: str, wanted: int) -> bool:
    return family == wanted and not ipaddress.ip_address(address).is_loopback


def _zoned(address: str, interface: str) -> str:
    """Add the zone that a link-local address is nothing without."""
    return f"{address}%{interface}" if ipaddress.ip_address(address).is_link_local else address
