"""One benchmark in several rounds, and what they add up to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hgx.bench.conditions import merged
from hgx.bench.outcome import outcome

if TYPE_CHECKING:
    from datetime import datetime

    from hgx.bench.compute import Part
    from hgx.bench.outcome import Outcome
    from hgx.bench.timing import Timed
    from hgx.core.benchmark import Conditions


class Round(NamedTuple):
    """One stretch of time in which a kernel was run.

    Attributes:
        timed: Its samples.
        method: Of the kernel, in words.
        warnings: Why the kernel does not measure what it should, in words.
        began: When, with its zone.
        conditions: What else was the case.
    """

    timed: Timed
    method: str
    warnings: tuple[str, ...]
    began: datetime
    conditions: Conditions


class Rounds:
    """What the rounds of a part gave so far.

    Args:
        part: The benchmark.
        noisy_load: The load of others from which on it is noisy.
    """

    def __init__(self, part: Part, noisy_load: float) -> None:
        self.part = part
        self.failed = False
        self._noisy_load = noisy_load
        self._done: list[Round] = []

    def __len__(self) -> int:
        return len(self._done)

    def add(self, found: Round) -> None:
        """Take note of one more."""
        self._done.append(found)

    def outcome(self) -> Outcome:
        """Judge all samples of at least one round."""
        first = self._done[0]
        return outcome(
            self.part.name,
            self.part.unit,
            [sample for one in self._done for sample in one.timed.samples],
            method=first.method,
            measured_at=first.began,
            conditions=merged([one.conditions for one in self._done]),
            warnings=first.warnings,
            rounds=[len(one.timed.samples) for one in self._done],
            noisy_load=self._noisy_load,
        )


def lasting_outcome(
    part: Part, kind: str, found: Round, piece: Timed, noisy_load: float, *, steady: bool
) -> Outcome:
    """Judge a piece of a run without a pause.

    Args:
        part: What was run.
        kind: What the piece is, as at the end of the benchmark's name.
        found: The run.
        piece: Its samples, and when each was taken.
        noisy_load: The load of others from which on it is noisy.
        steady: Whether the rate should have been the same all the time.
    """
    # Clocks that go down are what this looks for: not held against it.
    calm = found.conditions.model_copy(update={"throttles": None})
    judged = outcome(
        f"{part.name}_{kind}",
        part.unit,
        piece.samples,
        method=found.method,
        measured_at=found.began,
        conditions=calm,
        times_s=piece.times_s,
        steady=steady,
        warnings=found.warnings,
        noisy_load=noisy_load,
    )
    whole = judged.benchmark.model_copy(update={"conditions": found.conditions})
    return judged._replace(benchmark=whole)
