"""A model on this machine alone, with the engine that comes as a package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgx.engine.arguments import engine_spec
from hgx.engine.devices import usable_devices
from hgx.engine.embedded import EmbeddedEngine, engine_devices
from hgx.errors import RegistryError
from hgx.flows.plan import plan_model
from hgx.serve.launch import Launch

if TYPE_CHECKING:
    from hgx.core.options import PlanOptions
    from hgx.core.registry import Registry
    from hgx.flows.context import Longest
    from hgx.flows.inputs import Model
    from hgx.store.home import Home
    from hgx.store.ledger import Ledger


def alone(
    model: Model,
    registry: Registry,
    home: Home,
    options: PlanOptions,
    *,
    ledger: Ledger | None = None,
    threads: int | None = None,
    longest: Longest | None = None,
) -> Launch:
    """Plan a model for this machine, with those devices that the embedded engine can use.

    Args:
        model: What to run.
        registry: All devices that are known.
        home: Where logs are, and this machine's id.
        options: How it will be run.
        ledger: Served requests, by which predictions are corrected.
        threads: Threads on the CPU; one per physical core where null.
        longest: Asks for the longest context that fits in place of that of the options.

    Raises:
        Unavailable: The engine is not installed.
        RegistryError: The registry has no device of this machine that the engine can use.
        ModelError: The model cannot be read.
        Infeasible: The model does not fit.
        EngineError: The engine cannot carry out the plan.
    """
    node, devices = home.node_id(), engine_devices()
    usable = usable_devices(registry, node, devices)
    if not usable.registry.devices:
        msg = f"the registry has no device of this machine ({node}) that the engine can use: "
        raise RegistryError(msg + "run hgx discover, or name another registry with --devices")
    # The package's engine is not told of single tensors.
    options = options.model_copy(update={"cpu_experts": 0})
    workload, plan = plan_model(
        model.path, usable.registry, options, node, ledger=ledger, longest=longest
    )
    options = options.model_copy(update={"ctx": plan.ctx})
    spec = engine_spec(
        plan, workload, options, usable.registry, devices, alias=model.alias, threads=threads
    )
    return Launch(
        engine=EmbeddedEngine(spec, home.logs),
        alias=model.alias,
        workload=workload,
        plan=plan,
        options=options,
        registry=usable.registry,
        notes=usable.left_out,
    )
