"""Recorded machines and the readings that they must give; see recordings/README.md."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hgx.core.reading import Battery, Reading
from hgx.sensors import cpu
from hgx.sensors.amdgpu import amd_cards
from hgx.sensors.battery import power_source
from hgx.sensors.memory import find_memory
from hgx.sensors.node import battery_sampler, read_node, samplers
from hgx.sensors.recording import Recorder, Replay
from hgx.sensors.scrub import Scrubber
from tests.sensors.doubles import Told

RECORDINGS = Path(__file__).parent / "recordings"
NAMES = sorted(path.parent.name for path in RECORDINGS.glob("*/recording.json"))
RATES = {"utilisation", "power_w", "power_kind"}


def expected(name: str) -> dict[str, Any]:
    """Load what a recorded machine must give."""
    return json.loads((RECORDINGS / f"{name}.expected.json").read_text())


def expected_reading(fields: dict[str, Any]) -> Reading:
    """Make a reading of the fields that are named."""
    return Reading.model_validate_json(json.dumps(fields))


def told(name: str) -> Told:
    """Load a recorded machine so that what it says can be changed."""
    directory = RECORDINGS / name
    document = json.loads((directory / "recording.json").read_text())
    root = directory / "files"
    files = {
        unquote(path.relative_to(root).as_posix()): path.read_text()
        for path in root.rglob("*")
        if path.is_file()
    }
    source = Told(files, answers=document["answers"], system=document["system"])
    source.commands = {
        " ".join(shlex.split(line)): output for line, output in document["commands"].items()
    }
    return source


def test_all_kinds_of_machines_are_there() -> None:
    """Every system is recorded, and every recording has its expectation."""
    assert len(NAMES) == 7
    assert {Replay(RECORDINGS / name).system for name in NAMES} == {
        *("Linux", "Android", "Darwin", "Windows")
    }
    assert sorted(path.name for path in RECORDINGS.glob("*.expected.json")) == [
        f"{name}.expected.json" for name in NAMES
    ]


@pytest.mark.parametrize("name", NAMES)
def test_readings(name: str) -> None:
    """A recorded machine gives exactly the readings that are expected of it."""
    found, wanted = read_node(Replay(RECORDINGS / name)), expected(name)
    assert found.devices == {
        device: expected_reading(fields) for device, fields in wanted["devices"].items()
    }
    assert found.battery == (wanted["battery"] and Battery(**wanted["battery"]))
    assert power_source(found.battery, Replay(RECORDINGS / name)) == wanted["power_source"]
    assert [reason.reason for reason in found.missing] == wanted["missing"]


@pytest.mark.parametrize("name", NAMES)
def test_descriptions(name: str) -> None:
    """A recorded machine tells what it has, for discovery."""
    source, wanted = Replay(RECORDINGS / name), expected(name)
    assert cpu.cpu_name(source) == wanted["cpu_name"]
    assert cpu.usable_cores(source) == wanted["cores"]
    assert cpu.last_level_cache_bytes(source) == wanted["cache_bytes"]
    assert [card.name for card in amd_cards(source)] == wanted["amd_names"]


@pytest.mark.parametrize("name", NAMES)
def test_samplers(name: str) -> None:
    """Samplers give the same, each time, but for what needs counters that move."""
    source, wanted = Replay(RECORDINGS / name), expected(name)
    sample = samplers(source)
    for _ in range(2):
        found = {device: each for sampler in sample.values() for device, each in sampler().items()}
        assert found.keys() == wanted["devices"].keys()
        still = wanted["devices"]["cpu:0"].keys() - RATES
        cpu_fields = {field: wanted["devices"]["cpu:0"][field] for field in still}
        throttles = found["cpu:0"].throttles
        assert found["cpu:0"] == expected_reading(cpu_fields).model_copy(
            update={"throttles": throttles}
        )
        assert set(throttles or ()) == set(wanted["devices"]["cpu:0"].get("throttles") or ())
        for device in found.keys() - {"cpu:0"}:
            assert found[device] == expected_reading(wanted["devices"][device])
    battery = battery_sampler(source)
    assert battery() == battery() == (wanted["battery"] and Battery(**wanted["battery"]))


@pytest.mark.parametrize("name", NAMES)
def test_recorded_again(name: str, tmp_path: Path) -> None:
    """A recording of a recording is the same recording."""
    recorder = Recorder(told(name))
    read_node(recorder)
    cpu.cpu_name(recorder)
    cpu.usable_cores(recorder)
    cpu.last_level_cache_bytes(recorder)
    amd_cards(recorder)
    recorder.save(tmp_path / "again", scrubber=Scrubber())
    before, after = RECORDINGS / name, tmp_path / "again"
    one, other = (
        {
            path.relative_to(root).as_posix(): path.read_bytes()
            for path in root.rglob("*")
            if path.is_file()
        }
        for root in (before, after)
    )
    documents = [json.loads(files.pop("recording.json")) for files in (one, other)]
    del documents[0]["recorded_at"]
    assert documents[0] == documents[1]
    # What is written now may be what has been written by hand, byte for byte.
    assert {path: one[path] for path in other} == other


GARBAGE = (
    st.text(max_size=12)
    | st.binary(max_size=12).map(lambda found: found.decode(errors="replace"))
    | st.integers(-(2**70), 2**70).map(str)
    | st.floats().map(str)
    | st.sampled_from(
        ["", "-1\n", "127500\n", "-274000\n", "0\n", "max 100000", "[" * 50_000, "::::"]
    )
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
@given(st.sampled_from(NAMES), st.data())
def test_whatever_sensors_say(name: str, data: st.DataObject) -> None:
    """Whatever files, commands and libraries say, nothing fails and readings stay in range."""
    source = told(name)
    kinds: list[tuple[dict[str, Any], st.SearchStrategy[Any]]] = [
        (source.files, GARBAGE),
        (source.commands, GARBAGE),
        (source.answers, JSON),
    ]
    for kind, garbage in kinds:
        names = sorted(kind)
        if names:
            kind.update(data.draw(st.dictionaries(st.sampled_from(names), garbage, max_size=6)))
            for gone in data.draw(st.sets(st.sampled_from(names), max_size=3)):
                kind.pop(gone, None)
    found = read_node(source)
    cpu.cpu_name(source)
    assert cpu.usable_cores(source) >= 1
    cpu.last_level_cache_bytes(source)
    amd_cards(source)
    sample = samplers(source)
    source.files = dict.fromkeys(source.files, data.draw(GARBAGE))
    devices = [*found.devices.values()]
    devices += (reading for sampler in sample.values() for reading in sampler().values())
    for reading in devices:
        assert reading == Reading.model_validate_json(reading.model_dump_json())
        assert reading.temperature_c is None or -40 <= reading.temperature_c <= 126
    memory = find_memory(None, source)
    assert memory is None or memory.total_bytes >= memory.free_bytes >= 0
