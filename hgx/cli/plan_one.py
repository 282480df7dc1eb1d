"""What ``hgx plan`` does with one model: plan it, and show and write what is wished of that."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import typer

from hgx.cli.plan_compare import commands_text, json_text, plan_changed, print_compared
from hgx.cli.plan_insight import Asked, explained, write_plot

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hgx.cli.plan_compare import Comparison
    from hgx.core.options import PlanOptions
    from hgx.core.plan import Plan
    from hgx.core.registry import Registry
    from hgx.flows.context import Longest
    from hgx.store.home import Home


class Wish(NamedTuple):
    """What is to become of the plan of one model; fields are as the options of those names.

    Attributes:
        placement: Runs of blocks to predict, in place of a search.
        longest: The wish for the longest context that fits, or null.
        comparison: What it is compared with.
    """

    placement: tuple[tuple[str, int, int], ...]
    longest: Longest | None
    comparison: Comparison
    explain: bool
    verify: bool
    engine_dir: Path | None
    plot: Path | None
    output: Path | None
    as_json: bool
    quiet: bool


def plan_one(model: str, registry: Registry, options: PlanOptions, home: Home, wish: Wish) -> None:
    """Plan a model, and show and write what is wished of that.

    Args:
        model: What the user named.
        registry: Nodes, devices and links.
        options: How it will be run.
        home: Where models, logs and the ledger are.
        wish: What is wished.

    Raises:
        HgxError: As the parts of it do; Infeasible where nothing fits, once that is shown.
    """
    from hgx.cli.render.console import busy, plain, stderr
    from hgx.flows.inputs import find_header, find_model
    from hgx.flows.model import read_model
    from hgx.flows.plan import draft_plan, require_feasible
    from hgx.flows.plan_verify import verify_plan
    from hgx.store.atomic import write_atomically
    from hgx.store.ledger import Ledger

    comparison, this_node = wish.comparison, home.node_id()
    # llama.cpp's programs read files only.
    file = find_model(model, home) if wish.verify or comparison.emit else None
    with busy("Reading", quiet=wish.quiet):
        workload = read_model(file.path if file else find_header(model, home))
    draft = partial(
        draft_plan,
        workload,
        options=options,
        this_node=this_node,
        placement=wish.placement,
        ledger=Ledger(home),
        longest=wish.longest,
    )
    with busy("Planning", quiet=wish.quiet):
        coordinator = options.coordinator or this_node
        registry, found = plan_changed(draft, registry, comparison, coordinator)
    versions: list[Plan] = [found]
    options = options.model_copy(update={"ctx": found.ctx})
    asked = Asked(workload, registry, options, home)
    if wish.explain and (reasons := explained(found, asked, quiet=wish.quiet)):
        versions.append(reasons)
    if wish.verify and found.stages:
        with busy("Asking llama.cpp", quiet=wish.quiet):
            versions.append(verify_plan(versions[-1], registry, options, home, wish.engine_dir))
    found = versions[-1]
    if wish.output is not None:
        write_atomically(wish.output, found.model_dump_json(indent=2) + "\n")
    if wish.plot is not None and found.stages:
        write_plot(wish.plot, found, asked)
    if file and comparison.emit:
        if found.stages:
            typer.echo(commands_text(found, registry, options, file), nl=False)
    elif wish.as_json:
        typer.echo(json_text(found, comparison.before), nl=False)
    else:
        _show(versions, comparison.before)
    require_feasible(found)
    for written in (wish.output, wish.plot):
        if written is not None and not wish.quiet:
            stderr().print(f"Wrote {plain(str(written))}")


def _show(versions: Sequence[Plan], before: Plan | None) -> None:
    """Print a plan for people.

    Args:
        versions: The plan as it was made, and with what each step has added to it since.
        before: An earlier plan to compare it with.
    """
    from hgx.cli.render.console import stdout
    from hgx.cli.render.plan import print_plan
    from hgx.cli.render.plan_explain import print_explained
    from hgx.cli.render.plan_verify import print_verified
    from hgx.core.explanation import ExplainedPlan
    from hgx.core.verified import VerifiedPlan

    if versions[-1].stages:
        print_plan(versions[-1], stdout())
    for plan in versions:
        if isinstance(plan, ExplainedPlan):
            print_explained(plan, stdout())
        if isinstance(plan, VerifiedPlan):
            print_verified(plan, stdout())
    print_compared(versions[0], before)
