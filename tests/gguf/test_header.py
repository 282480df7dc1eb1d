"""Reading headers: everything a good file says, and one clear error for everything else."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

import gguf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hgx.errors import ModelError
from hgx.gguf.cursor import HEADER_LIMIT, WINDOW, Cursor
from hgx.gguf.header import parse_header, read_header
from tests.gguf.ggufs import Tensor, Value, build, write_gguf

if TYPE_CHECKING:
    from pathlib import Path


class Memory(NamedTuple):
    """A byte source in memory that claims any size, as a sparse file does."""

    data: bytes
    size: int
    name: str = "memory"
    cure: str = "download it again"

    def read(self, offset: int, count: int, ahead: int = 0) -> bytes:
        """Give the bytes there are; see ``ByteSource``."""
        return self.data[offset : offset + count + ahead]


def source(data: bytes, *, size: int | None = None) -> Memory:
    """Wrap bytes as a source of a size of its own."""
    return Memory(data, len(data) if size is None else size)


META: Final[dict[str, Value]] = {
    "general.architecture": "llama",
    "a.flag": True,
    "a.whole": 7,
    "a.negative": -7,
    "a.large": 2**40,
    "a.real": 0.5,
    "a.list": [1, 2, 3],
    "tokenizer.ggml.tokens": ["a", "", "long" * 40],
    "tokenizer.chat_template": "{{ x }}" * 1000,
    "tokenizer.ggml.scores": [0.0] * 5000,
}
TENSORS: Final = [Tensor("token_embd.weight", (64, 3), "Q8_0"), Tensor("b", (5, 2, 2), "F16")]


def small() -> tuple[bytes, int]:
    """A header with one of everything, and its whole size."""
    header, data = build(META, TENSORS)
    return header, len(header) + data


def test_a_header_says_what_was_written() -> None:
    """Scalars and short arrays are kept, what is long or made of strings is only counted."""
    header, size = small()
    read = parse_header(source(header, size=size))
    short = {key: value for key, value in META.items() if not isinstance(value, list)}
    assert read.metadata == {
        **{key: value for key, value in short.items() if key != "tokenizer.chat_template"},
        "a.list": (1, 2, 3),
    }
    assert read.lengths == {
        "a.list": 3,
        "tokenizer.ggml.tokens": 3,
        "tokenizer.chat_template": 7000,
        "tokenizer.ggml.scores": 5000,
    }
    assert [(it.name, it.shape, it.type.name, it.offset, it.size) for it in read.tensors] == [
        ("token_embd.weight", (64, 3), "Q8_0", 0, 204),
        ("b", (5, 2, 2), "F16", 224, 40),
    ]
    assert (read.file_bytes, read.tensors[1].elements) == (size, 20)


def test_values_are_asked_for_by_type() -> None:
    """A key of another type than asked for counts as absent; presence is asked for separately."""
    read = parse_header(source(*small()[:1], size=small()[1]))
    assert (read.text("general.architecture"), read.text("a.whole")) == ("llama", None)
    assert (read.number("a.whole"), read.number("a.flag"), read.number("none")) == (7, None, None)
    assert (read.numbers("a.list"), read.numbers("a.whole")) == ((1, 2, 3), None)
    assert read.has("tokenizer.chat_template")
    assert not read.has("none")


def test_the_gguf_package_writes_what_we_read(tmp_path: Path) -> None:
    """A file of ggml's own writer is read alike, arrays of every width included."""
    path = tmp_path / "theirs.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_uint8("u8", 8)
    writer.add_int64("i64", -64)
    writer.add_float64("f64", 0.25)
    writer.add_token_list(["x"] * 70000)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    read = read_header(path)
    assert [read.metadata[key] for key in ("u8", "i64", "f64")] == [8, -64, 0.25]
    assert read.lengths["tokenizer.ggml.tokens"] == 70000


def test_version_2_is_read_alike() -> None:
    """Versions 2 and 3 have the same layout."""
    header, data = build(META, TENSORS, version=2)
    assert len(parse_header(source(header, size=len(header) + data)).tensors) == 2


names = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), min_size=1, max_size=40)
scalars = (
    st.booleans()
    | st.integers(-(2**31), 2**64 - 1)
    | st.floats(width=32, allow_nan=False)
    | st.text(max_size=50)
)
tables = st.lists(
    st.tuples(names, st.lists(st.integers(1, 9), min_size=1, max_size=4), st.just("F32")),
    max_size=5,
    unique_by=lambda row: row[0],
)


keys = names.filter(lambda key: key != "general.alignment")


@given(st.dictionaries(keys, scalars, max_size=8), tables)
def test_whatever_is_written_is_read(
    meta: dict[str, Value], rows: list[tuple[str, list[int], str]]
) -> None:
    """Reading gives back what was written, for any keys, scalars and tensors."""
    tensors = [Tensor(name, tuple(shape), kind) for name, shape, kind in rows]
    header, data = build(meta, tensors)
    read = parse_header(source(header, size=len(header) + data))
    assert read.metadata == meta
    assert [(it.name, it.shape) for it in read.tensors] == [(it.name, it.shape) for it in tensors]


def test_a_file_cut_at_any_byte_is_an_error() -> None:
    """However little of a download arrived, it is a ModelError of one line and nothing else."""
    header, size = small()
    whole = header.ljust(size, b"\0")
    for length in range(len(whole) - 24):  # what follows the last tensor is padding
        with pytest.raises(ModelError) as caught:
            parse_header(source(whole[:length]))
        assert "\n" not in caught.value.message


def test_a_cut_in_the_data_says_how_much_is_missing() -> None:
    """A complete header over incomplete data is a broken download, measured in bytes."""
    header, size = small()
    with pytest.raises(ModelError, match=r"the last 76 B \(76 bytes\) are missing; download"):
        parse_header(source(header, size=size - 100))


@settings(max_examples=400)
@given(st.data())
def test_damage_is_an_error_or_harmless(data: st.DataObject) -> None:
    """Overwritten bytes never raise anything but a ModelError, nor take unbounded time."""
    header, size = small()
    damaged = bytearray(header)
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        patch = data.draw(st.binary(min_size=1, max_size=8))
        damaged[at : at + len(patch)] = patch
    try:
        parse_header(source(bytes(damaged), size=size))
    except ModelError as error:
        assert "\n" not in error.message


def entry(key: bytes, kind: int, body: bytes) -> bytes:
    """A whole file of one metadata entry and no tensor."""
    name = struct.pack("<Q", len(key)) + key
    return (
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + name + struct.pack("<I", kind) + body + bytes(64)
    )


def table(*rows: bytes) -> bytes:
    """A whole file of no metadata and these rows of the tensor table."""
    return b"GGUF" + struct.pack("<IQQ", 3, len(rows), 0) + b"".join(rows) + bytes(256)


def row(name: bytes = b"t", dims: tuple[int, ...] = (32,), kind: int = 0, offset: int = 0) -> bytes:
    """One row of the tensor table, with anything in it."""
    shape = struct.pack(f"<I{len(dims)}Q", len(dims), *dims)
    return struct.pack("<Q", len(name)) + name + shape + struct.pack("<IQ", kind, offset)


