"""The steps of ``hgx discover --diagnose``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hgx.cli.render.console import plain, stdout
from hgx.flows.diagnose import first_failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hgx.flows.diagnose import Step

_SIGNS = {"ok": ("ok", "green"), "failed": ("FAILED", "bold red"), "skipped": ("-", "dim")}


def show_steps(steps: Sequence[Step], *, as_json: bool) -> None:
    """Print one line per step, what to do below one that failed, and the verdict last.

    Args:
        steps: In the order they were taken.
        as_json: Whether to print one JSON object instead.
    """
    failure = first_failure(steps)
    if as_json:
        found = {
            "steps": [step._asdict() for step in steps],
            "failing": failure and failure.name,
        }
        print(json.dumps(found, indent=2), file=stdout().file)
        return
    console, peer = stdout(), None
    for step in steps:
        if step.peer != peer:
            peer = step.peer
            console.print(plain(f"{peer}:"))
        sign, style = _SIGNS[step.outcome]
        console.print(f"  {sign:7}", style=style, end="")
        console.print(plain(f"{step.name:15} {step.detail}"), soft_wrap=True)
        if step.remedy:
            console.print(plain(f"{'':9}{'':15} -> {step.remedy}"), soft_wrap=True)
    console.print(plain(_verdict(steps, failure)), style="bold", soft_wrap=True)


def _verdict(steps: Sequence[Step], failure: Step | None) -> str:
    if failure:
        where = f" to {failure.peer}" if failure.peer else ""
        return f"The failing step is: {failure.name}{where}"
    if any(step.peer for step in steps):
        return "Nothing fails."
    checked = ", ".join(step.name for step in steps if step.outcome == "ok")
    return f"Nothing fails on this machine ({checked}), but no other machine answered."
