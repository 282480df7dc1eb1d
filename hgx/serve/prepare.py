"""What is decided before the engine starts: which devices, which plan, which arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hgx.engine.arguments import engine_spec
from hgx.engine.devices import usable_devices
from hgx.engine.embedded import engine_devices
from hgx.errors import RegistryError
from hgx.flows.plan import plan_model

if TYPE_CHECKING:
    from hgx.core.options import PlanOptions
    from hgx.core.plan import Plan
    from hgx.core.registry import Registry
    from hgx.core.workload import Workload
    from hgx.engine.base import EngineSpec
    from hgx.flows.inputs import Model


class Prepared(NamedTuple):
    """All decisions made, nothing started yet.

    Attributes:
        workload: The model as the planner sees it.
        plan: Where its layers go.
        spec: What the engine is told.
        left_out: Devices the engine cannot use, one sentence each.
    """

    workload: Workload
    plan: Plan
    spec: EngineSpec
    left_out: tuple[str, ...]


def prepare(
    model: Model,
    registry: Registry,
    node: str,
    options: PlanOptions,
    *,
    threads: int | None = None,
) -> Prepared:
    """Plan a model for this machine, with those devices that the installed engine can use.

    Args:
        model: What to run.
        registry: All devices that are known.
        node: This machine's id.
        options: How it will be run.
        threads: Threads on the CPU; one per physical core where null.

    Raises:
        Unavailable: The engine is not installed.
        RegistryError: The registry has no device of this machine that the engine can use.
        ModelError: The model cannot be read.
        Infeasible: The model does not fit.
        EngineError: The engine cannot carry out the plan.
    """
    devices = engine_devices()
    usable = usable_devices(registry, node, devices)
    if not usable.registry.devices:
        msg = f"the registry has no device of this machine ({node}) that the engine can use: "
        raise RegistryError(msg + "run hgx discover, or name another registry with --devices")
    workload, plan = plan_model(model.path, usable.registry, options, node)
    spec = engine_spec(
        plan, workload, options, usable.registry, devices, alias=model.alias, threads=threads
    )
    return Prepared(workload, plan, spec, usable.left_out)
