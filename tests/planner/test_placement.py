"""Placements: their shape, and what their stages take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from hgx.errors import Infeasible
from hgx.planner.constraints import device_limits
from hgx.planner.placement import check_shape, price, total_objective
from tests.planner.made import MB, OBJECTIVES, case, device, options, workload

if TYPE_CHECKING:
    from hgx.core.plan import Objective
    from hgx.planner.placement import Placement, PricedStage
    from tests.planner.made import Case


def priced(question: Case, *placement: tuple[str, int, int]) -> list[PricedStage]:
    """The stages of a placement, priced with the problem's own limits."""
    problem = question.problem()
    return price(problem, placement, device_limits(problem))


@pytest.mark.parametrize(
    ("placement", "said"),
    [
        ([], "no stages"),
        ([("x", 0, 3)], "device 'x' is not in the registry; there are: d, e"),
        ([("d", 0, 1), ("d", 2, 3)], "device 'd' has two stages"),
        ([("d", 1, 3)], "d is given blocks 1 to 3, but block 0 is next"),
        ([("d", 0, 1), ("e", 3, 3)], "e is given blocks 3 to 3, but block 2 is next"),
        ([("d", 0, 2), ("e", 2, 3)], "e is given blocks 2 to 3, but block 3 is next"),
        ([("d", 0, -1), ("e", 0, 3)], "d is given blocks 0 to -1"),
        ([("d", 0, 2)], "ends with block 2, but the last block is 3"),
        ([("d", 0, 99)], "ends with block 99, but the last block is 3"),
        ([("d", 0)], "a stage is (device, first block, last block), not ('d', 0)"),
        ([("d", "0", 3)], "not ('d', '0', 3)"),
        ([(0, 0, 3)], "not (0, 0, 3)"),
        ([("d", 0, 3.0)], "not ('d', 0, 3.0)"),
        (["d03"], "not 'd03'"),
    ],
)
def test_a_wrong_shape_is_refused(placement: list[object], said: str) -> None:
    """The message names the device and the blocks that are wrong, or the stage that is none."""
    with pytest.raises(Infeasible) as caught:
        check_shape(4, ["e", "d"], placement)
    assert said in caught.value.message


def test_lists_are_as_good_as_tuples() -> None:
    """A placement that was read from JSON has lists for stages."""
    assert check_shape(4, ["d", "e"], [["d", 0, 2], ["e", 3, 3]]) == (("d", 0, 2), ("e", 3, 3))


def test_any_whole_number_is_a_block() -> None:
    """Blocks counted with numpy are blocks, and what comes back are plain numbers."""
    checked = check_shape(4, ["d"], [("d", np.int64(0), np.int64(3))])
    assert checked == (("d", 0, 3),)
    assert [type(number) for number in checked[0][1:]] == [int, int]


def test_an_empty_registry_has_no_devices_to_name() -> None:
    """The message of an unknown device says so when there is none to choose from."""
    with pytest.raises(Infeasible, match="there are: none"):
        check_shape(1, [], [("d", 0, 0)])


def test_memory_adds_up_per_stage() -> None:
    """Weights and KV are summed over blocks and head; the largest scratch is counted once."""
    question = case(
        device("b/cuda:0"),
        device("c/cuda:0", 700 * MB),
        model=workload([10 * MB, 20 * MB, 30 * MB], head=7 * MB),
    )
    footprint = question.problem().footprint
    first, last = (
        stage.memory for stage in priced(question, ("b/cuda:0", 0, 1), ("c/cuda:0", 2, 2))
    )
    assert (first.weights_bytes, last.weights_bytes) == (30 * MB, 37 * MB)
    assert first.kv_bytes == footprint.kv[:2].sum()
    assert first.compute_bytes == footprint.inputs + footprint.scratch[:2].max()
    assert last.compute_bytes == footprint.inputs + footprint.scratch[2:].max()
    assert last.total_bytes == last.weights_bytes + last.kv_bytes + last.compute_bytes
    assert last.capacity_bytes == 700 * MB


