"""The registry on disk: what is accepted, what is refused and in which words."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from hgx.core.registry import Node, Registry
from hgx.errors import RegistryError, StorageError
from hgx.store import registry_file
from hgx.store.registry_faults import explain
from hgx.store.registry_file import load_registry, parse_registry, registry_text, update_registry

if TYPE_CHECKING:
    from pathlib import Path

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats(allow_nan=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
UNKNOWN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("xyz"), inner, max_size=3),
    max_leaves=6,
)


def document() -> dict[str, Any]:
    """Return a registry as someone would write it by hand: the required fields only."""
    return {
        "version": 1,
        "nodes": [{"id": "tower"}, {"id": "mac"}],
        "devices": [
            {
                "id": "tower/cuda:0",
                "node": "tower",
                "backend": "cuda",
                "memory_total_bytes": 8e9,
                "memory_bandwidth_bytes_per_s": 448e9,
                "compute_flops_per_s": 20000000000000,
            },
        ],
        "links": [{"from": "tower", "to": "mac", "rtt_s": 0.0005, "bandwidth_bytes_per_s": 125e6}],
    }


def refusal(value: object) -> str:
    """Return the one line in which a document is refused."""
    with pytest.raises(RegistryError) as caught:
        parse_registry(json.dumps(value).encode(), "r.json")
    assert "\n" not in caught.value.message
    return caught.value.message


def test_required_fields_are_enough(tmp_path: Path) -> None:
    """A file with only the required fields works, and whole numbers may be written as 8e9."""
    file = tmp_path / "r.json"
    file.write_text(json.dumps(document()), encoding="utf-8-sig")
    registry = load_registry(file)
    assert registry.devices[0].memory_total_bytes == 8_000_000_000
    assert registry.devices[0].usable_bytes == 8_000_000_000


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("memory_total_bytes", -1, "must be above 0, and is -1"),
        ("memory_total_bytes", 0, "must be above 0, and is 0"),
        ("memory_total_bytes", True, "must be a whole number, and is true"),
        ("memory_total_bytes", "8 GB", 'must be a whole number, and is "8 GB"'),
        ("memory_total_bytes", 1.5, "must be a whole number, and is 1.5"),
        ("memory_total_bytes", None, "must be a whole number, and is null"),
        ("memory_total_bytes", [1], "must be a whole number, and is a list"),
        ("memory_free_bytes", -1, "must be 0 or more, and is -1"),
        ("memory_bandwidth_bytes_per_s", 0, "must be above 0, and is 0"),
        ("memory_bandwidth_bytes_per_s", False, "must be a number, and is false"),
        ("compute_flops_per_s", {}, "must be a number, and is an object"),
        ("unified_memory", 1, "must be true or false, and is 1"),
        ("backend", "", 'must be text of 1 to 253 characters without spaces, and is ""'),
        ("backend", "a b", 'must be text of 1 to 253 characters without spaces, and is "a b"'),
        ("name", 7, "must be text, and is 7"),
        ("name", "n" * 100, None),
        ("backend", "n" * 300, "must be text of 1 to 253 characters without spaces, and is "),
    ],
)
def test_wrong_field(field: str, value: object, words: str | None) -> None:
    """A wrong value is named by file, path and device, in plain words, with what to do."""
    wrong = document()
    wrong["devices"][0][field] = value
    if words is None:
        parse_registry(json.dumps(wrong).encode(), "r.json")
        return
    message = refusal(wrong)
    assert message.startswith(f'r.json: devices[0].{field} (device "tower/cuda:0") {words}')
    assert message.endswith(": correct it")
    assert len(message) < 250


def test_missing_field() -> None:
    """A missing required field is named, whatever else is there."""
    wrong = document()
    del wrong["devices"][0]["memory_total_bytes"]
    assert refusal(wrong) == (
        'r.json: devices[0].memory_total_bytes (device "tower/cuda:0") is missing: add it'
    )


def test_fault_in_a_link() -> None:
    """A link is named by its two ends."""
    wrong = document()
    wrong["links"][0]["rtt_s"] = "fast"
    assert '(link "tower" to "mac") must be a number' in refusal(wrong)


def test_fault_of_another_kind() -> None:
    """A fault that this code has no words for is told in the validator's."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(UUID).validate_python("x")
    assert explain(caught.value, None).startswith("is wrong: input should be a valid uuid")


