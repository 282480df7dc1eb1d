"""Files of benchmarks, matched and compared; bad files are one clear error."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from hgx.bench.events import Progress, Refused, Result, Started, Written
from hgx.core.registry import Device, Node, Registry
from hgx.errors import RegistryError
from hgx.flows import compare as flow
from hgx.flows.compare import compare_files, load_benchmarks
from hgx.store.registry_file import registry_text
from tests.bench.doubles import benchmark

if TYPE_CHECKING:
    from pathlib import Path

    from hgx.bench.events import Event
    from hgx.core.benchmark import Benchmark


def lines(path: Path, *events: Event) -> Path:
    """Save events as ``hgx bench --json`` prints them."""
    path.write_text("".join(f"{json.dumps(event.model_dump(mode='json'))}\n" for event in events))
    return path


def results(subject: str, *benchmarks: Benchmark) -> list[Event]:
    """Tell results of a device."""
    return [Result(subject=subject, benchmark=one) for one in benchmarks]


def registry(path: Path, node: str, *benchmarks: Benchmark) -> Path:
    """Save a registry of one measured device."""
    device = Device(
        id=f"{node}/cpu:0",
        node=node,
        backend="cpu",
        memory_total_bytes=1,
        memory_bandwidth_bytes_per_s=1.0,
        compute_flops_per_s=1.0,
        benchmarks={one.name: one for one in benchmarks},
    )
    path.write_text(registry_text(Registry(nodes=(Node(id=node),), devices=(device,))))
    return path


def test_a_registry_and_lines(tmp_path: Path) -> None:
    """A registry and saved lines are compared; the last result of a name counts."""
    first = registry(tmp_path / "a.json", "box", benchmark(), benchmark("host_to_device"))
    second = lines(
        tmp_path / "b.jsonl",
        Started(subject="box/cpu:0", names=("read",)),
        Progress(subject="box/cpu:0", name="read", done=0.5),
        *results("box/cpu:0", benchmark("read", (9.0,) * 5), benchmark("read", (2e9,) * 5)),
        Refused(subject="box/cpu:0", benchmark=benchmark("device_to_host", noisy=True)),
        Written(path="x"),
    )
    found = compare_files(first, second)
    (row,) = found.rows
    assert (row.subject, row.name, row.comparison.difference) == ("box/cpu:0", "read", "faster")
    assert row.comparison.ratio == pytest.approx(2)
    assert found.only_first == ("box/cpu:0 host_to_device",)
    assert found.only_second == ("box/cpu:0 device_to_host",)


def test_a_file_and_itself(tmp_path: Path) -> None:
    """A file compared with itself has no real difference anywhere."""
    file = registry(tmp_path / "a.json", "box", benchmark(), benchmark("matmul_float32"))
    found = compare_files(file, file)
    assert [row.comparison.difference for row in found.rows] == ["no real difference"] * 2
    assert found.only_first == found.only_second == ()


def test_two_machines(tmp_path: Path) -> None:
    """Where no subject is in both, devices are matched without their node, and disks too."""
    first = registry(tmp_path / "a.json", "box", benchmark())
    second = lines(
        tmp_path / "b.jsonl",
        *results("tower/cpu:0", benchmark("read", (1e8,) * 5)),
        *results("tower", benchmark("disk_read")),
        *results("tower>x", benchmark("rtt")),
    )
    found = compare_files(first, second)
    assert [(row.subject, row.comparison.difference) for row in found.rows] == [("cpu:0", "slower")]
    assert found.only_second == ("machine disk_read", "tower>x rtt")


def test_ambiguous_devices(tmp_path: Path) -> None:
    """Where two devices would be called the same without their nodes, they keep them."""
    first = registry(tmp_path / "a.json", "box", benchmark())
    second = lines(
        tmp_path / "b.jsonl", *results("x/cpu:0", benchmark()), *results("y/cpu:0", benchmark())
    )
    with pytest.raises(RegistryError, match="have no benchmark in common: run the same"):
        compare_files(first, second)


def test_other_units(tmp_path: Path) -> None:
    """Benchmarks of one name in different units are not compared."""
    other = benchmark().model_copy(update={"unit": "s"})
    first = registry(tmp_path / "a.json", "box", benchmark())
    with pytest.raises(RegistryError, match="no benchmark in common"):
        compare_files(first, registry(tmp_path / "b.json", "box", other))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not valid JSON"),
        (b"{}", "holds no benchmarks: run `hgx bench` first"),
        (b"hello", "is not valid JSON at line 1"),
        (b"\xff\xfe", "is not UTF-8"),
        (b'{"event": "started"}', "line 1 is not of `hgx bench --json`"),
        (b'{"event": "written", "path": "x"}\n\n{"ev', "line 3 is not of `hgx bench --json`"),
        (b'{"event": "written", "path": "x"}\n', "holds no benchmarks"),
    ],
)
def test_bad_files(tmp_path: Path, content: bytes, words: str) -> None:
    """A file that is neither kind, or empty, is one sentence with its path."""
    file = tmp_path / "bad.json"
    file.write_bytes(content)
    with pytest.raises(RegistryError) as caught:
        load_benchmarks(file)
    assert str(file) in caught.value.message
    assert words in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("name", ["missing.json", ".", "null\0.json"])
def test_unreadable_files(tmp_path: Path, name: str) -> None:
    """A path that cannot be read is one sentence."""
    with pytest.raises(RegistryError, match="could not be read"):
        load_benchmarks(tmp_path / name)


def test_huge_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is far too large is not read to its end."""
    monkeypatch.setattr(flow, "LARGEST_BYTES", 10)
    file = tmp_path / "a.json"
    file.write_bytes(b" " * 11)
    with pytest.raises(RegistryError, match="is larger than"):
        load_benchmarks(file)
