"""What ``hgx plan`` says besides: other hardware, an earlier plan, llama.cpp's own commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgx.core.options import PlanOptions
    from hgx.core.plan import Plan
    from hgx.core.registry import Registry
    from hgx.flows.inputs import Model
    from hgx.flows.what_if import Change


def _list_catalogue(changes: list[str] | None) -> list[str] | None:
    """Print the catalogue and end where that is asked for: no model is needed then."""
    if changes and "list" in changes:
        from hgx.cli.render.catalogue import print_catalogue
        from hgx.cli.render.console import stdout
        from hgx.core.catalogue import CATALOGUE

        print_catalogue(CATALOGUE.values(), stdout())
        raise typer.Exit
    return changes


def complete_change(incomplete: str) -> list[str]:
    """Name for the shell what can be added."""
    from hgx.core.catalogue import CATALOGUE

    words = ("list", *(f"+{name}" for name in CATALOGUE))
    return [word for word in words if word.startswith(incomplete)]


WhatIfOption = Annotated[
    list[str] | None,
    typer.Option(
        "--what-if",
        metavar="CHANGE",
        is_eager=True,
        callback=_list_catalogue,
        autocompletion=complete_change,
        help="Plan for other hardware too: +rtx3060, +rtx3060@NODE, -NODE, -DEVICE or "
        "link:NODE-NODE=1gbps; repeatable. list shows what can be added.",
    ),
]
DiffOption = Annotated[
    Path | None,
    typer.Option(
        "--diff", metavar="FILE", help="Say what is different from the plan in this file."
    ),
]
EmitOption = Annotated[
    Literal["llama.cpp"] | None,
    typer.Option("--emit", help="Print the commands that carry out the plan by hand."),
]


class Comparison(NamedTuple):
    """What a plan is to be compared with, and whether only commands are wished.

    Attributes:
        words: Changes of hardware, as they were written.
        changes: The same, read.
        before: An earlier plan, or null.
        emit: Whether llama.cpp's commands are printed instead of the plan.
    """

    words: tuple[str, ...]
    changes: tuple[Change, ...]
    before: Plan | None
    emit: bool

    @property
    def wished(self) -> bool:
        """Whether there is any of it."""
        return bool(self.changes or self.before or self.emit)


def read_comparison(
    what_if: list[str] | None, diff: Path | None, emit: str | None, *, as_json: bool
) -> Comparison:
    """Read what a plan is to be compared with.

    Raises:
        BadParameter: A word is no change, the catalogue has no such device, or something else is
            to be printed than the commands that are wished.
        StorageError: The earlier plan cannot be read.
    """
    from hgx.flows.plan_changes import load_plan
    from hgx.flows.what_if import parse_change

    if emit and (as_json or diff):
        msg = f"it prints commands and nothing else: leave out {'--json' if as_json else '--diff'}"
        raise typer.BadParameter(msg, param_hint="--emit")
    words = tuple(what_if or ())
    try:
        changes = tuple(map(parse_change, words))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--what-if") from error
    return Comparison(words, changes, load_plan(diff) if diff else None, bool(emit))


def plan_changed(
    draft: Callable[[Registry], Plan],
    registry: Registry,
    comparison: Comparison,
    coordinator: str | None,
) -> tuple[Registry, Plan]:
    """Plan for changed hardware, with the plan for the present one beside it where it is changed.

    Args:
        draft: Makes the plan for a registry.
        registry: The present hardware.
        comparison: Has the changes.
        coordinator: The node that coordinates, where that is known.

    Returns:
        The changed registry and its plan.

    Raises:
        RegistryError: A change names something that the registry does not have.
    """
    from hgx.flows.what_if import beside_present, change_registry

    changed = change_registry(registry, comparison.changes, coordinator)
    plan = draft(changed.registry)
    if comparison.changes:
        plan = beside_present(draft(registry), plan, comparison.words, changed.notes)
    return changed.registry, plan


def commands_text(plan: Plan, registry: Registry, options: PlanOptions, model: Model) -> str:
    """Write a plan with stages as llama.cpp's commands.

    Raises:
        EngineError: llama.cpp cannot carry it out.
        ModelError: The model cannot be read.
    """
    from hgx.flows.emit import llama_cpp_commands, shell_text
    from hgx.gguf.workload import read_workload

    template = read_workload(model.path).chat_template
    return shell_text(
        llama_cpp_commands(plan, registry, options, alias=model.alias, chat_template=template)
    )


def json_text(plan: Plan, before: Plan | None) -> str:
    """Write a plan as JSON, or what is different in it from an earlier one."""
    from hgx.flows.plan_changes import compare_plans

    document = plan if before is None else compare_plans(before, plan)
    return document.model_dump_json(indent=2) + "\n"


def print_compared(plan: Plan, before: Plan | None) -> None:
    """Print what a plan was compared with: present hardware, an earlier plan, both or nothing.

    Args:
        plan: A ``WhatIfPlan`` where other hardware was asked about.
        before: The earlier plan.
    """
    from hgx.cli.render.compared import print_changes, print_what_if
    from hgx.cli.render.console import stdout
    from hgx.core.compared import WhatIfPlan
    from hgx.flows.compared import summarise
    from hgx.flows.plan_changes import compare_plans

    if isinstance(plan, WhatIfPlan):
        print_what_if(plan, summarise(plan), stdout())
    if before is not None:
        print_changes(compare_plans(before, plan), plan, stdout())
