"""Which device a question about heat is about, and what is known of its heat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgx.errors import RegistryError, Unavailable
from hgx.store.atomic import shown_path
from hgx.store.registry_file import known_registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hgx.core.registry import Device
    from hgx.core.thermal import ThermalParameters
    from hgx.store.home import Home


def known_devices(home: Home) -> tuple[Device, ...]:
    """Return this machine's devices that the registry knows, none where there is no registry.

    Raises:
        RegistryError: The registry is damaged.
    """
    own = home.node_id()
    return tuple(one for one in known_registry(home.registry).devices if one.node == own)


def chosen_device(home: Home, name: str | None) -> Device:
    """Return the device that was named, or the only one.

    Args:
        home: Where the registry is.
        name: An id, whole or without this machine's name; null for the only device, or the only one
            beside the processor.

    Raises:
        RegistryError: There is none of that name, or several to choose from.
    """
    devices = known_devices(home)
    if not devices:
        msg = f"{shown_path(home.registry)} has no device of this machine: run `hgx discover`"
        raise RegistryError(msg)
    if name is None:
        return _only(devices)
    for device in devices:
        if name in {device.id, device.id.partition("/")[2]}:
            return device
    msg = f"there is no device {name!a} on this machine: choose from {_names(devices)}"
    raise RegistryError(msg)


def fitted_parameters(device: Device) -> ThermalParameters:
    """Return what was learnt of a device's heat.

    Raises:
        Unavailable: Nothing was; says how to learn it.
    """
    if device.thermal is None:
        raise Unavailable(
            f"nothing is known of the heat of {device.id} yet",
            "record a trace with `hgx thermal record`, then run `hgx thermal fit TRACE`",
        )
    return device.thermal


def _only(devices: Sequence[Device]) -> Device:
    cards = [device for device in devices if not device.fallback]
    for choice in (devices, cards):
        if len(choice) == 1:
            return choice[0]
    msg = f"this machine has several devices: choose with --device from {_names(devices)}"
    raise RegistryError(msg)


def _names(devices: Sequence[Device]) -> str:
    return ", ".join(device.id.partition("/")[2] for device in devices)
