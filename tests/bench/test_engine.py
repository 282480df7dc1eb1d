"""The benchmark of the engine: its rounds, its results, and what fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hgx.bench.engine import EngineEffort, Timed, engine_events
from hgx.bench.engine_steps import Target
from hgx.bench.events import Failed, Progress, Refused, Result, Started
from hgx.core.benchmark import Conditions
from hgx.engine.llama_bench import Times
from hgx.errors import EngineError
from hgx.units import GIB
from tests.bench.doubles import NOON
from tests.bench.test_engine_fit import Costs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hgx.bench.engine_steps import Step
    from hgx.bench.events import Event

CPU = Target("box/cpu:0", None, 2, 20e9, 2e11, 8 * GIB)
CARD = CPU._replace(device="CUDA0")
EFFORT = EngineEffort(2, 4, ("Q8_0",))


class Engine:
    """An engine of exactly known costs.

    Args:
        failing: Names of steps that it fails in.
        load: What others use of the processors meanwhile.
        disturbed: So many runs of each step are disturbed by that, which makes them half as fast.
    """

    def __init__(self, *failing: str, load: float = 0.0, disturbed: int = 99) -> None:
        self.failing = failing
        self.load = load
        self.disturbed = disturbed
        self.asked: list[tuple[str, bool, int]] = []

    def __call__(self, step: Step, repetitions: int) -> Timed:
        """Run a step."""
        self.asked.append((step.name, step.worker, repetitions))
        if step.name in self.failing:
            msg = "llama-bench was killed"
            raise EngineError(msg)
        seen = Costs().seen(step)
        runs = sum(asked[:2] == (step.name, step.worker) for asked in self.asked)
        load = self.load if runs <= self.disturbed else 0.0
        slower = 2.0 if load > 0 else 1.0
        times = Times(
            tuple(slower * took for took in seen.prompt[:repetitions]),
            tuple(slower * took for took in seen.token[:repetitions]),
        )
        return Timed(times, NOON, Conditions(load=load))


def events(
    engine: Engine, *types: str, target: Target = CPU, worker: bool = True
) -> Sequence[Event]:
    """Measure a device."""
    return [*engine_events(target, EFFORT, types, engine, worker=worker)]


def results(told: Sequence[Event]) -> dict[str, Result]:
    """The results among events, by name."""
    return {one.benchmark.name: one for one in told if isinstance(one, Result)}


def test_rounds() -> None:
    """All steps are run in each round, the types of the effort and the others once each."""
    engine = Engine()
    told = events(engine, "Q4_K", "Q8_0")
    half = len(engine.asked) // 2
    assert engine.asked[:half] == engine.asked[half:]
    here = ["few", "many", "Q8_0", "Q4_K"]
    assert [name for name, worker, _ in engine.asked[:half] if worker] == here
    assert {repetitions for _, _, repetitions in engine.asked} == {4}
    assert isinstance(told[0], Started)
    shares = [one.done for one in told if isinstance(one, Progress)]
    assert shares == sorted(shares)
    assert len(shares) == len(engine.asked)
    assert {one.subject for one in told if isinstance(one, Result | Progress)} == {"box/cpu:0"}


def test_results() -> None:
    """Each number is there with all its samples, by round, and with how it was found."""
    found = results(events(Engine(), "Q4_K"))
    one = found["engine_decode_Q4_K"].benchmark
    assert one.median == pytest.approx(30e9)
    assert one.unit == "bytes_per_s"
    assert len(one.samples) == 8
    assert one.rounds == (4, 4)
    assert one.method == "llama-bench with an invented Q4_K model of 7 blocks, 2048 wide"
    assert one.measured_at == NOON
    assert one.conditions.load == 0.0
    assert not one.noisy
    assert "engine_stage" in found


def test_without_an_rpc_server() -> None:
    """Then nothing of a worker is run or known."""
    engine = Engine()
    found = results(events(engine, worker=False))
    assert not any(worker for _, worker, _ in engine.asked)
    assert "engine_decode_Q8_0" in found
    assert not [name for name in found if "worker" in name or "stage" in name]


def test_others_are_in_the_way() -> None:
    """A little load counts where processors are measured, and much of it anywhere."""
    noisy = results(events(Engine(load=0.15)))
    assert all(one.benchmark.noisy for one in noisy.values())
    assert not any(
        one.benchmark.noisy for one in results(events(Engine(load=0.15), target=CARD)).values()
    )
    told = events(Engine(load=0.5))
    assert not results(told)
    assert "engine_decode_layer" in [one.benchmark.name for one in told if isinstance(one, Refused)]


def test_disturbed_runs_are_repeated() -> None:
    """They do not count where others are undisturbed; after twice as many that is given up."""
    engine = Engine(load=0.3, disturbed=2)
    found = results(events(engine))
    assert engine.asked.count(("few", False, 4)) == 4
    assert found["engine_decode_Q8_0"].benchmark.median == pytest.approx(20e9)
    assert not found["engine_decode_Q8_0"].benchmark.noisy
    forever = Engine(load=0.3)
    found = results(events(forever))
    assert forever.asked.count(("few", False, 4)) == 4
    assert found["engine_decode_Q8_0"].benchmark.noisy
    assert len(found["engine_decode_Q8_0"].benchmark.samples) == 16


def test_a_type_that_fails() -> None:
    """It is told once and not tried again; the rest is measured."""
    engine = Engine("Q4_K")
    told = events(engine, "Q4_K")
    failures = [one for one in told if isinstance(one, Failed)]
    assert [(one.name, one.reason) for one in failures] == [
        ("engine_Q4_K", "llama-bench was killed"),
        ("engine_worker_Q4_K", "llama-bench was killed"),
    ]
    assert engine.asked.count(("Q4_K", False, 4)) == 1
    assert "engine_decode_Q8_0" in results(told)


def test_everything_fails() -> None:
    """Then there are failures and no results."""
    told = events(Engine("few", "many", "Q8_0", "narrow", "deep"))
    assert sum(isinstance(one, Failed) for one in told) == 8
    assert not results(told)
