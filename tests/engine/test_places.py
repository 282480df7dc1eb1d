"""Folders that may hold llama.cpp's programs."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from hgx.engine.places import Place, named_places, package_places, path_places

if TYPE_CHECKING:
    import pytest


def test_a_named_folder() -> None:
    """The option counts before the variable, and either may be a checkout."""
    env = {"HGX_LLAMA_CPP": "/variable"}
    option = named_places(Path("/option"), env)
    assert [place.source for place in option] == ["--engine-dir"] * 4
    assert option[0].folder == Path("/option")
    assert Path("/option/build/bin") in [place.folder for place in option]
    assert named_places(None, env)[0] == Place(Path("/variable"), "HGX_LLAMA_CPP")
    assert named_places(None, {"HGX_LLAMA_CPP": ""}) == ()
    assert named_places(None, {}) == ()


def test_a_folder_relative_or_at_home() -> None:
    """A folder may be given from where the user stands, or from their home."""
    assert named_places(Path("llama.cpp"), {})[0].folder == Path.cwd() / "llama.cpp"
    assert named_places(Path("~"), {})[0].folder == Path("~").expanduser()


def test_path() -> None:
    """PATH is taken in its order, without empty entries."""
    path = os.pathsep.join(["/one", "", "/two"])
    assert path_places({"PATH": path}) == (Place(Path("/one"), "PATH"), Place(Path("/two"), "PATH"))
    assert path_places({}) == ()


def test_packages() -> None:
    """Each system's package managers are thought of, and the user's own folders where known."""
    places = dict(package_places({"HOME": "/home/ada", "LOCALAPPDATA": "/local"}))
    assert places[Path("/opt/homebrew/bin")] == "Homebrew"
    assert places[Path("/opt/local/bin")] == "MacPorts"
    assert places[Path("/home/ada/.local/bin")] == "~/.local/bin"
    assert places[Path("/local/Microsoft/WinGet/Links")] == "winget"
    assert places[Path(sysconfig.get_path("scripts"))] == "this Python"
    assert "~/.local/bin" not in dict(package_places({})).values()


def test_packages_of_this_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python package that ships the programs is found wherever it puts them."""
    for folder in (tmp_path / "one_cpp" / "bin", tmp_path / "two_cpp"):
        folder.mkdir(parents=True)
        (folder / "llama-server").touch()
    (tmp_path / "three_cpp").mkdir()

    def get_path(name: str) -> str:
        return str(tmp_path / "bin" if name == "scripts" else tmp_path)

    monkeypatch.setattr(sysconfig, "get_path", get_path)
    monkeypatch.setattr("hgx.engine.places.SUFFIX", "")
    found = [place.folder for place in package_places({}) if "package" in place.source]
    assert found == [tmp_path / "one_cpp" / "bin", tmp_path / "two_cpp"]