def test_several_faults_are_counted() -> None:
    """The first fault is described and the others are counted."""
    wrong = document()
    wrong["devices"][0] |= {"memory_total_bytes": 0, "compute_flops_per_s": 0}
    assert refusal(wrong).endswith(": correct it (and 1 more)")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "version is 2, but this hgx reads version 1: upgrade hgx"),
        ({"version": "1"}, 'version is "1", but this hgx reads version 1'),
        ({"devices": {}}, "devices must be a list, and is an object"),
        ({"devices": [1]}, "devices[0] must be an object, and is 1"),
        ({"nodes": [{"id": 5}], "devices": []}, "nodes[0].id must be text"),
        ({"nodes": None}, "nodes must be a list, and is null"),
        ({"nodes": [{"id": "a"}, {"id": "a"}]}, "node id 'a' is given more than once"),
        ({"nodes": []}, "device 'tower/cuda:0' is on node 'tower', which is not in nodes"),
        ({"nodes": [{"id": "tower"}]}, "names node 'mac', which is not in nodes"),
        ({"devices": document()["devices"] * 2}, "device id 'tower/cuda:0' is given more than"),
        ({"links": document()["links"] * 2}, "link 'tower to mac' is given more than once"),
    ],
)
def test_wrong_document(change: dict[str, object], words: str) -> None:
    """A document that contradicts itself or is of another shape is refused in plain words."""
    message = refusal(document() | change)
    assert message.startswith("r.json: ")
    assert words in message


