"""Time to plan: proofs beside CP-SAT and HiGHS, large fleets, and growth over devices and blocks.

Usage: ``python benchmarks/planner.py [proofs] [fleets] [growth] [--quick] [--plot FILE.svg]``; all
three parts when none is named. ``pip install hgx-toolkit[dev]`` brings the other two solvers, whose
models are in ``tests/planner/oracles``. Seeds are fixed, so that every run plans the same instances
(``instances.py``), and what all of them prove is compared. Times of hgx are those of all of
``solve``; the others have all cores, a time limit, and what Python takes to write their models down
is not counted. A solver that has proven nothing of a size is not asked for larger ones. All of it
takes less than an hour, ``--quick`` a few minutes.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from chart import Line, Panel, Point, draw
from instances import COORDINATOR, Instance, make_instance

from hgx.core.options import PlanOptions
from hgx.planner.arrangements import problems_of
from hgx.planner.problem import Question, arrange, build_problem
from hgx.planner.solve import solve
from hgx.units import format_seconds
from tests.planner.oracles import cp_sat, highs
from tests.planner.oracles.reading import seconds_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from instances import Memory

    from hgx.core.options import Solver
    from hgx.core.plan import Objective, Plan
    from hgx.planner.problem import Problem
    from tests.planner.oracles.reading import Verdict

NEARLY = 1e-6
"""Relative accuracy of the other solvers' own arithmetic."""

LONG_PROMPT = 2048
"""Four micro-batches, which follow each other through the stages."""


class Asked(NamedTuple):
    """What is to be minimised."""

    objective: Objective
    prompt_tokens: int = 512

    def __str__(self) -> str:
        """Its name."""
        return f"{self.objective}{', long' if self.prompt_tokens == LONG_PROMPT else ''}"


QUESTIONS = (
    Asked("latency"),
    Asked("latency", LONG_PROMPT),
    Asked("throughput"),
    Asked("balanced"),
    Asked("balanced", LONG_PROMPT),
)
PLAIN = (Asked("latency"), Asked("throughput"), Asked("balanced"))


class Size(NamedTuple):
    """Devices, blocks, and whose memory."""

    devices: int
    blocks: int
    memory: Memory = "own"

    def __str__(self) -> str:
        """As printed."""
        return f"{self.devices:>3} x {self.blocks:<3} {self.memory:<6}"


class Scale(NamedTuple):
    """How long the benchmark takes.

    Attributes:
        proofs: Instances per objective at the size that is to be proven quickly.
        fleets: Instances per line of large fleets.
        growth: Instances per point of the growth.
        limit_s: Seconds for each of the other solvers per instance.
        devices: Numbers of devices, at ``most_blocks``' middle.
        blocks: Numbers of blocks, at the middle of ``devices``.
    """

    proofs: int
    fleets: int
    growth: int
    limit_s: float
    devices: Sequence[int]
    blocks: Sequence[int]


FULL = Scale(100, 5, 3, 20.0, (2, 4, 6, 8, 10), (16, 32, 64, 96, 126))
QUICK = Scale(5, 1, 1, 3.0, (2, 4, 6), (8, 16, 32))

PROVEN = (Size(10, 126, "own"), Size(10, 126, "host"))
FLEETS = (Size(10, 126, "shared"), Size(64, 126), Size(256, 200))
FLEET_LIMIT_S = 5.0

LINE_S = 120.0
"""After this time a line of proofs has as many instances as it got to."""


class Result(NamedTuple):
    """An answer: its objective, whether it is proven, and how long it took, in seconds."""

    objective: float
    proven: bool
    elapsed_s: float


def options_of(
    asked: Asked, solver: Solver = "auto", timeout_s: float = FLEET_LIMIT_S
) -> PlanOptions:
    """Options of a question."""
    return PlanOptions(
        objective=asked.objective,
        prompt_tokens=asked.prompt_tokens,
        coordinator=COORDINATOR,
        timeout_s=timeout_s,
        solver=solver,
    )


