"""What is decided before the engine starts, with an invented engine and planner."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hgx.core.options import PlanOptions
from hgx.engine.base import EngineDevice
from hgx.errors import RegistryError
from hgx.flows.inputs import Model
from hgx.serve import prepare as module
from hgx.serve.prepare import prepare
from tests.engine.plans import plan_of, registry_of, workload_of

if TYPE_CHECKING:
    from hgx.core.registry import Registry

_CPU = EngineDevice(name="CPU", description="", kind="cpu")


@pytest.fixture
def planned_for(monkeypatch: pytest.MonkeyPatch) -> list[Registry]:
    """The registries that the planner was given; the engine has a CPU alone."""
    given: list[Registry] = []

    def plan_model(model: Path, registry: Registry, options: PlanOptions, node: str) -> object:
        assert (model, options.ctx, node) == (Path("m.gguf"), 99, "n")
        given.append(registry)
        return workload_of(chat_template=True), plan_of(("cpu:0", 2))

    monkeypatch.setattr(module, "plan_model", plan_model)
    monkeypatch.setattr(module, "engine_devices", lambda: (_CPU,))
    return given


def test_the_plan_is_for_what_the_engine_can_use(planned_for: list[Registry]) -> None:
    """A card the engine was not built for never reaches the planner, and the user is told."""
    model = Model(Path("m.gguf"), "m")
    prepared = prepare(model, registry_of("cpu:0", "cuda:0"), "n", PlanOptions(ctx=99), threads=2)
    assert [device.id for device in planned_for[0].devices] == ["n/cpu:0"]
    assert len(prepared.left_out) == 1
    assert (prepared.spec.alias, prepared.spec.ctx, prepared.spec.threads) == ("m", 99, 2)


def test_nothing_the_engine_can_use(planned_for: list[Registry]) -> None:
    """A registry without any usable device of this machine is an error with its remedy."""
    with pytest.raises(RegistryError, match=r"\(n\).*hgx discover"):
        prepare(Model(Path("m.gguf"), "m"), registry_of("cuda:0"), "n", PlanOptions())
    assert planned_for == []
