"""A plan as a picture."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from hgx.cli.render.plan_plot import draw_plan
from hgx.flows.model import read_model
from hgx.planner.anatomy import answer_of, dissect, price_answer
from hgx.planner.evaluate import evaluate
from hgx.planner.problem import Question
from hgx.planner.solve import solve
from hgx.units import format_bytes, format_seconds
from tests.cli.svgs import boxes, overlapping, texts
from tests.gguf.ggufs import qwen3moe_like
from tests.planner.made import MB, Case, case, device, registry

if TYPE_CHECKING:
    from pathlib import Path
    from xml.etree.ElementTree import Element

    from hgx.core.plan import Plan


def drawn(question: Case, plan: Plan) -> Element:
    """The picture of a plan."""
    answer = answer_of(plan)
    assert answer is not None
    costs = dissect(price_answer(Question(*question), answer))
    return ET.fromstring(draw_plan(plan, costs))  # noqa: S314 - our own


def three() -> Case:
    """Two devices in use and one that is not."""
    return case(
        device("a/cpu:0", 160 * MB, 2e10),
        device("b/cuda:0", 190 * MB, 1e12),
        device("c/cuda:0", bandwidth=1e8),
    )


def test_every_device_is_named_and_nothing_overlaps() -> None:
    """Devices in use have bars and blocks; the others are named below."""
    question = three()
    plan = solve(*question)
    assert len(plan.stages) == 2
    root = drawn(question, plan)
    said = texts(root)
    for stage in plan.stages:
        assert any(
            text.startswith(f"{stage.device} · blocks {stage.first_block} to") for text in said
        )
    assert "without blocks: c/cuda:0" in said
    assert any(text.startswith("link a to b") for text in said)
    assert any(text.startswith("a (host)") for text in said)
    bars, words = boxes(root)
    assert overlapping(bars) is None
    assert overlapping([one for one in words if "inside" not in one.what]) is None


def test_memory_bars_have_the_plans_bytes() -> None:
    """What is held and what is free make up what may be taken, as texts and as lengths."""
    question = three()
    plan = solve(*question)
    root = drawn(question, plan)
    memory = plan.stages[-1].memory
    tips = [text for text in texts(root) if text.startswith(f"{plan.stages[-1].device}: ")]
    free = memory.capacity_bytes - memory.total_bytes
    for kind, size in (
        ("weights", memory.weights_bytes),
        ("KV", memory.kv_bytes),
        ("compute", memory.compute_bytes),
        ("free", free),
    ):
        assert f"{plan.stages[-1].device}: {kind} {format_bytes(size)}" in tips


def test_the_timeline_is_one_token_long() -> None:
    """Its bars cover the width once, one after the other, over all rows together."""
    question = three()
    plan = solve(*question)
    assert plan.predicted is not None
    root = drawn(question, plan)
    bars, words = boxes(root)
    below = next(one.top for one in words if one.what == "One token")
    lane = sorted((one.left, one.right) for one in bars if one.top > below)
    assert lane[0][0] == pytest.approx(24)
    assert lane[-1][1] == pytest.approx(936, abs=0.02)
    for (_, end), (start, _) in pairwise(lane):
        assert start == pytest.approx(end, abs=0.02)
    assert any(format_seconds(plan.predicted.tpot_s) in text for text in texts(root))


def test_many_idle_devices_are_counted() -> None:
    """Twelve are named, and how many more there are."""
    question = case(
        device("a/cuda:0"), *(device(f"n{at}/cuda:0", bandwidth=1e8) for at in range(15))
    )
    said = texts(drawn(question, solve(*question)))
    assert sum(text.startswith("without blocks: ") for text in said) == 12
    assert "and 3 more" in said


def test_weights_on_disk_are_said() -> None:
    """They are in no bar of memory, but named beside it and seen in the timeline."""
    known = registry(device("a/cpu:0", 130 * MB), ram={"a": 130 * MB})
    node = known.nodes[0].model_copy(update={"disk_read_bytes_per_s": 1e9})
    question = case()._replace(registry=known.model_copy(update={"nodes": (node,)}))
    plan = solve(*question)
    said = texts(drawn(question, plan))
    assert any("of weights on disk" in text for text in said)
    assert "weights on disk" in said
    assert "experts in RAM" not in said


def test_experts_in_ram_are_said(tmp_path: Path) -> None:
    """They are in the host's bar, and named there and in the timeline."""
    question = case(
        device("a/cuda:0", 8_000 * MB, 1e12),
        device("a/cpu:0", 64_000 * MB, 8e10, unified=True),
        model=read_model(str(qwen3moe_like(tmp_path / "moe.gguf"))),
    )
    question = question._replace(
        registry=registry(*question.registry.devices, ram={"a": 64_000 * MB})
    )
    plan = solve(*question)
    assert plan.experts_away
    said = texts(drawn(question, plan))
    assert any(text.endswith(f"experts of {plan.experts_away} blocks") for text in said)
    assert "experts in RAM" in said
    assert "weights on disk" not in said


def test_a_token_drawn_far_away_stays_there() -> None:
    """Where the far device draws tokens, no row of the host is needed."""
    question = case(device("b/cuda:0"))
    plan = evaluate(question.registry, question.workload, [("b/cuda:0", 0, 3)], question.options)
    far = plan.model_copy(update={"backend_sampling": True})
    assert not any(text.startswith("a (host)") for text in texts(drawn(question, far)))
