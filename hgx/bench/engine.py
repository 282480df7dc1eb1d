"""How fast the engine is on one device: its steps in rounds, and the results of all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from hgx.bench.conditions import merged
from hgx.bench.engine_fit import Seen, fit
from hgx.bench.engine_steps import plan_steps
from hgx.bench.events import Failed, Progress, Refused, Result, Started
from hgx.bench.outcome import outcome
from hgx.bench.stats import NOISY_LOAD, NOISY_LOAD_OF_PROCESSORS
from hgx.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from hgx.bench.engine_fit import Fitted
    from hgx.bench.engine_steps import Step, Target
    from hgx.bench.events import Event
    from hgx.core.benchmark import Conditions
    from hgx.engine.llama_bench import Times


class EngineEffort(NamedTuple):
    """How much to measure.

    Attributes:
        rounds: In so many every step is run, all steps in each of them; twice as often at most
            where others disturb it.
        repetitions: Samples of every step and round.
        types: Quantisation types that are measured whether or not a model is named.
    """

    rounds: int
    repetitions: int
    types: tuple[str, ...]


QUICK: Final = EngineEffort(1, 5, ("Q4_K", "Q8_0"))
NORMAL: Final = EngineEffort(3, 4, ("Q4_K", "Q6_K", "Q8_0", "F16"))
EFFORTS: Final = {"quick": QUICK, "normal": NORMAL}


class Timed(NamedTuple):
    """One run of a step: its times, and what else was the case."""

    times: Times
    began: datetime
    conditions: Conditions


TimeStep = Callable[["Step", int], Timed]
"""Runs a step with so many repetitions. It raises ``EngineError`` where the engine fails."""


def engine_events(
    target: Target,
    effort: EngineEffort,
    types: Sequence[str],
    time_step: TimeStep,
    *,
    worker: bool,
) -> Iterator[Event]:
    """Measure a device with the engine, and give what happens.

    Runs that others disturbed are repeated, and count only where there are no others.

    Args:
        target: The device.
        effort: How much.
        types: Quantisation types besides those of the effort.
        time_step: Runs a step.
        worker: Whether it can be run behind an rpc server too.
    """
    wanted = tuple(dict.fromkeys((*effort.types, *types)))
    steps = plan_steps(target, wanted, worker=worker)
    yield Started(subject=target.subject, names=tuple(f"engine_{step.name}" for step in steps))
    noisy_load = NOISY_LOAD_OF_PROCESSORS if target.device is None else NOISY_LOAD
    found: dict[Step, list[Timed]] = {step: [] for step in steps}
    for number in range(2 * effort.rounds):
        for place, step in enumerate(steps):
            if step not in found or len(_calm(found[step], noisy_load)) >= effort.rounds:
                continue
            name = f"engine_{'worker_' if step.worker else ''}{step.name}"
            share = (number + place / len(steps)) / effort.rounds
            yield Progress(subject=target.subject, name=name, done=min(1.0, share))
            try:
                found[step].append(time_step(step, effort.repetitions))
            except EngineError as error:
                del found[step]
                yield Failed(subject=target.subject, name=name, reason=error.message)
    kept = {step: _calm(rounds, noisy_load) or rounds for step, rounds in found.items()}
    seen = {(step.name, step.worker): _seen(step, rounds) for step, rounds in kept.items()}
    for one in fit(seen):
        yield _result(target, one, [kept[step] for step in one.steps], noisy_load)


def _calm(rounds: Sequence[Timed], noisy_load: float) -> list[Timed]:
    """Return the runs that others did not disturb, as far as that is known."""
    return [one for one in rounds if (one.conditions.load or 0.0) <= noisy_load]


def _seen(step: Step, rounds: Sequence[Timed]) -> Seen:
    return Seen(
        step,
        tuple(took for one in rounds for took in one.times.prompt),
        tuple(took for one in rounds for took in one.times.token),
    )


def _result(
    target: Target, one: Fitted, runs: Sequence[Sequence[Timed]], noisy_load: float
) -> Event:
    """Judge a number by its samples, and by what was the case in all runs it follows from."""
    step, rounds = one.steps[0], len(runs[0])
    each = len(one.samples) // rounds
    judged = outcome(
        one.name,
        one.unit,
        one.samples,
        method=f"llama-bench with an invented {step.kind} model of {step.shape.n_block} blocks, "
        f"{step.shape.n_embd} wide",
        measured_at=runs[0][0].began,
        conditions=merged([timed.conditions for some in runs for timed in some]),
        # What is a small difference of large times scatters more than they do.
        steady=one.unit != "s",
        rounds=[each] * rounds if each * rounds == len(one.samples) else (),
        noisy_load=noisy_load,
    )
    kind = Refused if judged.refused else Result
    return kind(subject=target.subject, benchmark=judged.benchmark)