@pytest.mark.parametrize("value", [[], "text", 1, None, True])
def test_top_level_is_no_object(value: object) -> None:
    """A document that is not an object is refused as such."""
    assert refusal(value).startswith("r.json: must be an object, and is ")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not valid JSON at line 1, column 1"),
        (b'{"version": 1,\n  "nodes": [}', "is not valid JSON at line 2, column 13"),
        (b'{"a": NaN}', "NaN is not a number that JSON has"),
        (b'{"a": -Infinity}', "-Infinity is not a number that JSON has"),
        (b'{"a": 1e999}', "1e999 is not a number that JSON has"),
        (b'{"a": ' + b"9" * 5000 + b"}", "a whole number of 5000 digits, 99999999"),
        (b'{"a": 1, "a": 2}', 'the field "a" is given twice in one object'),
        (b'{"name": "\xff"}', "is not UTF-8 text (at byte 10): save it as UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "is not UTF-8 text (at byte 0)"),
        (b'{"a": "\\ud800"}', "is not valid JSON"),
        (b'{"a": ' + b"[" * 100 + b"]" * 100 + b"}", "is nested more than 64 levels deep"),
        (b"[" * 10**6, "is nested more than 64 levels deep"),
        (b'{"a":' * 10**5, "is nested more than 64 levels deep"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_damaged_file(tmp_path: Path, content: bytes, words: str) -> None:
    """A file that is not proper JSON is refused in one line that says where and why."""
    file = tmp_path / "r.json"
    file.write_bytes(content)
    with pytest.raises(RegistryError) as caught:
        load_registry(file)
    assert words in caught.value.message
    assert caught.value.message.startswith(str(file))
    assert "\n" not in caught.value.message


def test_no_file(tmp_path: Path) -> None:
    """A missing file is refused, and the remedy is to discover."""
    with pytest.raises(RegistryError, match=r"r\.json does not exist: run `hgx discover`"):
        load_registry(tmp_path / "r.json")


def test_directory(tmp_path: Path) -> None:
    """A directory is refused, and the remedy is to give the file in it."""
    with pytest.raises(RegistryError, match="is a directory: give the registry file in it"):
        load_registry(tmp_path)


@pytest.mark.parametrize("name", ["\0", "n" * 5000])
def test_impossible_path(tmp_path: Path, name: str) -> None:
    """A path that no system can open is refused in one line."""
    with pytest.raises(RegistryError, match="could not be read"):
        load_registry(tmp_path / name)


def test_too_large(tmp_path: Path) -> None:
    """A file of more than 64 MiB is refused without being parsed."""
    file = tmp_path / "r.json"
    with file.open("wb") as stream:
        stream.truncate(registry_file.LARGEST_BYTES + 1)
    with pytest.raises(RegistryError, match="is larger than 64 MiB"):
        load_registry(file)


@given(JSON_VALUES)
def test_any_json_is_a_registry_or_refused(value: object) -> None:
    """Any JSON value at all gives a registry or a one-line refusal, nothing else."""
    _parse(json.dumps(value).encode())


@given(st.binary())
def test_any_bytes_are_a_registry_or_refused(data: bytes) -> None:
    """Any bytes at all give a registry or a one-line refusal, nothing else."""
    _parse(data)


@given(
    st.sampled_from(["version", "nodes", "devices", "links"]),
    JSON_VALUES,
    st.sampled_from([*document()["devices"][0], "evidence", "name", "temperature_c"]),
    JSON_VALUES,
)
def test_any_value_in_any_field(part: str, value: object, field: str, inner: object) -> None:
    """Any JSON value in any field gives a registry or a one-line refusal, nothing else."""
    _parse(json.dumps(document() | {part: value}).encode())
    wrong = document()
    wrong["devices"][0][field] = inner
    _parse(json.dumps(wrong).encode())


def _parse(data: bytes) -> None:
    try:
        registry = parse_registry(data, "r.json")
    except RegistryError as error:
        assert "\n" not in error.message
    else:
        assert parse_registry(registry_text(registry).encode(), "again") == registry


@given(UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN)
def test_unknown_fields_stay(top: object, node: object, device: object, link: object) -> None:
    """What was read is written again, fields of other versions included, at every level."""
    given_document: dict[str, Any] = document() | {"later": top}
    given_document["nodes"][0]["later"] = node
    given_document["devices"][0]["later"] = device
    given_document["devices"][0]["evidence"] = device
    given_document["links"][0]["later"] = link
    registry = parse_registry(json.dumps(given_document).encode(), "r.json")
    for ascii_only in (True, False):
        assert json.loads(registry_text(registry, ascii_only=ascii_only)) == given_document


def test_update_makes_the_file(tmp_path: Path) -> None:
    """An update of a file that does not exist begins with an empty registry."""
    file = tmp_path / "r.json"
    written = update_registry(file, lambda old: Registry(nodes=(*old.nodes, Node(id="büro"))))
    assert load_registry(file) == written
    assert "büro" in file.read_text(encoding="utf-8")


def test_update_refuses_a_damaged_file(tmp_path: Path) -> None:
    """An update never overwrites a file it cannot read."""
    file = tmp_path / "r.json"
    file.write_text("{")
    with pytest.raises(RegistryError):
        update_registry(file, lambda old: old)
    assert file.read_text() == "{"


def test_update_with_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full the registry stays as it was and no part of another remains."""
    file = tmp_path / "r.json"
    update_registry(file, lambda _: Registry(nodes=(Node(id="a"),)))
    before = file.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="no space left on device: free some space"):
        update_registry(file, lambda _: Registry())
    assert file.read_bytes() == before
    assert not list(tmp_path.glob("*.tmp")) + list(tmp_path.glob(".*.tmp"))


def test_lock_held_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that another holds too long is an error that says to wait."""
    file = tmp_path / "r.json"
    monkeypatch.setattr(registry_file, "LOCK_TIMEOUT_S", 0.05)
    with FileLock(f"{file}.lock"), pytest.raises(StorageError, match="by another hgx: wait"):
        update_registry(file, lambda old: old)


def test_update_without_directory(tmp_path: Path) -> None:
    """A directory that is not there is refused before anything is made."""
    with pytest.raises(StorageError, match="is not a directory: create it"):
        update_registry(tmp_path / "no" / "r.json", lambda old: old)


def test_lock_that_cannot_be_made(tmp_path: Path) -> None:
    """A lock file that cannot be opened is an error in one line."""
    (tmp_path / "r.json.lock").mkdir()
    with pytest.raises(StorageError, match="could not lock"):
        update_registry(tmp_path / "r.json", lambda old: old)
