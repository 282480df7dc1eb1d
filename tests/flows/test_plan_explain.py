"""A plan explained: by the same registry, ledger and links that it was made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgx.core.options import PlanOptions
from hgx.flows.model import read_model
from hgx.flows.plan import draft_plan
from hgx.flows.plan_explain import explain, stage_costs
from tests.gguf.ggufs import tiny_llama
from tests.planner.made import MB, device, registry

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS = PlanOptions(ctx=256, coordinator="a", headroom_bytes=0)


def test_an_assumed_link_is_said_to_be_so(tmp_path: Path) -> None:
    """A paired machine whose link was never measured is used, and the rank is the lowest."""
    model = tiny_llama(tmp_path / "model.gguf")
    known = registry(device("b/cuda:0"), nodes=("a",), links=[])
    nodes = tuple(
        one.model_copy(update={"paired": True}) if one.id == "b" else one for one in known.nodes
    )
    known = known.model_copy(update={"nodes": nodes})
    plan = draft_plan(read_model(model), known, OPTIONS, "a")
    explained = explain(plan, read_model(model), known, OPTIONS, "a")
    assert explained is not None
    links = [one for one in explained.explanation.known if one.subject == "b"]
    assert [one.rank for one in links] == ["default"] * 3


def test_machines_that_are_not_paired_are_named(tmp_path: Path) -> None:
    """Their devices were not even considered, and that is why they have no blocks."""
    model = tiny_llama(tmp_path / "model.gguf")
    known = registry(device("a/cuda:0"), device("b/cuda:0"))
    nodes = tuple(
        one.model_copy(update={"paired": False}) if one.id == "b" else one for one in known.nodes
    )
    known = known.model_copy(update={"nodes": nodes})
    plan = draft_plan(read_model(model), known, OPTIONS, "a")
    explained = explain(plan, read_model(model), known, OPTIONS, "a")
    assert explained is not None
    (idle,) = explained.explanation.left_out
    assert (idle.device, idle.reason) == ("b/cuda:0", "unpaired")
    assert [cost.device for cost in stage_costs(plan, read_model(model), known, OPTIONS, "a")] == [
        "a/cuda:0"
    ]


def test_no_placement_no_explanation(tmp_path: Path) -> None:
    """What fits nowhere has neither."""
    model = tiny_llama(tmp_path / "model.gguf")
    known = registry(device("a/cuda:0", MB // 100))
    plan = draft_plan(read_model(model), known, OPTIONS, "a")
    assert explain(plan, read_model(model), known, OPTIONS, "a") is None
    assert stage_costs(plan, read_model(model), known, OPTIONS, "a") == ()
