"""Files that are written, read again: by hgx, and by the usual library."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from gguf import GGUFReader

from hgx.gguf.header import read_header
from hgx.gguf.writer import Tensor, build_header, write_gguf

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

METADATA = {
    "general.architecture": "llama",
    "an.int": 7,
    "a.negative": -7,
    "a.large": 2**40,
    "a.float": 0.5,
    "a.flag": True,
    "some.words": ["one", "two"],
    "some.ints": [1, 2, 3],
    "some.large": [1, 2**40],
    "some.floats": [0.5, 1.5],
    "nothing": [],
}
TENSORS = [
    Tensor("a.weight", (32, 3), "Q8_0"),
    Tensor("b.weight", (5,), "F32"),
    Tensor("c.weight", (256, 2), "Q4_K"),
]


def fill(tensor: Tensor) -> Iterator[bytes]:
    """Give every tensor its first letter, in two pieces."""
    yield tensor.name[:1].encode()
    yield tensor.name[:1].encode() * (tensor.size - 1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with all of that."""
    path = tmp_path / "x.gguf"
    write_gguf(path, METADATA, TENSORS, fill)
    return path


def test_hgx_reads_it(file: Path) -> None:
    """The reader finds the same metadata and tensors; of words it counts how many."""
    header = read_header(file)
    words = {"some.words"}
    wanted = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in METADATA.items()
        if key not in words
    }
    assert header.metadata == wanted
    assert header.lengths["some.words"] == 2
    assert [(one.name, one.shape, one.type.name) for one in header.tensors] == TENSORS
    assert header.file_bytes == file.stat().st_size


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_usual_library_reads_it(file: Path) -> None:
    """It finds the same values, of the types that llama.cpp asks for, and each tensor's data."""
    reader = GGUFReader(file)
    for key, value in METADATA.items():
        if key != "nothing":
            assert reader.fields[key].contents() == value
    assert reader.fields["some.ints"].types[-1].name == "INT32"
    for wanted, found in zip(TENSORS, reader.tensors, strict=True):
        assert found.n_bytes == wanted.size
        assert set(np.asarray(found.data).tobytes()) == set(wanted.name[:1].encode())


def test_the_size_is_known_before(file: Path) -> None:
    """Header and data add up to the file."""
    header, data = build_header(METADATA, TENSORS)
    assert len(header) + data == file.stat().st_size
    assert build_header({}, [])[1] == 0


def test_impossible_rows() -> None:
    """A row that is no whole number of blocks is refused."""
    with pytest.raises(ValueError, match="Q4_K"):
        build_header({}, [Tensor("a", (100,), "Q4_K")])


def test_half_a_file_is_removed(tmp_path: Path) -> None:
    """What was written before a failure is gone."""
    path = tmp_path / "x.gguf"

    def fail(_: Tensor) -> Iterator[bytes]:
        yield b"x"
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        write_gguf(path, {}, TENSORS, fail)
    assert not path.exists()
