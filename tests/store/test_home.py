"""Where hgx keeps things, and who this machine is."""

from __future__ import annotations

import json
import platform
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.errors import StorageError
from hgx.store.home import Home, id_from_host_name


def test_explicit_path_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that is given counts more than HGX_HOME."""
    monkeypatch.setenv("HGX_HOME", str(tmp_path / "other"))
    assert Home(tmp_path).path == tmp_path


def test_environment_comes_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HGX_HOME counts where no path is given."""
    monkeypatch.setenv("HGX_HOME", str(tmp_path))
    assert Home().path == tmp_path


def test_user_data_directory_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty HGX_HOME counts as none, and the user's data directory is used."""
    monkeypatch.setenv("HGX_HOME", "")
    assert Home().path.is_absolute()
    assert "hgx" in Home().path.parts


def test_tilde_is_the_users_home() -> None:
    """A path beginning with a tilde is inside the user's home."""
    assert Home(Path("~/x")).path == Path.home() / "x"


def test_everything_lives_inside(tmp_path: Path) -> None:
    """All that hgx keeps is in that one directory."""
    home = Home(tmp_path)
    places = {home.registry, home.node_file, home.models, home.logs}
    assert {place.parent for place in places} == {tmp_path}
    assert home.registry.name == "registry.json"


def test_id_comes_from_the_host_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home without a node file takes the host's name and writes nothing."""
    monkeypatch.setattr(platform, "node", lambda: "Big_Tower.lan")
    assert Home(tmp_path).node_id() == "big-tower"
    assert list(tmp_path.iterdir()) == []


def test_kept_id_survives_a_new_host_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once kept, the id stays when the host is renamed."""
    home = Home(tmp_path / "new")
    monkeypatch.setattr(platform, "node", lambda: "one")
    assert home.keep_node_id() == "one"
    monkeypatch.setattr(platform, "node", lambda: "two")
    assert home.keep_node_id() == "one"
    assert json.loads(home.node_file.read_text()) == {"id": "one"}


def test_chosen_id_is_used(tmp_path: Path) -> None:
    """An id that someone wrote into the node file is this machine's id in that home."""
    (tmp_path / "node.json").write_text('\ufeff{"id": "Mac_Studio.2"}', encoding="utf-8")
    assert Home(tmp_path).node_id() == "Mac_Studio.2"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"id": 1}',
        b'{"id": ""}',
        b'{"id": "a/b"}',
        b'{"id": "a b"}',
        b"\xff",
        b"[" * 9**6,
    ],
)
def test_damaged_node_file(tmp_path: Path, content: bytes) -> None:
    """A node file without a usable id is refused in one line that says how to repair it."""
    (tmp_path / "node.json").write_bytes(content)
    with pytest.raises(StorageError, match=r"node\.json should hold .*delete it") as caught:
        Home(tmp_path).node_id()
    assert "\n" not in caught.value.message


def test_unreadable_node_file(tmp_path: Path) -> None:
    """A node file that is a directory is refused in one line."""
    (tmp_path / "node.json").mkdir()
    with pytest.raises(StorageError, match=r"could not read .*node\.json"):
        Home(tmp_path).node_id()


def test_home_that_is_a_file(tmp_path: Path) -> None:
    """A home that is a file is refused, and the remedy is to choose a directory."""
    file = tmp_path / "file"
    file.touch()
    for path in (file, file / "inside"):
        with pytest.raises(StorageError, match="choose a directory, not a file"):
            Home(path).create()


def test_unwritable_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place without permission is refused in one line."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StorageError, match=r"could not create .*: permission denied: check"):
        Home(tmp_path / "x").create()


@given(st.text())
def test_any_host_name_gives_an_id(host: str) -> None:
    """Whatever the host is called, its id is 1 to 63 of a-z, 0-9 and inner hyphens."""
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", id_from_host_name(host))
