"""How well heat is forecast: real traces of eight graphics cards, and ten minutes of a phone.

Usage: ``python benchmarks/thermal.py [FOLDER]``; the folder has ``gpu_*.csv`` and ``phone``.

Every card's model is fitted to the first 60% of its trace. On the rest it is followed reading by
reading as it would be in use. Forecasts are made from every reading and compared with what came: by
the model with one and two stages and the power that was drawn meanwhile, as if the power stayed
(P stays), and as if the temperature stayed (T stays). A trace that tells too little is refused; the
models of the same cards' other trace are tried on it as a whole. Rates of the phone are fitted to
the first half of a run, and what is left of them at its end is compared with what was left.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hgx.thermal.clean import clean
from hgx.thermal.decline import fit_decline
from hgx.thermal.fit import Refusal, fit
from hgx.thermal.holdout import look_back
from tests.thermal.real import DATA, HEATING, STEADY, first_part, read_gpus, read_phones

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hgx.core.thermal import ThermalParameters
    from hgx.thermal.trace import Trace

AHEAD_S = (10.0, 30.0)
TARGETS_C = (1.1, 1.4)
"""At most so far off with two stages and the power known, ten and thirty seconds ahead."""

SEEN = 0.6
RETENTION_TARGET = 10.0
"""Percentage points."""

END_S = 10.0
"""What is left at the end of a run is the mean over so many seconds."""


class Row(NamedTuple):
    """Root mean squares in °C of one card, by how far ahead; one stage is null where refused."""

    two: tuple[float, ...]
    one: tuple[float, ...] | None
    power_stays: tuple[float, ...]
    stays: tuple[float, ...]


def row(
    trace: Trace, two: ThermalParameters, one: ThermalParameters | Refusal, from_s: float
) -> Row:
    """Forecast from every reading since a time."""
    piece = clean(trace)[0][-1]
    seen = look_back(two, piece, from_s, AHEAD_S)
    single: tuple[float, ...] | None = None
    if not isinstance(one, Refusal):
        others = look_back(one, piece, from_s, AHEAD_S)
        single = tuple(other.rmse_c(other.planned) for other in others)
    return Row(
        tuple(ahead.rmse_c(ahead.planned) for ahead in seen),
        single,
        tuple(ahead.rmse_c(ahead.power_stays) for ahead in seen),
        tuple(ahead.rmse_c(ahead.stays) for ahead in seen),
    )


def print_row(name: str, found: Row) -> None:
    """Print a line of the table."""
    cells = [
        f"{values[at]:14.2f}" if values else f"{'refused':>14}"
        for at in range(len(AHEAD_S))
        for values in found
    ]
    print(f"{name:4}" + "".join(cells))


def print_table(title: str, rows: Mapping[int, Row]) -> None:
    """Print all cards of a trace, and the worst."""
    print(title)
    heads = [
        f"{name} {ahead_s:.0f} s"
        for ahead_s in AHEAD_S
        for name in ("two RC", "one RC", "P stays", "T stays")
    ]
    print(f"{'card':4}" + "".join(f"{head:>14}" for head in heads))
    for index, found in rows.items():
        print_row(str(index), found)
    worst = [max(found.two[at] for found in rows.values()) for at in range(len(AHEAD_S))]
    for at, (ahead_s, target_c) in enumerate(zip(AHEAD_S, TARGETS_C, strict=True)):
        ahead = all(row.two[at] < min(row.stays[at], row.power_stays[at]) for row in rows.values())
        print(
            f"{ahead_s:.0f} s: worst card {worst[at]:.2f} °C, at most {target_c} °C wanted; "
            f"{'ahead' if ahead else 'NOT ahead'} of both simple forecasts on every card"
        )
    print()


def cards(folder: Path) -> None:
    """Forecast the cards' temperatures."""
    heating, steady = read_gpus(folder / HEATING), read_gpus(folder / STEADY)
    models: dict[int, tuple[ThermalParameters, ThermalParameters | Refusal]] = {}
    rows: dict[int, Row] = {}
    for index, trace in heating.items():
        seen = first_part(trace, SEEN)
        two = fit(seen, stages=2)
        if isinstance(two, Refusal):
            print(f"{HEATING}, card {index}: refused, {two.reason}")
            continue
        models[index] = two, fit(seen, stages=1)
        rows[index] = row(trace, *models[index], float(seen.time_s[-1]))
    print_table(f"{HEATING}: fitted to the first 60%, RMSE on the rest in °C", rows)
    refused = {index: fit(first_part(trace, SEEN)) for index, trace in steady.items()}
    for index, answer in refused.items():
        said = answer.reason if isinstance(answer, Refusal) else "fitted"
        print(f"{STEADY}, card {index}: {said}")
    rows = {
        index: row(steady[index], *model, -np.inf)
        for index, model in models.items()
        if index in steady
    }
    print_table(f"\n{STEADY}: all of it, with the models of {HEATING}, RMSE in °C", rows)


def phones(folder: Path) -> None:
    """Forecast what is left of the phone's rates."""
    print("phone: retention after ten minutes, fitted to the first half")
    print(f"{'run':32}{'burst':>8}{'end':>8}{'left':>8}{'forecast':>10}{'off':>8}")
    for run in read_phones(folder):
        end_s = float(run.time_s[-1])
        half = run.time_s < end_s / 2
        found = fit_decline(run.time_s[half], run.rate_per_s[half])
        if isinstance(found, Refusal):
            print(f"{run.name:32}refused: {found.reason}")
            continue
        burst = float(run.rate_per_s.max())
        end = float(run.rate_per_s[run.time_s > end_s - END_S].mean())
        left, told = 100 * end / burst, 100 * found.retention(end_s)
        print(f"{run.name:32}{burst:8.1f}{end:8.1f}{left:7.1f}%{told:9.1f}%{told - left:+7.1f} pp")
    print(f"at most {RETENTION_TARGET:.0f} percentage points wanted")


def main() -> None:
    """Print all tables."""
    folder = Path(sys.argv[1]) if sys.argv[1:] else DATA
    if not folder.is_dir():
        sys.exit(f"no traces in {folder}: name the folder that has them")
    cards(folder)
    phones(folder / "phone")


if __name__ == "__main__":
    main()
