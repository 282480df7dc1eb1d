"""What is decided before the engine starts, with an invented engine and planner."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hgx.core.options import PlanOptions
from hgx.engine.base import EngineDevice
from hgx.errors import RegistryError
from hgx.flows.context import Longest
from hgx.flows.inputs import Model
from hgx.serve import alone as module
from hgx.serve.alone import alone
from hgx.store.home import Home
from tests.engine.plans import plan_of, registry_of, workload_of

if TYPE_CHECKING:
    from hgx.core.registry import Registry

_CPU = EngineDevice(name="CPU", description="", kind="cpu")


@pytest.fixture
def planned_for(monkeypatch: pytest.MonkeyPatch) -> list[Registry]:
    """The registries that the planner was given; the engine has a CPU alone."""
    given: list[Registry] = []

    def plan_model(
        model: Path,
        registry: Registry,
        options: PlanOptions,
        node: str,
        *,
        ledger: object,
        longest: Longest | None,
    ) -> object:
        assert ledger is None
        assert (model, options.ctx, node) == (Path("m.gguf"), 99, "n")
        given.append(registry)
        plan = plan_of(("cpu:0", 2))
        ctx = longest.most if longest else options.ctx
        return workload_of(chat_template=True), plan.model_copy(update={"ctx": ctx})

    monkeypatch.setattr(module, "plan_model", plan_model)
    monkeypatch.setattr(module, "engine_devices", lambda: (_CPU,))
    return given


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """The home of the node ``n``."""
    (tmp_path / "node.json").write_text('{"id": "n"}')
    return Home(tmp_path)


def test_the_plan_is_for_what_the_engine_can_use(planned_for: list[Registry], home: Home) -> None:
    """A card the engine was not built for never reaches the planner, and the user is told."""
    model = Model(Path("m.gguf"), "m")
    launch = alone(model, registry_of("cpu:0", "cuda:0"), home, PlanOptions(ctx=99), threads=2)
    assert [device.id for device in planned_for[0].devices] == ["n/cpu:0"]
    assert len(launch.notes) == 1
    assert (launch.alias, launch.options.ctx, launch.team) == ("m", 99, None)


@pytest.mark.usefixtures("planned_for")
def test_the_longest_context_is_the_one_that_was_found(home: Home) -> None:
    """The engine is run with the context of the plan, not with that of the options."""
    model = Model(Path("m.gguf"), "m")
    asked = PlanOptions(ctx=99)
    launch = alone(model, registry_of("cpu:0"), home, asked, longest=Longest(512))
    assert launch.options.ctx == 512


def test_nothing_the_engine_can_use(planned_for: list[Registry], home: Home) -> None:
    """A registry without any usable device of this machine is an error with its remedy."""
    with pytest.raises(RegistryError, match=r"\(n\).*hgx discover"):
        alone(Model(Path("m.gguf"), "m"), registry_of("cuda:0"), home, PlanOptions())
    assert planned_for == []
