"""What the thermal policy comes to beside the best that pauses alone could: ``python FILE``.

Devices that were made up, and real cards as they were fitted to traces where those are beside the
project. Each has work without end. The best is computed with the whole future known
(``hgx.thermal.optimum``); the policy sees a sensor that rounds, and has a model that is right, or
8% and 20% wrong: then twice as much is kept free below the limit.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from hgx.core.thermal import ThermalParameters
from hgx.thermal.fit import fit
from hgx.thermal.means import Limits
from hgx.thermal.simulate import best, simulate
from hgx.thermal.twins import SYNTHETIC, fitted, parameters_of
from tests.thermal.real import DATA, HEATING, read_gpus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hgx.thermal.twins import Twin

DURATION_S = 3600.0
RESERVE_C = 0.25
"""Kept free on real cards: their model is taken for the truth here, so it is not wrong."""


class Case(NamedTuple):
    """A device, what the policy takes it for, and what that is called."""

    twin: Twin
    believed: ThermalParameters
    model: str


def cases() -> Iterator[Case]:
    """Give all devices with all models."""
    for make in SYNTHETIC.values():
        twin = make()
        yield Case(twin, parameters_of(twin), "exact")
        careful = twin._replace(limits=twin.limits._replace(reserve_c=2 * twin.limits.reserve_c))
        for resistance, tau in ((1.08, 1.2), (0.92, 0.8)):
            wrong = parameters_of(twin, resistance=resistance, tau=tau)
            yield Case(careful, wrong, f"R x {resistance}, tau x {tau}")
    if not (DATA / HEATING).exists():
        print(f"without real cards: {DATA} is not there")
        return
    for card, trace in read_gpus(DATA / HEATING).items():
        parameters = fit(trace)
        if not isinstance(parameters, ThermalParameters):
            print(f"card {card} gives no model: {parameters.reason}")
            continue
        limits = Limits(float(trace.temperature_c.max()) - 2, reserve_c=RESERVE_C)
        twin = fitted(parameters, f"card {card} of the trace", limits)
        idle_w = float(np.percentile(trace.power_w, 2))
        twin = twin._replace(possible=twin.possible._replace(idle_w=idle_w))
        yield Case(twin, parameters, "exact")


def main() -> None:
    """Print the table."""
    heads = ("device", "model", "limit °C", "hottest °C", "done", "best", "of best", "a minute")
    print("{:32}{:22}{:>9}{:>11}{:>8}{:>8}{:>9}{:>9}".format(*heads))
    for case in cases():
        twin = case.twin
        run = simulate(twin, DURATION_S, believed=case.believed)
        most = best(twin, DURATION_S)
        print(
            f"{twin.name:32}{case.model:22}{twin.limits.ceiling_c:9.1f}{run.hottest_c.max():11.2f}"
            f"{run.done:8.1%}{most:8.1%}{run.done / most:9.1%}{run.actions_per_minute:9.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
