"""Plans compared with earlier ones: what moved, and files that are no plans."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.core.compared import Move
from hgx.errors import StorageError
from hgx.flows.plan_changes import compare_plans, load_plan
from hgx.planner.evaluate import evaluate
from hgx.planner.solve import solve
from tests.engine.plans import plan_of
from tests.planner.made import device, options, registry, workload

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hgx.core.plan import Plan

MODEL = workload()
KNOWN = registry(*(device(f"{name}/cuda:0") for name in "abc"), nodes="a")


def pinned(*stages: tuple[str, int, int], **wanted: Any) -> Plan:
    """The plan of a placement."""
    return evaluate(KNOWN, MODEL, [(f"{n}/cuda:0", i, j) for n, i, j in stages], options(**wanted))


def moves(before: Plan, after: Plan) -> list[tuple[int, int, str | None, str | None]]:
    """What moved, as tuples."""
    return [
        (one.first_layer, one.last_layer, one.source, one.target)
        for one in compare_plans(before, after).moves
    ]


def test_the_same_plan() -> None:
    """A plan is no different from itself."""
    plan = pinned(("a", 0, 3))
    changes = compare_plans(plan, plan)
    assert (changes.moves, changes.notes) == ((), ())
    assert changes.before == changes.after
    assert changes.ratio
    assert (changes.ratio.ttft, changes.ratio.tpot, changes.ratio.tokens_per_s) == (1, 1, 1)


def test_what_moved() -> None:
    """Runs of layers that went the same way are one move; the head follows the last block."""
    before, after = pinned(("a", 0, 1), ("b", 2, 3)), pinned(("a", 0, 0), ("c", 1, 3))
    assert moves(before, after) == [
        (1, 1, "a/cuda:0", "c/cuda:0"),
        (2, 4, "b/cuda:0", "c/cuda:0"),
    ]
    changes = compare_plans(before, after)
    assert [*changes.before.stages] == ["a/cuda:0", "b/cuda:0"]
    assert [*changes.after.stages] == ["a/cuda:0", "c/cuda:0"]
    for side, plan in ((changes.before, before), (changes.after, after)):
        for stage in plan.stages:
            assert side.stages[stage.device].memory_bytes == stage.memory.total_bytes
    assert before.predicted
    assert after.predicted
    assert changes.ratio
    assert changes.ratio.ttft == after.predicted.ttft_s / before.predicted.ttft_s


def test_what_is_proven() -> None:
    """Status and gap of both are told."""
    best = solve(KNOWN, MODEL, options())
    worse = pinned(("c", 0, 3))
    changes = compare_plans(best, worse)
    assert (changes.before.status, changes.before.gap) == ("optimal", 0)
    assert changes.after.status == "feasible"
    assert worse.bound
    assert changes.after.gap == worse.bound.gap > 0


@given(st.data())
def test_moves_lead_from_one_plan_to_the_other(data: st.DataObject) -> None:
    """Whoever does all moves to the earlier placement has the later one."""
    count = data.draw(st.integers(1, 12))

    def placement() -> Plan:
        cuts = (
            data.draw(st.sets(st.integers(1, count - 1), max_size=3)) if count > 1 else set[int]()
        )
        ends = [*sorted(cuts), count]
        sizes = [end - start for start, end in zip([0, *ends], ends, strict=False)]
        names = data.draw(st.permutations([f"cuda:{n}" for n in range(len(sizes) + 1)]))
        return plan_of(*zip(names, sizes, strict=False))

    def homes(plan: Plan) -> list[str]:
        return [
            stage.device
            for stage in plan.stages
            for _ in range(stage.first_block, stage.last_block + 1 + stage.output_head)
        ]

    before, after = placement(), placement()
    now: Sequence[str | None] = homes(before)
    moved: list[str | None] = [*now]
    for move in compare_plans(before, after).moves:
        assert {moved[i] for i in range(move.first_layer, move.last_layer + 1)} == {move.source}
        moved[move.first_layer : move.last_layer + 1] = [move.target] * (
            move.last_layer - move.first_layer + 1
        )
    assert moved == homes(after)


def test_nothing_fits_any_more() -> None:
    """Layers that are nowhere now have moved to nowhere, and there are no ratios."""
    before = pinned(("a", 0, 3))
    known = registry(device("a/cuda:0", 10))
    after = solve(known, MODEL, options())
    assert moves(before, after) == [(0, 4, "a/cuda:0", None)]
    assert compare_plans(before, after).ratio is None
    assert compare_plans(after, before).moves[0] == Move(
        first_layer=0, last_layer=4, source=None, target="a/cuda:0"
    )


def test_what_else_is_different() -> None:
    """Of other models, objectives, contexts and coordinators it is said that they differ."""
    before = pinned(("a", 0, 3))
    other = workload((60_000_000,) * 5)
    after = evaluate(
        KNOWN,
        other,
        [("b/cuda:0", 0, 4)],
        options("throughput", coordinator="b", ctx=512),
    )
    changes = compare_plans(before, after.model_copy(update={"backend_sampling": True}))
    assert changes.moves == ()
    assert changes.notes == (
        "the models are different: a model, now a model",
        "the objectives are different: latency, now throughput",
        "the contexts are different: 256 tokens, now 512",
        "the coordinators are different: a, now b",
        "tokens are drawn by the device with the output head now",
    )


def test_a_written_plan(tmp_path: Path) -> None:
    """What was written is read; what later versions add does no harm, nor what older ones lack."""
    plan = pinned(("a", 0, 3))
    path = tmp_path / "plan.json"
    path.write_text(plan.model_dump_json(), encoding="utf-8")
    assert load_plan(path) == plan
    document = json.loads(path.read_text(encoding="utf-8"))
    del document["ctx"]
    document["verified"] = {"build": 1}
    path.write_text(json.dumps(document), encoding="utf-8")
    assert compare_plans(load_plan(path), plan).moves == ()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not a plan"),
        (b"{", "is not a plan"),
        (b"\xff\xfe", "is not a plan"),
        (b"[]", "is not a plan"),
        (b'{"version": 1, "nodes": []}', r"is not a plan \(model: Field required\): give a file"),
        (b'{"version": 2}', r"is not a plan \(version: Input should be 1\)"),
    ],
)
def test_what_is_no_plan(content: bytes, said: str, tmp_path: Path) -> None:
    """One line names the file, the place in it, and what to give instead."""
    path = tmp_path / "plan.json"
    path.write_bytes(content)
    with pytest.raises(StorageError, match=said) as caught:
        load_plan(path)
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """What is not there, a directory and an endless file are refused as such."""
    with pytest.raises(StorageError, match=r"absent\.json could not be read: no such .*: give"):
        load_plan(tmp_path / "absent.json")
    with pytest.raises(StorageError, match="could not be read: is a directory"):
        load_plan(tmp_path)
    with pytest.raises(StorageError, match="could not be read: embedded null"):
        load_plan(tmp_path / "nul\0.json")
    sparse = tmp_path / "large.json"
    with sparse.open("wb") as file:
        file.truncate(65 * 1024**2)
    with pytest.raises(StorageError, match="larger than 64 MiB"):
        load_plan(sparse)
