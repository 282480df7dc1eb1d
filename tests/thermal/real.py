"""Real traces beside the project, which tests of them skip without, and twins of them."""

from __future__ import annotations

import csv
import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hgx.thermal.trace import Trace, make_trace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DATA = Path(__file__).parents[3] / "shared" / "data" / "thermal"
HEATING = "gpu_8x_idle_to_690W_266s.csv"
STEADY = "gpu_8x_449s.csv"
MISSING = f"the real traces are not there: {DATA}"


class PhoneRun(NamedTuple):
    """Tokens per second of a phone that works for ten minutes, and the times of these rates."""

    name: str
    time_s: Floats
    rate_per_s: Floats


def read_gpus(path: Path) -> dict[int, Trace]:
    """Read a log of several cards: timestamp, gpu_index, temperature, utilisation, power."""
    rows: dict[int, list[tuple[float, float, float]]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            at = datetime.fromisoformat(row["timestamp"]).timestamp()
            reading = (at, float(row["temperature_C"]), float(row["power_W"]))
            rows.setdefault(int(row["gpu_index"]), []).append(reading)
    traces: dict[int, Trace] = {}
    for index, readings in rows.items():
        time_s, temperature_c, power_w = np.array(readings).T
        traces[index] = make_trace(time_s - time_s[0], temperature_c, power_w)
    return traces


def first_part(trace: Trace, share: float) -> Trace:
    """The readings of a share of a trace's time."""
    begin_s, end_s = float(trace.time_s[0]), float(trace.time_s[-1])
    count = int((trace.time_s < begin_s + share * (end_s - begin_s)).sum())
    return trace.part(0, count)


def read_phones(folder: Path) -> list[PhoneRun]:
    """Read runs of a phone, one a file: rates about once a second."""
    runs: list[PhoneRun] = []
    for path in sorted(folder.glob("*.json*")):
        run = json.loads(path.read_text(encoding="utf-8"))
        rates = np.array(run["metrics"]["decodeRateRollingWindow"])
        step_s = run["metrics"]["totalGenerationTimeSeconds"] / len(rates)
        runs.append(PhoneRun(run["model"]["displayName"], np.arange(len(rates)) * step_s, rates))
    return runs
