"""Planning, composed: a model file, this machine, a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hgx.errors import Infeasible, ModelError
from hgx.flows.model import read_model
from hgx.flows.plan import draft_plan, evaluate, plan_model, require_feasible, solve
from hgx.store.home import Home
from hgx.store.ledger import Ledger
from tests.gguf.ggufs import qwen3moe_like, tiny_llama
from tests.planner.made import MB, device, options, registry, workload
from tests.planner.requests import request

if TYPE_CHECKING:
    from pathlib import Path

    from hgx.core.registry import Registry

FREE = options(coordinator=None)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A small llama of four blocks."""
    return tiny_llama(tmp_path / "model.gguf")


@pytest.fixture
def this_is_a(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this machine the node ``a``."""
    (tmp_path / "node.json").write_text('{"id": "a"}')
    monkeypatch.setenv("HGX_HOME", str(tmp_path))


@pytest.mark.usefixtures("this_is_a")
def test_this_machine_coordinates() -> None:
    """Solving and evaluating know which machine this is, though another one would be better."""
    known = registry(device("b/cuda:0"), nodes=("a",))
    solved = solve(known, workload(), FREE)
    pinned = evaluate(known, workload(), [("b/cuda:0", 0, 3)], FREE)
    assert [plan.host.node for plan in (solved, pinned) if plan.host] == ["a", "a"]
    assert solved.predicted == pinned.predicted


def test_a_model_file_is_planned(model: Path) -> None:
    """The file is read, and the plan is for the machine that asks."""
    read, plan = plan_model(model, registry(device("b/cuda:0"), nodes=("a",)), FREE, "a")
    assert (plan.status, plan.model.n_block) == ("optimal", read.n_block)
    assert plan.host is not None
    assert plan.host.node == "a"


def test_a_model_that_fits_nowhere_is_an_error_where_a_plan_is_needed(model: Path) -> None:
    """The error has the plan's sentences, and its cures apart; a draft only says so."""
    small = registry(device("a/cuda:0", MB))
    with pytest.raises(Infeasible) as caught:
        plan_model(model, small, FREE, "a")
    draft = draft_plan(read_model(model), small, FREE, "a")
    assert draft.status == "infeasible"
    assert caught.value.message == "; ".join(draft.why)
    assert caught.value.cures == draft.why[1:]


def test_a_draft_with_a_placement_is_an_evaluation(model: Path) -> None:
    """A placement that is given is predicted, not improved, and refused where it breaks a limit."""
    known = registry(device("a/cuda:0"), device("b/cuda:0"))
    draft = draft_plan(read_model(model), known, FREE, "a", [("b/cuda:0", 0, 3)])
    assert [stage.device for stage in draft.stages] == ["b/cuda:0"]
    with pytest.raises(Infeasible, match="ends with block 2"):
        draft_plan(read_model(model), known, FREE, "a", [("b/cuda:0", 0, 2)])


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    """What cannot be read as a model is no question of memory."""
    path = tmp_path / "model.gguf"
    path.write_bytes(b"something else")
    with pytest.raises(ModelError):
        plan_model(path, registry(device("a/cuda:0")), FREE, "a")


def test_a_feasible_plan_passes() -> None:
    """Only "infeasible" is an error."""
    require_feasible(solve(registry(device("a/cuda:0")), workload(), options()))


@pytest.fixture
def strangers() -> Registry:
    """A fast device on a node that is not paired, beside a slow one of this machine."""
    known = registry(device("a/cpu:0", bandwidth=1e9), device("b/cuda:0"), nodes=("a",))
    nodes = [
        node.model_copy(update={"paired": False if node.id == "b" else None})
        for node in known.nodes
    ]
    return known.model_copy(update={"nodes": tuple(nodes)})


@pytest.mark.usefixtures("this_is_a")
def test_what_is_not_paired_is_not_used(strangers: Registry) -> None:
    """A machine that is not paired gets no block, and the plan says so."""
    plan = solve(strangers, workload(), FREE)
    assert {stage.device for stage in plan.stages} == {"a/cpu:0"}
    assert plan.why[-1] == "not paired, so not used: b"
    assert evaluate(strangers, workload(), [("a/cpu:0", 0, 3)], FREE).why[-1] == plan.why[-1]


@pytest.mark.usefixtures("this_is_a")
def test_what_is_not_paired_cannot_be_pinned(strangers: Registry) -> None:
    """Pinning a block to a machine that is not paired is an error that says why."""
    with pytest.raises(Infeasible, match=r"b/cuda:0 .* not paired"):
        evaluate(strangers, workload(), [("a/cpu:0", 0, 1), ("b/cuda:0", 2, 3)], FREE)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Five requests that took half as long again on a/cuda:0 as predicted."""
    ledger = Ledger(Home(tmp_path / "home"))
    for _ in range(5):
        ledger.add(request([(device("a/cuda:0"), 0.02)], tpot_s=0.03, ttft_s=0.3))
    return ledger


def test_plans_learn_from_what_was_served(model: Path, ledger: Ledger) -> None:
    """Plans and predictions are stretched by what requests took, and say so."""
    known = registry(device("a/cuda:0"))
    _, before = plan_model(model, known, FREE, "a")
    _, after = plan_model(model, known, FREE, "a", ledger=ledger)
    pinned = draft_plan(read_model(model), known, FREE, "a", [("a/cuda:0", 0, 3)], ledger=ledger)
    assert before.predicted
    assert after.predicted
    assert after.predicted == pinned.predicted
    assert after.predicted.tpot_s == pytest.approx(1.5 * before.predicted.tpot_s, rel=0.01)
    assert after.predicted.ttft_s == pytest.approx(1.5 * before.predicted.ttft_s, rel=0.01)
    assert any(said.startswith("corrected by 5 served requests: a/cuda:0") for said in after.why)
    assert (
        draft_plan(read_model(model), known, FREE, "a", ledger=ledger).predicted == after.predicted
    )


def test_other_devices_are_planned_as_before(model: Path, ledger: Ledger) -> None:
    """A ledger that speaks of other devices, or an empty one, changes nothing."""
    known = registry(device("b/cuda:0"))
    before = draft_plan(read_model(model), known, FREE, "b")
    for one in (ledger, Ledger(Home(ledger.path.parent / "empty"))):
        after = draft_plan(read_model(model), known, FREE, "b", ledger=one)
        assert (after.predicted, after.why) == (before.predicted, before.why)


def test_a_ledger_that_cannot_be_read_is_a_note(model: Path, ledger: Ledger) -> None:
    """The plan is made without it, and says what is wrong with it and what to do."""
    ledger.path.write_bytes(b"no database" * 99)
    plan = draft_plan(read_model(model), registry(device("a/cuda:0")), FREE, "a", ledger=ledger)
    assert plan.status == "optimal"
    assert plan.why[-1].startswith("not corrected by served requests: ")
    assert "delete it" in plan.why[-1]


@pytest.mark.parametrize(("experts", "count", "said"), [(0, 1, "no experts"), (9, 5, "4 blocks")])
def test_experts_that_are_not_there_cannot_stay_in_ram(
    experts: int, count: int, said: str, tmp_path: Path
) -> None:
    """A model without experts, or with fewer blocks than are asked for, is named as the reason."""
    file = (
        qwen3moe_like(tmp_path / "m.gguf", n_block=4, n_expert=experts)
        if experts
        else tiny_llama(tmp_path / "m.gguf")
    )
    asked = FREE.model_copy(update={"cpu_experts": count})
    known = registry(device("a/cuda:0", 9000 * MB), device("a/cpu:0", 9000 * MB))
    with pytest.raises(Infeasible, match=said):
        plan_model(file, known, asked, "a")
    with pytest.raises(Infeasible, match=said):
        draft_plan(read_model(file), known, asked, "a")
