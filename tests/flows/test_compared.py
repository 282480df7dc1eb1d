"""What comparing plans rests on."""

from __future__ import annotations

from hgx.core.compared import Ratio
from hgx.flows.compared import ratio_of, summarise
from tests.engine.plans import plan_of


def test_a_summary() -> None:
    """It has the runs of blocks by device, the predictions, and how good they are proven to be."""
    found = summarise(plan_of(("cpu:0", 2), ("cuda:0", 3)))
    assert [(name, run.first_block, run.last_block) for name, run in found.stages.items()] == [
        ("n/cpu:0", 0, 1),
        ("n/cuda:0", 2, 4),
    ]
    assert [run.output_head for run in found.stages.values()] == [False, True]
    assert (found.status, found.gap, found.coordinator) == ("optimal", None, None)


def test_ratios() -> None:
    """The later figures are divided by the earlier ones, where there are both."""
    before = summarise(plan_of(("cpu:0", 2)))
    assert before.predicted
    faster = before.predicted.model_copy(update={"tokens_per_s": 144.8, "ttft_s": 0.105})
    after = before.model_copy(update={"predicted": faster})
    assert ratio_of(before, after) == Ratio(ttft=0.5, tpot=1.0, tokens_per_s=2.0)
    nothing = before.model_copy(update={"predicted": None})
    assert ratio_of(before, nothing) is ratio_of(nothing, before) is None
    instant = before.predicted.model_copy(update={"ttft_s": 0.0})
    assert ratio_of(before.model_copy(update={"predicted": instant}), after) is None
