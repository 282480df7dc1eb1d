"""What ``hgx plan`` says of a plan's reasons: in words and figures, and as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

if TYPE_CHECKING:
    from hgx.core.explanation import ExplainedPlan
    from hgx.core.options import PlanOptions
    from hgx.core.plan import Plan
    from hgx.core.registry import Registry
    from hgx.core.workload import Workload
    from hgx.store.home import Home

ExplainOption = Annotated[
    bool,
    typer.Option(
        "--explain",
        help="Say what a token takes, what binds, what would help, and what that rests on; takes "
        "about as long again as the search may.",
    ),
]
PlotOption = Annotated[
    Path | None,
    typer.Option("--plot", metavar="FILE", help="Draw memory and one token's way, as SVG."),
]


class Asked(NamedTuple):
    """What a plan was made of.

    Attributes:
        workload: The model.
        registry: Nodes, devices and links.
        options: How it will be run.
        home: Where the ledger of served requests is.
    """

    workload: Workload
    registry: Registry
    options: PlanOptions
    home: Home


def explained(plan: Plan, asked: Asked, *, quiet: bool) -> ExplainedPlan | None:
    """Explain a plan; null where it has no placement.

    Args:
        plan: The plan.
        asked: What it was made of.
        quiet: Whether not to show that it takes its time.
    """
    from hgx.cli.render.console import busy
    from hgx.flows.plan_explain import explain
    from hgx.store.ledger import Ledger

    home = asked.home
    with busy("Explaining", quiet=quiet):
        return explain(
            plan, asked.workload, asked.registry, asked.options, home.node_id(), ledger=Ledger(home)
        )


def write_plot(file: Path, plan: Plan, asked: Asked) -> None:
    """Draw a plan with stages into a file.

    Raises:
        StorageError: The file cannot be written.
    """
    from hgx.cli.render.plan_plot import draw_plan
    from hgx.flows.plan_explain import stage_costs
    from hgx.store.atomic import write_atomically
    from hgx.store.ledger import Ledger

    home = asked.home
    costs = stage_costs(
        plan, asked.workload, asked.registry, asked.options, home.node_id(), ledger=Ledger(home)
    )
    write_atomically(file, draw_plan(plan, costs))