HUGE: Final = 2**64 - 1
HOSTILE: Final[dict[str, tuple[bytes, str]]] = {
    "not GGUF": (b"PK\x03\x04" + bytes(20), r"not a GGUF file: it begins with b'PK"),
    "version 1": (b"GGUF" + struct.pack("<I", 1), "version 1, hgx reads 2 and 3: convert"),
    "version 4": (b"GGUF" + struct.pack("<I", 4), "version 4, hgx reads 2 and 3: update hgx"),
    "big endian": (b"GGUF" + struct.pack(">I", 3), "big-endian"),
    "tensor count": (b"GGUF" + struct.pack("<IQQ", 3, HUGE, 0), "tensors are announced"),
    "entry count": (b"GGUF" + struct.pack("<IQQ", 3, 0, HUGE), "entries are announced"),
    "empty key": (entry(b"", 0, b""), "a name of 0 bytes"),
    "long key": (entry(b"k" * 65536, 0, b"1"), "a name of 65536 bytes"),
    "string length": (entry(b"k", 8, struct.pack("<Q", HUGE)), "more bytes are announced"),
    "value type": (entry(b"k", 13, b"\0"), "unknown value type 13"),
    "array of arrays": (entry(b"k", 9, struct.pack("<IQ", 9, 1)), "array of arrays"),
    "array type": (entry(b"k", 9, struct.pack("<IQ", 99, 1)), "unknown value type 99"),
    "array length": (entry(b"k", 9, struct.pack("<IQ", 0, HUGE)), "more bytes are announced"),
    "array of strings": (entry(b"k", 9, struct.pack("<IQ", 8, HUGE)), "more bytes are announced"),
    "string within array": (
        entry(b"k", 9, struct.pack("<IQQ", 8, 2, HUGE)),
        "more bytes are announced",
    ),
    "alignment": (entry(b"general.alignment", 4, struct.pack("<I", 3)), "not a power of two"),
    "alignment zero": (entry(b"general.alignment", 4, bytes(4)), "not a power of two"),
    "alignment text": (
        entry(b"general.alignment", 8, struct.pack("<Q", 1) + b"8"),
        "not a power of two",
    ),
    "no dimensions": (table(row(dims=())), "has 0 dimensions"),
    "five dimensions": (table(row(dims=(1,) * 5)), "has 5 dimensions"),
    "zero dimension": (table(row(dims=(32, 0))), r"has the shape \(32, 0\)"),
    "overflowing dimensions": (table(row(dims=(2**32, 2**32))), "has the shape"),
    "tensor type": (table(row(kind=4)), "the unknown type 4 .* or update hgx"),
    "broken row": (table(row(dims=(33,), kind=8)), "rows of 33 elements, impossible in Q8_0"),
    "offset": (table(row(offset=HUGE)), f"begins at {HUGE}, not 0"),
    "twice": (table(row(), row(offset=128)), "the tensor 't' occurs twice"),
}


@pytest.mark.parametrize(("data", "message"), HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("size", [None, 2**50], ids=["as it is", "in a sparse file"])
def test_hostile_input_is_one_clear_error(data: bytes, message: str, size: int | None) -> None:
    """Each impossible header says what is wrong, also where the file claims to be enormous."""
    with pytest.raises(ModelError, match=message):
        parse_header(source(data, size=size))


def test_a_key_may_not_occur_twice() -> None:
    """A repeated key is damage, kept or not."""
    header, _ = build({"k": 1, "l": 2}, [])
    with pytest.raises(ModelError, match="the metadata key 'k' occurs twice"):
        parse_header(source(header.replace(b"l", b"k")))


def test_a_file_that_shrinks_while_it_is_read_is_an_error() -> None:
    """A size that the bytes do not bear out ends the reading, not the program."""
    with pytest.raises(ModelError, match="ends while it is being read"):
        parse_header(source(b"GGUF\3\0\0\0", size=100))


def test_strings_longer_than_the_window_are_walked_over() -> None:
    """A string may reach over several windows, and the next length lie across two of them."""
    strings = ["x" * (WINDOW - 12), "y" * (3 * WINDOW), "z"]
    header, _ = build({"k": strings, "after": 5}, [])
    read = parse_header(source(header))
    assert (read.lengths["k"], read.metadata["after"]) == (3, 5)


def test_a_header_of_absurd_length_is_given_up() -> None:
    """Beyond the limit nothing is believed, which bounds what a damaged file can cost."""
    cursor = Cursor(source(b"", size=2**60))
    cursor.skip(HEADER_LIMIT)
    with pytest.raises(ModelError, match="1 more bytes are announced"):
        cursor.skip(1)


def test_a_file_on_disk_is_read_from_its_path(tmp_path: Path) -> None:
    """The path is the name in messages, and sparse data is as good as any."""
    path = write_gguf(tmp_path / "m.gguf", META, TENSORS)
    assert read_header(str(path)).name == str(path)
