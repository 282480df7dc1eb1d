"""All that works for one model beside llama-server.

These are leased devices of other nodes, and this node's own processor where the plan has it behind
other devices.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple, Self

from hgx.engine.devices import match_devices
from hgx.engine.log import rpc_log
from hgx.engine.placement import HOST
from hgx.engine.rpc_server import HOST as LOOPBACK
from hgx.engine.rpc_server import RpcOptions, RpcServer
from hgx.errors import EngineError, HgxError, PeerError
from hgx.flows.addresses import parse_target
from hgx.net.lease_client import Lease, Worker
from hgx.net.lease_lines import LeaseWish

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hgx.core.plan import Plan
    from hgx.core.registry import Node, Registry
    from hgx.engine.base import EngineDevice
    from hgx.engine.binaries import Toolkit
    from hgx.engine.hello import Protocol
    from hgx.net.identity import Identity


class Here(NamedTuple):
    """The coordinator: this node.

    Attributes:
        id: Its id in the registry.
        identity: What its peers know it by.
        toolkit: Its llama.cpp.
        devices: What that can use here.
        protocol: What that speaks with workers; null where it speaks with none.
        threads: For its processor.
        logs: Folder for logs.
    """

    id: str
    identity: Identity
    toolkit: Toolkit
    devices: tuple[EngineDevice, ...]
    protocol: Protocol | None
    threads: int
    logs: Path


class Sent(NamedTuple):
    """How far the weights of a worker have got.

    Attributes:
        worker: Its name.
        sent_bytes: What has gone through its tunnel.
        total_bytes: The weights that the plan has there; what it has kept from the last time need
            not be sent.
    """

    worker: str
    sent_bytes: int
    total_bytes: int


class Colleague(NamedTuple):
    """A worker that this node has a lease of.

    Attributes:
        name: The node's.
        lease: It lives, or says why not.
        weight_bytes: What the plan puts there.
        on_cards: Whether what it computes on is no processor.
    """

    name: str
    lease: Lease
    weight_bytes: int
    on_cards: bool


class WorkerUnfit(HgxError):
    """A worker cannot be had; a plan without it may still be possible.

    Args:
        node: Its id.
        error: Why.
    """

    def __init__(self, node: str, error: PeerError) -> None:
        super().__init__(error.message)
        self.node = node
        self.error = error


class Team:
    """Engaged as long as the context lasts.

    Args:
        here: The coordinator.
        plan: What is to be run.
        registry: Where the plan's nodes and devices are described.

    Attributes:
        names: llama.cpp's name for each of the plan's devices.
        endpoints: For ``--rpc``, in the order that those names rest on.
        colleagues: The workers.
        own: rpc servers on this node.

    Raises:
        WorkerUnfit: On entering: a worker was not reached, or refuses.
        EngineError: On entering: this node's own llama.cpp lacks a device, or does not start.
    """

    def __init__(self, here: Here, plan: Plan, registry: Registry) -> None:
        self._here = here
        self._plan = plan
        self._registry = registry
        self._stack = ExitStack()
        self.names: dict[str, str] = {}
        self.endpoints: tuple[str, ...] = ()
        self.colleagues: tuple[Colleague, ...] = ()
        self.own: tuple[RpcServer, ...] = ()

    def __enter__(self) -> Self:
        with self._stack as stack:
            self._name_own_devices()
            for node in dict.fromkeys(_node_of(stage.device) for stage in self._plan.stages):
                if node != self._here.id:
                    self._engage(node, stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def check(self) -> None:
        """Do nothing while all are there.

        Raises:
            PeerError: A worker is lost.
        """
        for colleague in self.colleagues:
            colleague.lease.check()

    def sent(self) -> tuple[Sent, ...]:
        """Say how far the weights have got."""
        return tuple(
            Sent(one.name, one.lease.traffic.to_tls.moved_bytes, one.weight_bytes)
            for one in self.colleagues
        )

    def _name_own_devices(self) -> None:
        here = [device for device in self._registry.devices if device.node == self._here.id]
        for device, found in match_devices(here, self._here.devices).items():
            self.names[device] = found.name
        for stage in self._plan.stages[1:]:
            if self.names.get(stage.device) == HOST:
                # llama.cpp runs its own processor's layers first; behind others it is a worker.
                self._number([stage.device], self._own_server())

    def _own_server(self) -> str:
        log = rpc_log(self._here.logs, "own")
        options = RpcOptions(devices=(HOST,), threads=self._here.threads)
        server = self._stack.enter_context(RpcServer(self._here.toolkit, log, options))
        self.own = (*self.own, server)
        return f"{LOOPBACK}:{server.port}"

    def _engage(self, node_id: str, stack: ExitStack) -> None:
        here, plan = self._here, self._plan
        node = next(node for node in self._registry.nodes if node.id == node_id)
        stages = [stage for stage in plan.stages if _node_of(stage.device) == node_id]
        wanted = tuple(stage.device.partition("/")[2] for stage in stages)
        if here.protocol is None:
            msg = f"this node's llama.cpp has no rpc server, so it cannot use {node_id}"
            raise EngineError(f"{msg}: use a build with GGML_RPC=ON")
        weights = sum(stage.memory.weights_bytes for stage in stages)
        wish = LeaseWish(
            coordinator=here.id,
            protocol=here.protocol,
            devices=wanted,
            cache=True,
            weight_bytes=weights or None,
        )
        try:
            lease = stack.enter_context(Lease(here.identity, _worker(node), wish))
        except PeerError as error:
            raise WorkerUnfit(node_id, error) from error
        lent = [f"{node_id}/{device.device}" for device in lease.granted.devices]
        self._number(lent, lease.endpoint)
        colleague = Colleague(
            node_id,
            lease,
            weights,
            on_cards=not all(device.startswith("cpu:") for device in wanted),
        )
        self.colleagues = (*self.colleagues, colleague)

    def _number(self, devices: Sequence[str], endpoint: str) -> None:
        """Name a server's devices as llama.cpp does: all of all servers, one after the other."""
        first = sum(name.startswith("RPC") for name in self.names.values())
        self.endpoints = (*self.endpoints, endpoint)
        self.names |= {device: f"RPC{first + at}" for at, device in enumerate(devices)}


def _node_of(device: str) -> str:
    return device.partition("/")[0]


def _worker(node: Node) -> Worker:
    return Worker(node.name or node.id, parse_target(node.address or ""), node.fingerprint or "")
