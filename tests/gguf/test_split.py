"""Models in several files: any part leads to all of them, and contradictions are named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hgx.errors import ModelError
from hgx.gguf.split import read_parts
from tests.gguf.ggufs import Value, write_gguf

if TYPE_CHECKING:
    from pathlib import Path


def write_parts(folder: Path, n_part: int = 3, **changes: Value) -> list[Path]:
    """Write a split model of one tensor per part; changes apply to the second part."""
    paths: list[Path] = []
    for number in range(n_part):
        meta: dict[str, Value] = {"split.no": number, "split.count": n_part}
        if number == 0:
            meta["split.tensors.count"] = n_part
        if number == 1:
            meta |= {f"split.{key}": value for key, value in changes.items()}
        path = folder / f"model-{number + 1:05}-of-{n_part:05}.gguf"
        paths.append(write_gguf(path, meta, [(f"t{number}", (32,), "F32")]))
    return paths


@pytest.mark.parametrize("named", [0, 1, 2])
def test_any_part_leads_to_all(tmp_path: Path, named: int) -> None:
    """Whichever part is named, all come back in order."""
    paths = write_parts(tmp_path)
    assert [part.name for part in read_parts(paths[named])] == [str(path) for path in paths]


def test_a_whole_model_is_its_own_only_part(tmp_path: Path) -> None:
    """A file that says nothing of splitting is read alone."""
    path = write_gguf(tmp_path / "whole.gguf", {}, [])
    assert len(read_parts(path)) == 1


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    """The message has the name of the file to download."""
    paths = write_parts(tmp_path)
    paths[2].unlink()
    with pytest.raises(ModelError, match=r"model-00003-of-00003\.gguf is missing"):
        read_parts(paths[0])


def test_many_missing_parts_are_counted(tmp_path: Path) -> None:
    """A long list of missing parts is cut after three names."""
    first, *others = write_parts(tmp_path, 9)
    for path in others:
        path.unlink()
    with pytest.raises(ModelError, match=r"00004-of-00009\.gguf and 5 more is missing"):
        read_parts(first)


def test_a_renamed_part_cannot_find_the_others(tmp_path: Path) -> None:
    """A part whose name has no number in it says how parts must be named."""
    path = write_parts(tmp_path)[0].rename(tmp_path / "renamed.gguf")
    with pytest.raises(ModelError, match=r"NAME-00001-of-00003\.gguf"):
        read_parts(path)


def test_a_name_that_counts_otherwise_is_a_contradiction(tmp_path: Path) -> None:
    """The count in the name and the count in the file must agree."""
    path = write_parts(tmp_path)[0].rename(tmp_path / "model-00001-of-00004.gguf")
    with pytest.raises(ModelError, match="one of 3 files, against its name"):
        read_parts(path)


@pytest.mark.parametrize(("key", "value"), [("no", 2), ("count", 4)])
def test_a_part_out_of_place_is_named(tmp_path: Path, key: str, value: int) -> None:
    """A part of another number or count than its name says is a ModelError that names it."""
    paths = write_parts(tmp_path, **{key: value})
    with pytest.raises(ModelError, match=r"model-00002-of-00003\.gguf says it is part"):
        read_parts(paths[0])


def test_the_number_of_tensors_must_add_up(tmp_path: Path) -> None:
    """Parts of different models are found out by the number of tensors."""
    paths = write_parts(tmp_path)
    write_gguf(paths[2], {"split.no": 2, "split.count": 3}, [])
    with pytest.raises(ModelError, match="announces 3 tensors and its 3 files have 2"):
        read_parts(paths[0])


def test_a_tensor_may_not_occur_in_two_parts(tmp_path: Path) -> None:
    """The same tensor in two parts is a contradiction, named."""
    paths = write_parts(tmp_path)
    write_gguf(paths[2], {"split.no": 2, "split.count": 3}, [("t0", (32,), "F32")])
    with pytest.raises(ModelError, match="the tensor 't0' twice"):
        read_parts(paths[0])
