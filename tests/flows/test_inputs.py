"""What users name on the command line, found."""

from __future__ import annotations

from pathlib import Path

import pytest

from hgx.engine.demo import TERMS
from hgx.errors import ModelError, RegistryError
from hgx.flows import inputs
from hgx.flows.inputs import Model, find_header, find_model, find_registry
from hgx.store.home import Home


@pytest.mark.parametrize(
    ("name", "alias"),
    [
        ("folder/gemma-3.gguf", "gemma-3"),
        ("big-00001-of-00003.gguf", "big"),
        ("v1.5.gguf", "v1.5"),
        (".gguf", ".gguf"),
        ("-00001-of-00001.gguf", "-00001-of-00001.gguf"),
    ],
)
def test_a_model_is_called_by_its_file(tmp_path: Path, name: str, alias: str) -> None:
    """The name in answers is the file's, without folder, ending and part number."""
    assert find_model(name, Home(tmp_path)) == Model(Path(name), alias)


def test_an_address_can_be_read_but_not_run(tmp_path: Path) -> None:
    """Its header is read from where it is; to run it, one is told how to get the file."""
    home, name = Home(tmp_path), "https://host/a%20b.gguf?x=1&y=2"
    assert find_header(name, home) == name
    assert find_header("m.gguf", home) == Path("m.gguf")
    with pytest.raises(ModelError, match=r"`curl -LO 'https://host/a%20b.gguf\?x=1&y=2'`"):
        find_model(name, home)


@pytest.mark.parametrize("copy", [None, Path("/somewhere/TERMS.html")])
def test_the_demo_model_comes_with_its_terms(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, copy: Path | None
) -> None:
    """The word demo stands for the demo model in the home; its terms are pointed to."""

    def demo_model_path(models: Path) -> Path:
        return models / "demo.gguf"

    monkeypatch.setattr(inputs, "demo_model_path", demo_model_path)
    monkeypatch.setattr(inputs, "terms_file", lambda: copy)
    model = find_model("demo", Home(tmp_path))
    assert (model.path, model.alias) == (tmp_path / "models" / "demo.gguf", "demo")
    (note,) = model.notes
    assert TERMS in note
    assert (copy is not None) == ("TERMS.html" in note)


def test_a_registry_is_made_only_by_default(tmp_path: Path) -> None:
    """The home's registry is made if it is not there; one that was named must exist."""
    home = Home(tmp_path / "home")
    assert find_registry(home, None).devices
    assert find_registry(home, None) == find_registry(home, home.registry)
    with pytest.raises(RegistryError, match="missing"):
        find_registry(home, tmp_path / "missing.json")