def test_a_tied_head_weighs_nothing_on_the_host() -> None:
    """The coordinator's CPU has the embedding already; any other device needs a copy."""
    model = workload([10 * MB], head=20 * MB, embedding=20 * MB, tied=True)
    question = case(device("a/cpu:0"), device("b/cpu:0"), model=model)
    weights = [
        priced(question, (name, 0, 0))[0].memory.weights_bytes for name in ("a/cpu:0", "b/cpu:0")
    ]
    assert weights == [10 * MB, 30 * MB]


def test_the_hosts_cpu_is_free_of_wire_only_at_the_front() -> None:
    """First in the pipeline it runs inside the engine; anywhere else it is on the loopback."""
    question = case(device("a/cpu:0"), device("a/cuda:0"))
    front = priced(question, ("a/cpu:0", 0, 1), ("a/cuda:0", 2, 3))
    back = priced(question, ("a/cuda:0", 0, 1), ("a/cpu:0", 2, 3))
    assert [stage.wire_s for stage in front] == [0.0, 0.0]
    assert [stage.wire_s > 0 for stage in back] == [False, True]


def test_neighbours_on_one_far_node_pass_hidden_states_on() -> None:
    """Two stages in a row on a remote node save the way home and back; apart they do not."""
    question = case(device("b/cuda:0"), device("b/cuda:1"), device("c/cuda:0"))
    hop = question.problem().slots[0].decode.hop
    together = priced(question, ("b/cuda:0", 0, 0), ("b/cuda:1", 1, 1), ("c/cuda:0", 2, 3))
    apart = priced(question, ("b/cuda:0", 0, 0), ("c/cuda:0", 1, 1), ("b/cuda:1", 2, 3))
    assert [stage.wire_s for stage in together] == pytest.approx(
        [hop.turn + hop.enter, hop.turn + hop.leave, hop.turn + hop.enter + hop.finish]
    )
    assert [stage.wire_s for stage in apart] == pytest.approx(
        [hop.turn + hop.enter + hop.leave] * 2 + [hop.turn + hop.enter + hop.finish]
    )


def test_traffic_is_a_star() -> None:
    """Two remote nodes talk through the coordinator: each stage pays its own wire both ways."""
    question = case(device("b/cuda:0"), device("c/cuda:0"), device("a/cuda:0"))
    stages = priced(question, ("b/cuda:0", 0, 0), ("c/cuda:0", 1, 1), ("a/cuda:0", 2, 3))
    hop = question.problem().slots[0].decode.hop
    both_ways = hop.turn + hop.enter + hop.leave
    assert [stage.wire_s for stage in stages] == pytest.approx([both_ways, both_ways, 0.0])


def test_local_cards_have_no_wire_between_them() -> None:
    """Stages on the coordinator's own cards cost blocks only."""
    question = case(device("a/cuda:0"), device("a/cuda:1"))
    stages = priced(question, ("a/cuda:0", 0, 1), ("a/cuda:1", 2, 3))
    assert [stage.wire_s for stage in stages] == [0.0, 0.0]


PLACEMENT: Placement = (("a/cuda:0", 0, 1), ("b/cuda:0", 2, 3))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_objective_is_a_sum_or_the_slowest(objective: Objective) -> None:
    """Latency adds the prompt and 128 tokens of all stages; throughput is the slowest token.

    Balanced is half of the one, and half of 128 of the other.
    """
    question = case(device("a/cuda:0"), device("b/cuda:0"), asked=options(objective))
    stages = priced(question, *PLACEMENT)
    decode = [stage.decode_s for stage in stages]
    total = total_objective(question.problem(), stages)
    latency = sum(s.prefill_s for s in stages) + 128 * sum(decode)
    expected = {
        "latency": latency,
        "throughput": max(decode),
        "balanced": (latency + 128 * max(decode)) / 2,
    }
    assert total == pytest.approx(expected[objective])