def planned(instance: Instance, options: PlanOptions) -> tuple[Plan, float]:
    """Plan, and take the time."""
    begin = time.perf_counter()
    plan = solve(*instance, options)
    return plan, time.perf_counter() - begin


def by_hgx(instance: Instance, asked: Asked, limit_s: float) -> Result:
    """What hgx finds."""
    options = options_of(asked, timeout_s=limit_s)
    plan, elapsed = planned(instance, options)
    placement = plan.placement
    question = Question(*instance, options)
    arrangement = arrange(question, COORDINATOR, [device for device, _, _ in placement])
    problem = build_problem(question, COORDINATOR, arrangement)
    objective = seconds_of(problem, placement)
    return Result(objective, plan.status == "optimal", elapsed)


def by_other(
    ask: Callable[[Problem, float, int], Verdict],
) -> Callable[[Instance, Asked, float], Result]:
    """What another solver finds, over all arrangements of stages."""

    def answer(instance: Instance, asked: Asked, limit_s: float) -> Result:
        question = Question(*instance, options_of(asked))
        best, bound, error, left = math.inf, math.inf, 0.0, limit_s
        for problem in problems_of(question, COORDINATOR):
            verdict = ask(problem, max(0.1, left), os.cpu_count() or 1)
            best = min(best, seconds_of(problem, verdict.placement))
            bound, error = min(bound, verdict.bound), max(error, verdict.error_s)
            left -= verdict.elapsed_s
        proven = bound >= best * (1 - NEARLY) - 2 * error
        return Result(best, proven, limit_s - left)

    return answer


SOLVERS = {"hgx": by_hgx, "CP-SAT": by_other(cp_sat.solve), "HiGHS": by_other(highs.solve)}


