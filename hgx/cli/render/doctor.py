"""What ``hgx doctor`` shows."""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING

from hgx.cli.render.console import plain, stdout
from hgx.flows.doctor import first_to_mend, worst

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hgx.flows.doctor_check import Check, State

_MARKS: Mapping[State, tuple[str, str]] = {
    "ok": ("ok", "green"),
    "note": ("note", "dim"),
    "warning": ("WARNING", "bold yellow"),
    "fault": ("FAULT", "bold red"),
}
_BAD: tuple[State, ...] = ("fault", "warning")
_MARK_COLUMNS = 9


def show_checks(checks: Sequence[Check], *, as_json: bool, quiet: bool) -> None:
    """Print the checks by area, a line each, what to do below, and last what to do first.

    Args:
        checks: In the order to show them, those of an area together.
        as_json: Whether to print one JSON object instead.
        quiet: Whether to print warnings and faults only.
    """
    if as_json:
        first = first_to_mend(checks)
        found = {
            "worst": worst(checks),
            "first": first and first._asdict(),
            "checks": [check._asdict() for check in checks],
        }
        print(json.dumps(found, indent=2), file=stdout().file)
        return
    shown = [check for check in checks if check.state in _BAD or not quiet]
    width = max((len(plain(check.what)) for check in shown), default=0)
    for area, members in groupby(shown, key=lambda check: check.area):
        stdout().print(area, style="bold")
        for check in members:
            _show(check, width)
    if not quiet:
        stdout().print(plain(_verdict(checks)), style="bold", soft_wrap=True)


def _show(check: Check, width: int) -> None:
    console = stdout()
    mark, style = _MARKS[check.state]
    console.print(f"  {mark:{_MARK_COLUMNS}}", style=style, end="")
    console.print(f"{plain(check.what):{width}}  {plain(check.found)}", soft_wrap=True)
    if check.remedy:
        console.print(f"{'':{_MARK_COLUMNS + width + 4}}-> {plain(check.remedy)}", soft_wrap=True)


def _verdict(checks: Sequence[Check]) -> str:
    first = first_to_mend(checks)
    if first is None:
        return "Nothing is wrong."
    counts = {state: sum(check.state == state for check in checks) for state in _BAD}
    counted = " and ".join(
        f"{number} {state}{'' if number == 1 else 's'}"
        for state, number in counts.items()
        if number
    )
    todo = f": {first.remedy}" if first.remedy else ""
    return f"{counted}. First see to {first.area}, {first.what}{todo}"
