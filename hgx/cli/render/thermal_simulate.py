"""What ``hgx thermal simulate`` shows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hgx.cli.render.console import plain, stderr, stdout

if TYPE_CHECKING:
    from hgx.flows.thermal_simulate import Simulated
    from hgx.thermal.means import Action


def show_simulated(simulated: Simulated, *, as_json: bool, quiet: bool) -> None:
    """Show how hot it got, how much was done, and every action with its reason."""
    run, twin = simulated.run, simulated.twin
    if as_json:
        print(json.dumps(_as_json(simulated)), file=stdout().file)
        return
    hottest_c, ceiling_c = float(run.hottest_c.max()), twin.limits.ceiling_c
    verdict = "kept" if simulated.kept else "exceeded"
    out = stdout()
    out.print(f"{plain(twin.name)}, policy {simulated.policy}, {run.duration_s:.0f} s of work")
    out.print(f"  hottest {hottest_c:.1f} °C, the limit of {ceiling_c:.1f} °C was {verdict}")
    out.print(f"  done {run.done:.1%} of full work; with pauses alone {simulated.best:.1%} at best")
    out.print(
        f"  actions: {len(run.actions)}, at most {run.actions_per_minute:.0f} a minute in the end"
    )
    for action in () if quiet else run.actions:
        stderr().print(f"  {action.at_s:6.0f} s  {plain(action.reason)}", soft_wrap=True)


def _as_json(simulated: Simulated) -> dict[str, object]:
    run, twin = simulated.run, simulated.twin
    return {
        "device": twin.name,
        "policy": simulated.policy,
        "duration_s": run.duration_s,
        "limit_c": twin.limits.ceiling_c,
        "hottest_c": round(float(run.hottest_c.max()), 3),
        "kept": simulated.kept,
        "done": round(run.done, 4),
        "best": round(simulated.best, 4),
        "actions_per_minute": run.actions_per_minute,
        "actions": [_action_json(action) for action in run.actions],
    }


def _action_json(action: Action) -> dict[str, object]:
    forecast = {"before_c": action.before_c, "after_c": action.after_c}
    return {
        "at_s": action.at_s,
        "kind": action.kind,
        "cools": action.cools,
        "way": action.setting.way.name,
        "duty": action.setting.duty,
        "reason": action.reason,
        "forecast": {key: None if one is None else round(one, 2) for key, one in forecast.items()},
    }
