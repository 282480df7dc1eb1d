"""A finished plan, verified: llama.cpp is asked where layers would go and what they would take.

Nothing is loaded. Devices of other machines need not be there: an rpc server on this machine's
loopback stands in for each, because what a layer takes does not depend on who answers. What does is
not checked: the alignment of a GPU's memory, and what its driver keeps for itself.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hgx.core.verified import Verified, VerifiedPlan
from hgx.engine.binaries import find_toolkit
from hgx.engine.fit_params import fit_params
from hgx.engine.log import new_log
from hgx.engine.placement import HOST, place_layers
from hgx.engine.readback import check_layers
from hgx.engine.rpc_server import HOST as LOOPBACK
from hgx.engine.rpc_server import RpcOptions, RpcServer
from hgx.engine.server_arguments import ServerSpec
from hgx.flows.plan_difference import check_capacity, differences, side_by_side

if TYPE_CHECKING:
    from collections.abc import Generator

    from hgx.core.options import PlanOptions
    from hgx.core.plan import Plan
    from hgx.core.registry import Registry
    from hgx.engine.binaries import Toolkit
    from hgx.engine.placement import Placement
    from hgx.store.home import Home

_SILENT = "this llama.cpp does not say which layer goes where: that is not checked"


def verify_plan(
    plan: Plan,
    registry: Registry,
    options: PlanOptions,
    home: Home,
    engine_dir: Path | None = None,
) -> VerifiedPlan:
    """Hold a plan against what llama.cpp says it would do.

    Args:
        plan: A plan with stages.
        registry: What it was made for.
        options: Likewise.
        home: Where llama.cpp's log goes.
        engine_dir: Folder of llama.cpp's programs, where the user named one.

    Returns:
        The plan with what llama.cpp says of it.

    Raises:
        Unavailable: The programs are not there.
        EngineError: llama.cpp cannot carry out the plan, would place layers elsewhere, or needs
            more than a device may give.
        StorageError: The log cannot be written.
    """
    toolkit = find_toolkit(engine_dir)
    program = toolkit.need("fit_params")
    placement = place_layers(plan, _names(plan, registry))
    log = new_log(home.logs)
    with _stand_ins(toolkit, len(placement.offloaded)) as addresses:
        spec = _spec(plan, options, placement, addresses)
        fitted = fit_params(program, spec, plan.model.n_block + 1, log)
    check_layers(placement, fitted.layers)
    devices = side_by_side(plan, placement, fitted)
    check_capacity(devices)
    verified = Verified(
        build=toolkit.build,
        source=toolkit.source,
        devices=devices,
        warnings=differences(devices),
        notes=(*(() if fitted.layers else (_SILENT,)), *toolkit.notes),
    )
    return VerifiedPlan.model_validate({**dict(plan), "verified": verified})


def _names(plan: Plan, registry: Registry) -> dict[str, str]:
    """Call each device as llama.cpp will: all but the coordinator's own CPU, in front, by RPC."""
    own = {
        device.id
        for device in registry.devices
        if plan.host and device.node == plan.host.node and device.backend == "cpu"
    }
    ids = [stage.device for stage in plan.stages]
    on_host = [name for name in ids[:1] if name in own]
    workers = ids[len(on_host) :]
    return dict.fromkeys(on_host, HOST) | {name: f"RPC{n}" for n, name in enumerate(workers)}


@contextmanager
def _stand_ins(toolkit: Toolkit, count: int) -> Generator[tuple[str, ...]]:
    """Run so many rpc servers, each with one thread of the CPU; give their addresses."""
    only_cpu = RpcOptions(devices=("CPU",), threads=1)
    with tempfile.TemporaryDirectory(prefix="hgx-") as folder, ExitStack() as running:
        logs = [Path(folder) / f"{number}.log" for number in range(count)]
        servers = [running.enter_context(RpcServer(toolkit, log, only_cpu)) for log in logs]
        yield tuple(f"{LOOPBACK}:{server.port}" for server in servers)


def _spec(
    plan: Plan, options: PlanOptions, placement: Placement, addresses: tuple[str, ...]
) -> ServerSpec:
    return ServerSpec(
        model=plan.model.path,
        alias="plan",
        ctx=options.ctx,
        parallel=options.parallel,
        kv_type=options.kv_type,
        gpu_layers=placement.gpu_layers,
        tensor_split=placement.tensor_split,
        experts_away=plan.experts_away,
        devices=tuple(place.engine for place in placement.offloaded),
        rpc=addresses,
    )
