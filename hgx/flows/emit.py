"""A plan as the commands of llama.cpp's programs, for people who run them by hand.

Between machines the rpc protocol is neither encrypted nor does it ask who connects. So servers are
told to listen on loopback, as hgx tells them, and SSH takes the place of hgx's tunnels. Each worker
has a port of its own, the same on both ends.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, NamedTuple

from hgx.engine.chat import PLAIN_STOP, PLAIN_TEMPLATE
from hgx.engine.placement import HOST, place_layers
from hgx.engine.rpc_server import HOST as LOOPBACK
from hgx.engine.server_arguments import ServerSpec, hand_arguments
from hgx.errors import PeerError
from hgx.flows.addresses import parse_target

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hgx.core.options import PlanOptions
    from hgx.core.plan import Plan
    from hgx.core.registry import Device, Registry

FIRST_RPC_PORT = 50052
"""Where llama.cpp's rpc server listens if nobody says otherwise; further ones follow."""

HTTP_PORT = 8080
"""The same of llama-server."""

_ENGINES = {"cuda": "CUDA", "rocm": "ROCm", "metal": "MTL"}
"""What llama.cpp calls the devices of a backend, before their number; it has one CPU."""

_ONE_LINE = 12
"""Words of a command that are still easy to read in one line."""

_NO_RDMA = "GGML_RPC_NO_RDMA=1"
"""RDMA would be negotiated around the tunnel."""

_FLASH_ATTENTION = "LLAMA_ARG_FLASH_ATTN=on"
"""What plans count on, and what hgx tells llama-server too."""


class Command(NamedTuple):
    """One command.

    Attributes:
        node: Where it is to be run.
        about: What it is for, lines of text.
        environment: Variables, ``NAME=VALUE``.
        words: The program and its arguments.
    """

    node: str
    about: tuple[str, ...]
    environment: tuple[str, ...]
    words: tuple[str, ...]


class _Server(NamedTuple):
    """An rpc server: its node, its port, and the devices it has, by hgx's name and llama.cpp's."""

    node: str
    port: int
    devices: Mapping[str, str]


def llama_cpp_commands(
    plan: Plan, registry: Registry, options: PlanOptions, *, alias: str, chat_template: bool
) -> tuple[Command, ...]:
    """Say which programs of llama.cpp to start, where and how, to carry out a plan.

    Args:
        plan: A plan with stages.
        registry: What it was made for.
        options: Likewise.
        alias: Name of the model in answers.
        chat_template: Whether the model's file brings one.

    Returns:
        In the order in which they are to be started: rpc servers, tunnels to those of other
        machines, and llama-server.

    Raises:
        EngineError: llama.cpp has no such device, or cannot place layers as the plan wants them.
    """
    coordinator = plan.host.node if plan.host else ""
    devices = {device.id: device for device in registry.devices}
    stages = [devices[stage.device] for stage in plan.stages if stage.device in devices]
    servers = tuple(_servers(stages, coordinator))
    named = [name for server in servers for name in server.devices]
    names = {device.id: _engine(device) for device in stages if device.node == coordinator}
    names |= {device: f"RPC{number}" for number, device in enumerate(named)}
    placement = place_layers(plan, {device: name for device, name in names.items() if name})
    spec = ServerSpec(
        model=plan.model.path,
        alias=alias,
        ctx=plan.ctx or options.ctx,
        parallel=options.parallel,
        kv_type=options.kv_type,
        gpu_layers=placement.gpu_layers,
        tensor_split=placement.tensor_split,
        experts_away=plan.experts_away,
        chat_template=None if chat_template else PLAIN_TEMPLATE,
        stop=() if chat_template else PLAIN_STOP,
        devices=tuple(place.engine for place in placement.offloaded),
        rpc=tuple(f"{LOOPBACK}:{server.port}" for server in servers),
        backend_sampling=plan.backend_sampling,
    )
    hosts = {node.id: _host(node.id, node.address) for node in registry.nodes}
    away = [server for server in servers if server.node != coordinator]
    llama_server = ("llama-server", *hand_arguments(spec, HTTP_PORT))
    return (
        *map(_serve, servers),
        *(_tunnel(server, coordinator, hosts[server.node]) for server in away),
        Command(
            coordinator,
            (f"the model, at http://{LOOPBACK}:{HTTP_PORT}",),
            (*((_NO_RDMA,) if servers else ()), _FLASH_ATTENTION),
            llama_server,
        ),
    )


