"""hgx: run one language model on all the machines you own.

    registry = hgx.load_registry("registry.json")
    model = hgx.read_model("model.gguf")
    plan = hgx.solve(registry, model, hgx.PlanOptions(ctx=8192))
    print(plan.status, plan.predicted.tokens_per_s)

Names are imported when they are first used, so that ``import hgx`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from hgx._version import __version__

if TYPE_CHECKING:
    from hgx.core.options import PlanOptions
    from hgx.core.plan import Plan
    from hgx.core.registry import Registry
    from hgx.core.workload import Workload
    from hgx.errors import (
        EngineError,
        HgxError,
        Infeasible,
        ModelError,
        OutOfTime,
        PeerError,
        RegistryError,
        StorageError,
        Unavailable,
    )
    from hgx.flows.model import read_model
    from hgx.flows.plan import evaluate, solve
    from hgx.store.registry_file import load_registry

__all__ = [
    "EngineError",
    "HgxError",
    "Infeasible",
    "ModelError",
    "OutOfTime",
    "PeerError",
    "Plan",
    "PlanOptions",
    "Registry",
    "RegistryError",
    "StorageError",
    "Unavailable",
    "Workload",
    "__version__",
    "evaluate",
    "load_registry",
    "read_model",
    "solve",
]

_ORIGINS = {
    "Plan": ("hgx.core.plan", "Plan"),
    "PlanOptions": ("hgx.core.options", "PlanOptions"),
    "Registry": ("hgx.core.registry", "Registry"),
    "Workload": ("hgx.core.workload", "Workload"),
    "evaluate": ("hgx.flows.plan", "evaluate"),
    "load_registry": ("hgx.store.registry_file", "load_registry"),
    "read_model": ("hgx.flows.model", "read_model"),
    "solve": ("hgx.flows.plan", "solve"),
}
"""Where names live; those that are not listed are errors."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        msg = f"module 'hgx' has no attribute {name!r}"
        raise AttributeError(msg)
    module, attribute = _ORIGINS.get(name, ("hgx.errors", name))
    return getattr(import_module(module), attribute)
