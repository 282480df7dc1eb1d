"""A model on several machines: who can take part, the plan, the leases, the engine."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from hgx.core.registry import Registry
from hgx.engine.arguments import default_threads
from hgx.engine.chat import PLAIN_STOP, PLAIN_TEMPLATE
from hgx.engine.devices import match_devices
from hgx.engine.listing import list_devices
from hgx.engine.llama_cpp import LlamaCppEngine
from hgx.engine.placement import place_layers
from hgx.engine.readback import check_layers
from hgx.engine.rpc_server import rpc_protocol
from hgx.engine.server_arguments import ServerSpec
from hgx.errors import Infeasible, RegistryError
from hgx.flows.links import with_assumed_links
from hgx.flows.plan import plan_model
from hgx.net.identity import own_identity
from hgx.serve.launch import Launch
from hgx.serve.team import Here, Team, WorkerUnfit

if TYPE_CHECKING:
    from collections.abc import Generator

    from hgx.core.options import PlanOptions
    from hgx.core.plan import Plan
    from hgx.core.registry import Node
    from hgx.core.workload import Workload
    from hgx.engine.binaries import Toolkit
    from hgx.engine.placement import Placement
    from hgx.flows.context import Longest
    from hgx.flows.inputs import Model
    from hgx.store.home import Home
    from hgx.store.ledger import Ledger


class Candidates(NamedTuple):
    """Who can take part in running a model.

    Attributes:
        registry: Nodes and devices that can, with the links between them.
        left_out: One sentence for each that cannot, with the reason.
    """

    registry: Registry
    left_out: tuple[str, ...]


@contextmanager
def together(
    model: Model,
    registry: Registry,
    home: Home,
    options: PlanOptions,
    toolkit: Toolkit,
    *,
    ledger: Ledger | None = None,
    threads: int | None = None,
    longest: Longest | None = None,
) -> Generator[Launch]:
    """Have everything ready to run a model on this machine and its paired peers.

    A worker that cannot be had is left out and the rest planned anew. Leases last as long as the
    context.

    Args:
        model: What to run.
        registry: All devices that are known.
        home: Where identity and logs are.
        options: How it will be run.
        toolkit: This machine's llama.cpp.
        ledger: Served requests, by which predictions are corrected.
        threads: For this machine's processor; one per physical core where null.
        longest: Asks for the longest context that fits in place of that of the options.

    Raises:
        Unavailable: llama.cpp's programs cannot be started.
        RegistryError: The registry has no device that llama.cpp can use.
        ModelError: The model cannot be read.
        Infeasible: The model does not fit.
        PeerError: It does not fit without a worker that cannot be had.
        EngineError: llama.cpp cannot carry out the plan.
    """
    here = Here(
        home.node_id(),
        own_identity(home),
        toolkit,
        list_devices(toolkit),
        rpc_protocol(toolkit) if toolkit.rpc_server else None,
        threads or default_threads(),
        home.logs,
    )
    found = candidates(registry, here)
    options = options.model_copy(update={"coordinator": here.id})
    able, assumed = with_assumed_links(found.registry, here.id)
    notes, unfit = [*found.left_out, *assumed], None
    with ExitStack() as stack:
        while True:
            try:
                workload, plan = plan_model(
                    model.path, able, options, here.id, ledger=ledger, longest=longest
                )
            except Infeasible as error:
                raise (unfit.error if unfit else error) from error
            try:
                team = stack.enter_context(Team(here, plan, able))
            except WorkerUnfit as error:
                unfit = error
                notes.append(f"left out: {error.message}")
                able = _without(able, error.node)
            else:
                break
        options = options.model_copy(update={"ctx": plan.ctx})
        placement = place_layers(plan, team.names)
        spec = _spec(workload, plan, options, here, team, placement=placement, alias=model.alias)
        engine = LlamaCppEngine(toolkit.server, spec, home.logs)
        yield Launch(
            engine=engine,
            alias=model.alias,
            workload=workload,
            plan=plan,
            options=options,
            registry=able,
            notes=tuple(notes),
            team=team,
            loaded=lambda: check_layers(placement, engine.loaded.layers),
        )


def candidates(registry: Registry, here: Here) -> Candidates:
    """Say who can take part: this machine's devices that llama.cpp has, and paired peers'.

    Args:
        registry: All that is known.
        here: This machine.

    Raises:
        RegistryError: Nobody can.
    """
    registry = registry.usable()
    mine = [device for device in registry.devices if device.node == here.id]
    matched = match_devices(mine, here.devices)
    nodes = {node.id: node for node in registry.nodes}
    left_out = [
        f"{device.id} ({device.name or device.backend}) is left out: llama.cpp here has no such "
        "device; use a build for it, named with --engine-dir"
        for device in mine
        if device.id not in matched
    ]
    reached = {node.id for node in registry.nodes if _is_worker(node, here)}
    strange = {device.node for device in registry.devices} - reached - {here.id}
    left_out += [
        f"{node} is left out: it was not found as a paired node; run hgx discover"
        for node in sorted(strange)
    ]
    devices = tuple(
        device for device in registry.devices if device.id in matched or device.node in reached
    )
    if not devices:
        msg = f"the registry has no device that llama.cpp on this machine ({here.id}) can use: "
        raise RegistryError(msg + "run hgx discover, or name another registry with --devices")
    kept = {here.id, *reached}
    return Candidates(
        Registry(
            nodes=tuple(node for node in nodes.values() if node.id in kept),
            devices=devices,
            links=tuple(link for link in registry.links if {link.source, link.target} <= kept),
        ),
        tuple(left_out),
    )


def _is_worker(node: Node, here: Here) -> bool:
    known = node.paired and node.fingerprint and node.address
    return bool(known and here.protocol and node.id != here.id)


def _without(registry: Registry, node: str) -> Registry:
    """Return a registry in which a node has no devices."""
    devices = tuple(device for device in registry.devices if device.node != node)
    return registry.model_copy(update={"devices": devices})


def _spec(
    workload: Workload,
    plan: Plan,
    options: PlanOptions,
    here: Here,
    team: Team,
    *,
    placement: Placement,
    alias: str,
) -> ServerSpec:
    return ServerSpec(
        model=workload.path,
        alias=alias,
        ctx=options.ctx,
        parallel=options.parallel,
        kv_type=options.kv_type,
        threads=here.threads,
        gpu_layers=placement.gpu_layers,
        tensor_split=placement.tensor_split,
        experts_away=plan.experts_away,
        chat_template=None if workload.chat_template else PLAIN_TEMPLATE,
        stop=() if workload.chat_template else PLAIN_STOP,
        devices=tuple(place.engine for place in placement.offloaded),
        rpc=team.endpoints,
        backend_sampling=plan.backend_sampling,
    )
