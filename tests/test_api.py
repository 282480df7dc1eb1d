"""The public names of the package."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import hgx
from tests.gguf.ggufs import tiny_llama

if TYPE_CHECKING:
    from pathlib import Path

REGISTRY = """{
  "nodes": [{"id": "here"}, {"id": "there"}],
  "devices": [
    {"id": "here/cuda:0", "node": "here", "backend": "cuda", "memory_total_bytes": 8e9,
     "memory_bandwidth_bytes_per_s": 1e11, "compute_flops_per_s": 1e13},
    {"id": "there/cuda:0", "node": "there", "backend": "cuda", "memory_total_bytes": 8e9,
     "memory_bandwidth_bytes_per_s": 1e11, "compute_flops_per_s": 1e13}
  ],
  "links": [{"from": "here", "to": "there", "rtt_s": 0.001, "bandwidth_bytes_per_s": 1e8}]
}"""


@pytest.mark.parametrize("name", hgx.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """Whatever ``__all__`` lists can be had, and under that name."""
    found = getattr(hgx, name)
    assert name in {"__version__", getattr(found, "__name__", None)}


def test_an_unknown_name_is_an_attribute_error() -> None:
    """The message names the package and the name, as Python's own does."""
    with pytest.raises(AttributeError, match="module 'hgx' has no attribute 'slove'"):
        _ = hgx.slove  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType] - that is the point


def test_importing_costs_nothing() -> None:
    """Neither numpy nor pydantic is loaded before a name is used that needs them."""
    code = "import sys, hgx; hgx.Infeasible; print(*({'numpy', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""


def test_a_model_is_planned_from_files(tmp_path: Path) -> None:
    """Load, read, solve, evaluate: the four calls of the package's own example."""
    (tmp_path / "registry.json").write_text(REGISTRY)
    path = tiny_llama(tmp_path / "model.gguf")
    registry = hgx.load_registry(str(tmp_path / "registry.json"))
    model = hgx.read_model(path)
    options = hgx.PlanOptions(ctx=1024, coordinator="here")
    plan = hgx.solve(registry, model, options)
    assert plan.status == "optimal"
    assert [(stage.device, stage.first_block, stage.last_block) for stage in plan.stages] == [
        ("here/cuda:0", 0, 3)
    ]
    pinned = hgx.evaluate(registry, model, [("here/cuda:0", 0, 3)], options)
    assert pinned.predicted == plan.predicted
    with pytest.raises(hgx.Infeasible):
        hgx.evaluate(registry, model, [("here/cuda:0", 0, 1)], options)