def shell_text(commands: Sequence[Command]) -> str:
    """Write commands for a POSIX shell, with what one has to know of them."""
    lines = [
        "# What hgx serve does by itself. Each command is for the machine that is named above it.",
        "# Devices are called as llama.cpp's builds for CUDA, ROCm and Metal call them, and have",
        "# hgx's numbers: compare with what llama-server --list-devices prints there.",
    ]
    if any(command.words[0] == "ssh" for command in commands):
        lines += [
            "# WARNING: the rpc protocol is not encrypted and obeys whoever connects. So servers",
            "# listen on loopback here, and SSH tunnels lead to them. Only in a network where you",
            "# trust everybody, a server may have --host ADDRESS, and --rpc that ADDRESS, instead.",
        ]
    for command in commands:
        first, *rest = command.about
        lines += ["", f"# on {command.node}: {first}", *(f"# {line}" for line in rest)]
        lines.append(" ".join((*command.environment, _quoted(command.words))))
    return "\n".join(lines) + "\n"


def _servers(stages: Sequence[Device], coordinator: str) -> Iterator[_Server]:
    """The coordinator's CPU where it is behind other devices, and each other node."""
    groups: dict[str, list[Device]] = {}
    groups[coordinator] = [
        device for device in stages[1:] if device.node == coordinator and _engine(device) == HOST
    ]
    for device in stages:
        if device.node != coordinator:
            groups.setdefault(device.node, []).append(device)
    known = {
        node: {device.id: name for device in group if (name := _engine(device))}
        for node, group in groups.items()
    }
    with_any = ((node, devices) for node, devices in known.items() if devices)
    for port, (node, devices) in enumerate(with_any, FIRST_RPC_PORT):
        yield _Server(node, port, devices)


def _engine(device: Device) -> str | None:
    """llama.cpp's name for a device on its own machine, or null where it has none."""
    if device.backend == "cpu":
        return HOST
    prefix = _ENGINES.get(device.backend)
    index = device.id.rpartition(":")[2]
    return f"{prefix}{index}" if prefix and index.isdecimal() else None


def _serve(server: _Server) -> Command:
    about = ["the rpc server for " + ", ".join(server.devices)]
    if HOST in server.devices.values():
        about.append("(add --threads N, one per physical core: left alone it takes half of all)")
    words = ("--host", LOOPBACK, "--port", f"{server.port}")
    chosen = ",".join(server.devices.values())
    return Command(
        server.node,
        tuple(about),
        (_NO_RDMA,),
        ("ggml-rpc-server", *words, "--device", chosen),
    )


def _tunnel(server: _Server, coordinator: str, host: str) -> Command:
    forward = f"{LOOPBACK}:{server.port}:{LOOPBACK}:{server.port}"
    about = (f"the tunnel to {server.node}, as long as the model runs",)
    return Command(coordinator, about, (), ("ssh", "-N", "-L", forward, "--", host))


def _host(node: str, address: str | None) -> str:
    """Where SSH finds a node: the host of its address, or its name where it has none."""
    try:
        return parse_target(address).host if address else node
    except PeerError:  # written by hand, for people
        return node


def _quoted(words: Sequence[str]) -> str:
    """Quote words for a shell; where there are many, each option begins a line."""
    text = "".join(
        (" \\\n  " if word.startswith("--") and len(words) > _ONE_LINE else " ") + shlex.quote(word)
        for word in words
    )
    return text.lstrip()
