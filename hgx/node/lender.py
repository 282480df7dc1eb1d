"""Starts llama.cpp's rpc server for a lease, on the devices that hgx calls by other names."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hgx.engine.arguments import default_threads
from hgx.engine.binaries import find_toolkit
from hgx.engine.devices import match_devices
from hgx.engine.listing import list_devices
from hgx.engine.log import rpc_log
from hgx.engine.rpc_server import RpcOptions, RpcServer
from hgx.engine.selftest import self_test
from hgx.engine.weight_cache import make_room
from hgx.errors import EngineError
from hgx.net.lease_lines import LentDevice
from hgx.node.held import Lent, RefusedWish

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from hgx.core.registry import Device
    from hgx.engine.base import EngineDevice
    from hgx.engine.binaries import Toolkit
    from hgx.net.lease_lines import LeaseWish
    from hgx.store.home import Home


class Limits(NamedTuple):
    """What this node lends at most, whatever a coordinator wishes.

    Attributes:
        threads: Of the processor; one per physical core where null.
        memory_bytes: Main memory of an rpc server, in bytes (Linux); no limit where null.
    """

    threads: int | None = None
    memory_bytes: int | None = None


NO_LIMITS = Limits()


class EngineLender:
    """What ``LeaseService`` lends with.

    Args:
        home: Where logs, cached weights and results of self-tests are kept.
        devices: Returns this node's devices as they are known now.
        engine_dir: Folder of llama.cpp's programs that the user named, or null.
        limits: What is lent at most.
    """

    def __init__(
        self,
        home: Home,
        devices: Callable[[], Sequence[Device]],
        engine_dir: Path | None = None,
        limits: Limits = NO_LIMITS,
    ) -> None:
        self._home = home
        self._devices = devices
        self._engine_dir = engine_dir
        self._limits = limits

    def __call__(self, wish: LeaseWish) -> Lent:
        """Start an rpc server.

        Raises:
            RefusedWish: llama.cpp does not have such a device here.
            HgxError: llama.cpp is not there, or does not work on it.
        """
        toolkit = find_toolkit(self._engine_dir)
        found = self._found(toolkit, wish.devices)
        names = tuple(device.name for device in found)
        for name in names:
            self_test(toolkit, self._home, name)
        cache = self._home.path / "weights"
        room = wish.weight_bytes or sum(device.memory_total_bytes for device in found)
        options = RpcOptions(
            devices=names,
            threads=_least(wish.threads, self._limits.threads) or default_threads(),
            memory_bytes=_least(wish.memory_bytes, self._limits.memory_bytes),
            cache=cache if wish.cache and make_room(cache, room) else None,
        )
        server = RpcServer(toolkit, rpc_log(self._home.logs, "-".join(names)), options)
        protocol = server.start()
        offered = tuple(device.name for device in server.devices)
        if offered != names:
            server.stop()
            raise EngineError(f"the rpc server offers {offered} and should offer {names}")
        lent = tuple(
            LentDevice(
                device=device, engine=offer.name, memory_total_bytes=offer.memory_total_bytes
            )
            for device, offer in zip(wish.devices, server.devices, strict=True)
        )
        return Lent(server, protocol, toolkit.build, lent)

    def _found(self, toolkit: Toolkit, wanted: Sequence[str]) -> tuple[EngineDevice, ...]:
        """Return devices as llama.cpp has them, by what they are and not by their order."""
        matched = match_devices(self._devices(), list_devices(toolkit))
        there = {device.partition("/")[2]: found for device, found in matched.items()}
        missing = [device for device in wanted if device not in there]
        if missing:
            msg = f"has no {' and no '.join(missing)} that its llama.cpp can use"
            raise RefusedWish(msg, "devices")
        return tuple(there[device] for device in wanted)


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)
