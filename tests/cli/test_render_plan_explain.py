"""An explained plan as people see it, where real ones seldom have something to say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hgx.cli.render.console import stdout
from hgx.cli.render.plan_explain import print_explained
from hgx.core.explanation import (
    Binding,
    ExplainedPlan,
    Explanation,
    LeftOut,
    Marginal,
    Split,
    Uncertainty,
)
from hgx.core.plan import Predicted
from hgx.planner.insight import explain_plan
from hgx.planner.problem import Question
from hgx.planner.solve import solve
from tests.planner.made import case, device, registry

if TYPE_CHECKING:
    from tests.planner.made import Case

PREDICTED = Predicted(ttft_s=1.0, tpot_s=0.1, tokens_per_s=10.0)


@pytest.fixture(autouse=True)
def no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what the tester's own terminal says."""
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


def told(question: Case) -> tuple[ExplainedPlan, Explanation]:
    """A plan that is explained, and its explanation."""
    plan = solve(*question)
    explanation = explain_plan(Question(*question), plan)
    assert explanation is not None
    return ExplainedPlan.model_validate({**dict(plan), "explanation": explanation}), explanation


def shown(capsys: pytest.CaptureFixture[str], **changes: Any) -> list[str]:
    """Print the plan of one device, its explanation changed; return the lines."""
    plan, explanation = told(case(device("a/cuda:0")))
    changed = explanation.model_copy(update=changes)
    print_explained(plan.model_copy(update={"explanation": changed}), stdout())
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def gain(subject: str, gain: float, *, proven: bool) -> Marginal:
    """Twice the bandwidth of something."""
    return Marginal(
        kind="bandwidth",
        subject=subject,
        extra_bytes=None,
        gain=gain,
        proven=proven,
        predicted=PREDICTED,
    )


def test_what_is_not_proven_is_a_limit(capsys: pytest.CaptureFixture[str]) -> None:
    """Gains are at least so much, losses at most; what hardly gains or was not asked is counted."""
    lines = shown(
        capsys,
        marginals=(
            gain("a/cuda:0", 0.5, proven=True),
            gain("b\x1b/cuda:0", 0.1, proven=False),
            gain("c/cuda:0", 0.001, proven=True),
            gain("d/cuda:0", 0.001, proven=True),
        ),
        left_out=(
            LeftOut(device="c/cuda:0", reason="slower", longer=0.123, proven=True),
            LeftOut(device="d/cuda:0", reason="slower", longer=3.0, proven=False),
            LeftOut(device="e/cuda:0", reason="slower", longer=-0.02, proven=True),
            LeftOut(device="f/cuda:0", reason="slower", longer=-0.02, proven=False),
            LeftOut(device="g/cuda:0", reason="open"),
        ),
        unasked=7,
    )
    promise = "first token after 1 s, 10 tokens/s"
    for line in (
        f"- twice the memory bandwidth of a/cuda:0: +50%, {promise}",
        rf"- twice the memory bandwidth of b\x1b/cuda:0: at least +10%, {promise}",
        "- 2 others would bring less than 0.5%",
        "- 7 more were not solved for want of time: see --timeout",
        "- c/cuda:0: with it, it would take 12.3% longer",
        "- d/cuda:0: with it, it would take at most 300% longer",
        "- e/cuda:0: with it, it would take 2.0% less",
        "- f/cuda:0: with it, it would take at least 2.0% less",
        "- g/cuda:0: no time to find out",
    ):
        assert line in lines


def test_nothing_that_helps_is_no_heading(capsys: pytest.CaptureFixture[str]) -> None:
    """Where there was nothing to ask, nothing is said of it."""
    assert "What would make it faster:" not in shown(capsys, marginals=())


def test_every_kind_of_more(capsys: pytest.CaptureFixture[str]) -> None:
    """Memory, bandwidth, arithmetic and links have words of their own."""
    one = gain("b", 0.2, proven=True)
    lines = shown(
        capsys,
        marginals=(
            one.model_copy(update={"kind": "memory", "extra_bytes": 4 * 1024**3}),
            one.model_copy(update={"kind": "arithmetic"}),
            one.model_copy(update={"kind": "link"}),
        ),
    )
    begins = [line.partition(": +20%")[0] for line in lines if ": +20%" in line]
    assert begins == [
        "- 4 GiB more on b",
        "- twice the arithmetic of b",
        "- the link to b twice as fast",
    ]


def test_every_cause(capsys: pytest.CaptureFixture[str]) -> None:
    """What binds is named by what it is; what hardly counts is not."""
    kinds = ("bandwidth", "arithmetic", "launch", "sampling", "away", "link")
    binds = [Binding(kind=kind, subject="x", share=0.1) for kind in kinds]
    full = Binding(kind="memory", subject="y", share=None, left_bytes=1024)
    small = Binding(kind="link", subject="z", share=0.001)
    lines = shown(capsys, binds=(*binds, small, full))
    causes = [line for line in lines if line.startswith("- 10.0%: ")]
    assert len(causes) == len(set(causes)) == len(kinds)
    assert "- the memory of y: 1 KiB left, too little for one more block" in lines
    assert not any("z" in line.split() for line in lines)


def test_a_split_without_a_placement(capsys: pytest.CaptureFixture[str]) -> None:
    """Why it is impossible is all there is to say."""
    split = Split(rule="best", runs=(), predicted=None, longer=None, refused="nothing fits")
    lines = shown(capsys, splits=(split,))
    assert "the planner's own - - - impossible: nothing fits" in lines


def test_errors(capsys: pytest.CaptureFixture[str]) -> None:
    """Each prediction that has an error shows it."""
    error = Uncertainty(ttft_s=0.001, tpot_s=None, tokens_per_s=None)
    lines = shown(capsys, error=error)
    assert lines[-1].startswith("- first token after ")
    assert lines[-1].endswith("± 1 ms")
    error = Uncertainty(ttft_s=None, tpot_s=0.1, tokens_per_s=3.456)
    assert shown(capsys, error=error)[-1].endswith("± 3.5 tokens/s")


def test_weights_on_disk_have_a_column(capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing is away there is no such column."""
    assert not any("AWAY" in line for line in shown(capsys))
    known = registry(device("a/cpu:0", 130_000_000), ram={"a": 130_000_000})
    node = known.nodes[0].model_copy(update={"disk_read_bytes_per_s": 1e9})
    question = case()._replace(registry=known.model_copy(update={"nodes": (node,)}))
    print_explained(told(question)[0], stdout())
    out = capsys.readouterr().out
    assert "AWAY" in out
    assert "weights on disk, or experts in RAM, of a/cpu:0" in out
