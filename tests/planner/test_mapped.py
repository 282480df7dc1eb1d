"""Weights that stay on the disk: only where nothing else is possible, at the disk's rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hgx.errors import Infeasible
from hgx.planner.anatomy import Answer
from hgx.planner.evaluate import evaluate
from hgx.planner.forecast import forecast
from hgx.planner.problem import Question
from hgx.planner.solve import solve
from tests.planner.made import MB, Case, device, options, placement_of, registry, workload

if TYPE_CHECKING:
    from hgx.core.registry import Registry

RATE = 2e9


def machines(*, disk: float | None = RATE, ram: int = 300 * MB) -> Registry:
    """A coordinator with a CPU and a small card, whose disk was measured or not."""
    made = registry(device("a/cpu:0", ram), device("a/cuda:0", 150 * MB), ram={"a": ram})
    nodes = tuple(n.model_copy(update={"disk_read_bytes_per_s": disk}) for n in made.nodes)
    return made.model_copy(update={"nodes": nodes})


def question(**changes: object) -> Case:
    """A model of a gigabyte for machines with less."""
    return Case(machines(**changes), workload([50 * MB] * 20), options())  # pyright: ignore[reportArgumentType] - as machines takes them


def test_what_no_memory_holds_is_read_from_the_disk() -> None:
    """All weights of the CPU's blocks are read for every token, and none of them is held."""
    plan = solve(*question())
    assert plan.status == "optimal"
    cpu = plan.stages[0]
    assert (cpu.device, cpu.memory.weights_bytes) == ("a/cpu:0", 0)
    blocks = cpu.last_block - cpu.first_block + 1
    assert cpu.memory.mapped_bytes == blocks * 50 * MB
    assert cpu.seconds_per_token == pytest.approx(cpu.memory.mapped_bytes / RATE, rel=1e-6)
    assert "no memory holds it" in plan.why[0]
    assert "the disk of a" in plan.why[1]


def test_it_evaluates_to_the_same() -> None:
    """The placement, pinned, takes the same time and memory; a forecast agrees."""
    asked = question()
    plan = solve(*asked)
    again = evaluate(asked.registry, asked.workload, placement_of(plan), asked.options)
    assert (again.predicted, again.stages) == (plan.predicted, plan.stages)
    told = forecast(Question(*asked), Answer("a", placement_of(plan), mapped=True))
    assert plan.predicted is not None
    assert told.tpot_s == pytest.approx(plan.predicted.tpot_s)


def test_what_fits_stays_in_memory() -> None:
    """Nothing is read from the disk where memory holds it all."""
    plan = solve(*question(ram=2000 * MB))
    assert [stage.memory.mapped_bytes for stage in plan.stages] == [0] * len(plan.stages)


@pytest.mark.parametrize(("disk", "ram"), [(None, 300), (RATE, 21)], ids=["unknown", "no room"])
def test_without_a_rate_or_room_for_the_cache_nothing_fits(disk: float | None, ram: int) -> None:
    """An unmeasured disk is not counted on, and the KV cache cannot stay on it."""
    asked = question(disk=disk, ram=ram * MB)
    assert solve(*asked).status == "infeasible"
    with pytest.raises(Infeasible):
        evaluate(asked.registry, asked.workload, [("a/cpu:0", 0, 19)], asked.options)
