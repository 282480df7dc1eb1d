"""What it takes to run one model, with all decisions made and nothing loaded yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgx.core.options import PlanOptions
    from hgx.core.plan import Plan
    from hgx.core.registry import Registry
    from hgx.core.workload import Workload
    from hgx.serve.overseer import Running
    from hgx.serve.team import Team


class Launch(NamedTuple):
    """A model that can be started.

    Attributes:
        engine: What runs it.
        alias: What the model is called in answers.
        workload: The model as the planner sees it.
        plan: Where its layers go.
        options: How it will be run.
        registry: What the plan was made of.
        notes: Who is left out and why, one sentence each.
        team: Who works with the engine; null where nobody does.
        loaded: To be called once the model is loaded: raises EngineError where the engine did
            something else than the plan says.
    """

    engine: Running
    alias: str
    workload: Workload
    plan: Plan
    options: PlanOptions
    registry: Registry
    notes: tuple[str, ...]
    team: Team | None = None
    loaded: Callable[[], None] = lambda: None
