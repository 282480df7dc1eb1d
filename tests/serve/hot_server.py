"""``hgx serve demo`` whose sensor is a trace that was recorded: ``python hot_server.py HOME``.

The trace goes by twenty times as fast as it was recorded, and begins with the first request. What
is told goes to stdout, a line of JSON each, with the temperature at that moment.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from hgx.core.reading import Reading
from hgx.serve import run as module
from hgx.serve.cooling import Cooling
from hgx.serve.gate import Gate
from hgx.serve.run import Wish, run
from hgx.store.home import Home
from hgx.thermal.trace import parse_trace

if TYPE_CHECKING:
    from collections.abc import Generator
    from contextlib import AbstractContextManager

    from hgx.core.plan import Plan
    from hgx.serve.once import Answer
    from hgx.serve.run import Loading

TIMES = 20.0
SLOWS_C = 90.0
_FILE = Path(__file__).with_name("hot.csv")


class Recorded:
    """A trace in place of this machine's sensors."""

    def __init__(self) -> None:
        self._trace = parse_trace(_FILE.read_text(encoding="utf-8"), _FILE.name)
        self._gate: Gate | None = None
        self._began_s: float | None = None

    def gate(self) -> Gate:
        """Make the gate, whose first request begins the trace."""
        self._gate = Gate(self.clock)
        return self._gate

    def clock(self) -> float:
        """Return seconds of the trace; they stand still until there is a request."""
        if self._began_s is None:
            if self._gate is None or not self._gate.running:
                return 0.0
            self._began_s = time.monotonic()
        return (time.monotonic() - self._began_s) * TIMES

    @property
    def temperature_c(self) -> float:
        """What the sensor shows now."""
        at = int(np.searchsorted(self._trace.time_s, self.clock(), side="right")) - 1
        return float(self._trace.temperature_c[at])

    def telemetry(self, *_: object, **__: object) -> Self:
        """Take the place of the real one."""
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def readings(self) -> dict[str, Reading]:
        """Return what the sensor shows."""
        return {"cpu:0": Reading(temperature_c=self.temperature_c, slowdown_c=SLOWS_C)}

    def battery(self) -> None:
        """Say that there is none."""
        return


class Teller:
    """Writes what is told as JSON."""

    def __init__(self, recorded: Recorded) -> None:
        self._recorded = recorded

    def _say(self, **what: object) -> None:
        now = {"temperature_c": self._recorded.temperature_c, "at_s": self._recorded.clock()}
        sys.stdout.write(json.dumps(what | now) + "\n")
        sys.stdout.flush()

    def notes(self, notes: tuple[str, ...]) -> None:
        """Write them."""
        for note in notes:
            self._say(note=note)

    def plan(self, plan: Plan) -> None:
        """Leave it out."""

    def loading(self, name: str) -> AbstractContextManager[Loading]:
        """Leave it out."""
        del name
        return _quietly()

    def ready(self, url: str, model_id: str, *, chat: bool) -> None:
        """Write where it answers."""
        del model_id, chat
        self._say(url=url)

    def asked(self, prompt: str, *, chat: bool) -> None:
        """Leave it out."""

    def piece(self, text: str) -> None:
        """Leave it out."""

    def answered(self, answer: Answer, plan: Plan, max_tokens: int) -> None:
        """Leave it out."""


@contextmanager
def _quietly() -> Generator[Loading]:
    yield lambda seconds, sent: None  # noqa: ARG005 - the shape is the other's


def main(home: str) -> int:
    """Serve until a signal comes."""
    recorded = Recorded()
    module.Telemetry = recorded.telemetry
    module.Gate = recorded.gate
    module.Cooling = partial(Cooling, clock=recorded.clock, look_s=0.05)
    wish = Wish(model="demo", port=0, ctx=512, threads=1)
    return run(wish, Home(Path(home)), Teller(recorded))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