def percentile(values: Sequence[float], share: float) -> float:
    """The least value that at least this share of the values does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def print_proofs(scale: Scale) -> None:
    """How long hgx takes at the size that is to be proven within 100 ms."""
    print(
        f"{'':<17} {'objective':<16} {'p50':>9} {'p99':>9} {'max':>9}  {'optimal':>10} {'gap':>7}"
    )
    for size in PROVEN:
        instances = [make_instance(*size, seed) for seed in range(scale.proofs)]
        planned(instances[0], options_of(QUESTIONS[0]))
        for asked in QUESTIONS:
            plans: list[tuple[Plan, float]] = []
            for instance in instances:
                if sum(elapsed for _, elapsed in plans) < LINE_S:
                    plans.append(planned(instance, options_of(asked)))
            times = [elapsed for _, elapsed in plans]
            print(
                f"{size} {asked!s:<16} "
                f"{format_seconds(statistics.median(times)):>9} "
                f"{format_seconds(percentile(times, 0.99)):>9} {format_seconds(max(times)):>9}  "
                f"{proven_of(plan for plan, _ in plans)}",
                flush=True,
            )


def print_fleets(scale: Scale) -> None:
    """What is left unproven of large fleets at the limit, and how quick greedy is."""
    print(
        f"{'':<17} {'objective':<16} {'solver':<7} {'median':>9} {'max':>9}  "
        f"{'optimal':>10} {'gap':>7}"
    )
    for size in FLEETS:
        for asked in QUESTIONS:
            for solver in ("exact", "greedy"):
                plans = [
                    planned(make_instance(*size, seed), options_of(asked, solver))
                    for seed in range(scale.fleets)
                ]
                times = [elapsed for _, elapsed in plans]
                print(
                    f"{size} {asked!s:<16} {solver:<7} "
                    f"{format_seconds(statistics.median(times)):>9} "
                    f"{format_seconds(max(times)):>9}  {proven_of(plan for plan, _ in plans)}",
                    flush=True,
                )


def proven_of(plans: Iterator[Plan]) -> str:
    """How many plans are proven, and the largest gap."""
    known = list(plans)
    proven = sum(plan.status == "optimal" for plan in known)
    gap = max((plan.bound.gap for plan in known if plan.bound), default=0.0)
    return f"{proven:>3} of {len(known):<3} {gap:>7.2%}"


def print_growth(scale: Scale) -> list[list[Panel]]:
    """How time grows with devices and with blocks, beside the other solvers.

    Returns:
        Panels to plot: a row per objective.
    """
    middle = (scale.devices[len(scale.devices) // 2], scale.blocks[len(scale.blocks) // 2])
    sweeps = (
        ("devices", [Size(count, middle[1], "host") for count in scale.devices]),
        ("blocks", [Size(middle[0], count, "host") for count in scale.blocks]),
    )
    print(f"{'':<17} {'objective':<11} " + " ".join(f"{name:>17}" for name in SOLVERS))
    return [
        [
            Panel(str(asked), f"{by}, at {fixed(by, middle)}", grown(asked, by, sizes, scale))
            for by, sizes in sweeps
        ]
        for asked in PLAIN
    ]


def fixed(by: str, middle: tuple[int, int]) -> str:
    """What does not grow."""
    return f"{middle[1]} blocks" if by == "devices" else f"{middle[0]} devices"


def grown(asked: Asked, by: str, sizes: Sequence[Size], scale: Scale) -> list[Line]:
    """Ask every solver for every size, until it proves nothing of one."""
    points: dict[str, list[Point]] = {name: [] for name in SOLVERS}
    for size in sizes:
        instances = [make_instance(*size, seed) for seed in range(scale.growth)]
        results: dict[str, list[Result]] = {}
        for name, ask in SOLVERS.items():
            if points[name] and not points[name][-1].finished:
                continue
            results[name] = [ask(instance, asked, scale.limit_s) for instance in instances]
            seconds = statistics.median(one.elapsed_s for one in results[name])
            finished = any(one.proven for one in results[name])
            points[name].append(Point(getattr(size, by), seconds, finished))
        print(f"{size} {asked!s:<11} " + " ".join(cells(results)), flush=True)
        check(results)
    return [Line(name, some) for name, some in points.items()]


def cells(results: dict[str, list[Result]]) -> Iterator[str]:
    """Median time of each solver, and how many of its answers are proven."""
    for name in SOLVERS:
        if name not in results:
            yield f"{'-':>17}"
            continue
        some = results[name]
        median = format_seconds(statistics.median(one.elapsed_s for one in some))
        yield f"{median:>9} {sum(one.proven for one in some):>2} of {len(some)}"


def check(results: dict[str, list[Result]]) -> None:
    """Compare what was proven.

    Raises:
        AssertionError: Two solvers have proven different optima, or one is better than proven.
    """
    for answers in zip(*results.values(), strict=True):
        proven = [one.objective for one in answers if one.proven]
        best = min(one.objective for one in answers)
        for objective in proven:
            if not math.isclose(objective, best, rel_tol=10 * NEARLY):
                raise AssertionError((objective, best))


def main() -> None:
    """Measure, print, and plot."""
    parser = argparse.ArgumentParser(description="Time to plan, beside CP-SAT and HiGHS.")
    parser.add_argument("parts", nargs="*", help="proofs, fleets, growth; all by default")
    parser.add_argument("--quick", action="store_true", help="few and small instances")
    parser.add_argument("--plot", type=Path, help="SVG file for the growth")
    arguments = parser.parse_args()
    scale = QUICK if arguments.quick else FULL
    parts = arguments.parts or ["proofs", "fleets", "growth"]
    if "proofs" in parts:
        print_proofs(scale)
    if "fleets" in parts:
        print_fleets(scale)
    if "growth" in parts:
        rows = print_growth(scale)
        of = "One instance" if scale.growth == 1 else f"Medians of {scale.growth} instances"
        note = (
            f"{of} per size, {os.cpu_count()} cores; hollow: nothing was "
            f"proven within {scale.limit_s:g} s, larger ones were not tried."
        )
        if arguments.plot:
            arguments.plot.write_text(draw(rows, "Seconds to a proven optimum", note))


if __name__ == "__main__":
    main()
