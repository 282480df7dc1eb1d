"""``hgx thermal``: the live table, traces, fits, forecasts and simulations."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from hgx.cli.main import run
from hgx.core.reading import Reading
from hgx.core.registry import Device, Node, Registry
from hgx.errors import RegistryError, StorageError, Unavailable
from hgx.flows import thermal_forecast, watch
from hgx.flows.discover import Discovery
from hgx.flows.local import Local
from hgx.node import readings
from hgx.sensors.node import NodeReadings
from hgx.store.registry_file import load_registry, update_registry
from hgx.thermal.activity import Activity
from hgx.thermal.rc import Network, Stage, steady_rise, temperature_c
from hgx.thermal.rc import run as run_model
from hgx.thermal.trace import make_trace, parse_trace, trace_text
from tests.sensors.doubles import always

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CARD = Network((Stage(0.1, 10.0), Stage(0.1, 80.0)), 30.0)
IDLE_W, BUSY_W = 30.0, 250.0


def device(device_id: str, **facts: object) -> Device:
    """A device."""
    node, _, rest = device_id.partition("/")
    rates = {"memory_bandwidth_bytes_per_s": 1.0, "compute_flops_per_s": 1.0}
    fixed = {"id": device_id, "node": node, "backend": rest.partition(":")[0]}
    return Device.model_validate({"memory_total_bytes": 1000, **fixed, **rates, **facts})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a machine named box with a card, which has sensors, and a processor."""
    (tmp_path / "node.json").write_text('{"id": "box"}')
    card = device("box/cuda:0", name="Card", temperature_limit_c=83.0)
    devices = {one.id: one for one in (card, device("box/cpu:0", fallback=True))}
    registry = Registry(nodes=(Node(id="box"),), devices=tuple(devices.values()))
    update_registry(tmp_path / "registry.json", lambda _: registry)
    local = Local(Node(id="box"), devices, {}, (), (), frozenset())
    monkeypatch.setattr(watch, "discover", always(Discovery(registry, tmp_path, local)))
    reading = Reading(
        temperature_c=52.0, slowdown_c=85.0, shutdown_c=95.0, power_w=110.0, throttles=()
    )
    monkeypatch.setattr(readings, "samplers", always({"nvml": lambda: {"cuda:0": reading}}))
    monkeypatch.setattr(readings, "battery_sampler", always(lambda: None))
    node = NodeReadings({"cuda:0": reading}, None, ())
    monkeypatch.setattr(thermal_forecast, "read_node", always(node))
    return tmp_path


def thermal(home: Path, *words: str) -> int:
    """Run ``hgx thermal``."""
    return run(["--home", str(home), "thermal", *words])


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """A trace of a card that was idle, worked, and was idle again, twice."""
    time_s = np.arange(0.0, 600.0)
    busy = (time_s % 300 > 60) & (time_s % 300 < 200)
    power_w = np.where(busy, BUSY_W, IDLE_W)
    states = run_model(CARD, steady_rise(CARD, IDLE_W), time_s, power_w)
    activities = tuple(Activity("decode" if one else "idle") for one in busy)
    made = make_trace(time_s, np.round(temperature_c(CARD, states)), power_w, activities=activities)
    path = tmp_path / "trace.csv"
    path.write_text(trace_text(made))
    return path


@pytest.fixture
def fitted(home: Path, trace: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The home of a machine whose card was fitted."""
    assert thermal(home, "fit", str(trace)) == 0
    capsys.readouterr()
    return home


def texts(path: Path) -> list[str]:
    """All texts of a drawing."""
    drawing = ET.fromstring(path.read_text())  # noqa: S314 - hgx has just written it
    return [element.text or "" for element in drawing.iter() if "text" in element.tag]


def test_live_table(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each look has temperature, thresholds, power and throttles; unknown is a hyphen, and said."""
    assert thermal(home, "--count", "2", "--interval", "0.1") == 0
    out = capsys.readouterr().out
    assert out.count("TIME TO LIMIT") == 2
    card = next(line for line in reversed(out.splitlines()) if "cuda" in line)
    for words in ("52 °C", "83 °C", "95 °C", "110.0 W", "no", "not fitted: hgx thermal record"):
        assert words in card
    cpu = next(line for line in reversed(out.splitlines()) if "cpu" in line)
    assert cpu.split() == ["box/cpu:0", *"------", "temperature", "unknown"]


def test_live_json(fitted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json each look is a line; a device that was fitted says when it reaches its limit."""
    assert thermal(fitted, "--count", "2", "--interval", "0.1", "--json") == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    card = second["devices"][0]
    assert (card["id"], card["limit_c"], card["notes"]) == ("box/cuda:0", 83.0, [])
    assert card["to_limit"] == {"soonest_s": None, "expected_s": None, "latest_s": None}
    assert first["devices"][1]["to_limit"] is None


def test_recording(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A trace is CSV with units in its heading, which the fit can read."""
    path = tmp_path / "new.csv"
    words = ["--interval", "0.1", "--duration", "0.3", "--activity", "decode:Q4_K:8"]
    assert thermal(home, "record", str(path), *words) == 0
    assert f"4 readings are in {path}" in capsys.readouterr().err
    text = path.read_text()
    assert text.startswith("time_s,temperature_c,power_w,activity,precision,batch\n")
    found = parse_trace(text, "it")
    assert set(found.temperature_c) == {52.0}
    assert found.activities[0] == Activity("decode", "Q4_K", 8)
    assert list(found.time_s) == pytest.approx([0.0, 0.1, 0.2, 0.3], abs=0.09)
    assert thermal(home, "record", str(path), *words, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"path": str(path), "readings": 4}


def test_an_interrupt_keeps_what_there_is(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl+C ends a recording, and the trace is written."""

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hgx.flows.thermal_record.time.sleep", interrupted)
    path = tmp_path / "new.csv"
    assert thermal(home, "record", str(path), "--quiet") == 0
    assert len(path.read_text().splitlines()) == 2


def test_nothing_to_record(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A device without a temperature is refused after a few readings, and no file is written."""
    path = tmp_path / "new.csv"
    words = ["--device", "cpu:0", "--interval", "0.1"]
    assert thermal(home, "record", str(path), *words) == Unavailable.exit_code
    assert "no temperature of box/cpu:0 can be read" in capsys.readouterr().err
    assert not path.exists()


def test_fitting(
    home: Path, trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was learnt is shown, drawn, and in the registry with where it comes from."""
    plot = tmp_path / "fit.svg"
    assert thermal(home, "fit", str(trace), "--device", "box/cuda:0", "--plot", str(plot)) == 0
    out = capsys.readouterr().out
    for words in ("box/cuda:0: 600 readings in trace.csv", "stage 2", "decode: 250.0 W", "idle"):
        assert words in out
    known = {one.id: one.thermal for one in load_registry(home / "registry.json").devices}
    found = known["box/cuda:0"]
    assert found is not None
    assert sum(one.resistance_k_per_w for one in found.stages) == pytest.approx(0.2, rel=0.1)
    assert found.fitted_at is not None
    assert known["box/cpu:0"] is None
    assert {"sensor", "model", "drawn"} <= set(texts(plot))
    assert thermal(home, "fit", str(trace), "--json") == 0
    assert json.loads(capsys.readouterr().out)["thermal"]["source"] == "600 readings in trace.csv"


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        (b"time_s,power_w\n0,1\n", (StorageError.exit_code, "no column temperature_c")),
        (b"time_s,temperature_c,power_w\n0,50,100\n", (Unavailable.exit_code, "too short")),
        (None, (StorageError.exit_code, "none.csv")),
        (b"\xff\xfe\x00", (StorageError.exit_code, "not UTF-8")),
    ],
)
def test_traces_that_give_nothing(
    home: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text: bytes | None,
    refused: tuple[int, str],
) -> None:
    """What is no trace, or tells too little, is refused in one line, and the registry stays."""
    code, words = refused
    path = tmp_path / "none.csv"
    if text is not None:
        path.write_bytes(text)
    before = (home / "registry.json").read_bytes()
    assert thermal(home, "fit", str(path)) == code
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1
    assert (home / "registry.json").read_bytes() == before


def test_traces_of_one_activity(
    fitted: Path, trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A device that was fitted learns from them what it draws; another fit keeps that."""
    time_s = np.arange(0.0, 90.0)
    steady = make_trace(
        time_s,
        np.full(90, np.nan),
        np.full(90, 300.0),
        activities=(Activity("prefill", "Q4_K"),) * 90,
    )
    prefill = tmp_path / "prefill.csv"
    prefill.write_text(trace_text(steady))
    before = load_registry(fitted / "registry.json").devices[0].thermal
    assert before is not None
    plot = tmp_path / "prefill.svg"
    assert thermal(fitted, "fit", str(prefill), "--plot", str(plot), "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert "gives no model of box/cuda:0: " in said["note"]
    assert said["note"].endswith("only what it draws was learnt")
    assert "Power, W" in texts(plot)
    learnt = load_registry(fitted / "registry.json").devices[0].thermal
    assert learnt is not None
    assert (learnt.stages, learnt.highest_power_w) == (before.stages, 300.0)
    assert thermal(fitted, "fit", str(prefill)) == 0
    shown = capsys.readouterr()
    assert "prefill Q4_K: 300.0 W" in shown.out
    assert "only what it draws was learnt" in shown.err
    assert thermal(fitted, "fit", str(trace)) == 0
    again = load_registry(fitted / "registry.json").devices[0].thermal
    assert again is not None
    assert {one.kind for one in again.powers} == {"idle", "decode", "prefill"}
    assert thermal(fitted, "fit", str(prefill), "--device", "cpu:0") == 7
    assert "gives no model of box/cpu:0" in capsys.readouterr().err


def test_forecast(fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A forecast has temperatures with intervals, the limit, what is kept up, and a drawing."""
    plot = tmp_path / "heat.svg"
    assert thermal(fitted, "forecast", "--activity", "decode", "--plot", str(plot)) == 0
    out = capsys.readouterr().out
    for words in ("decode at 250.0 W, from 52 °C", "in    10 s", "in  10 min", "85 °C, the limit"):
        assert words in out
    assert "can be kept up for ever: 100%" in out
    assert {"expected", "limit", "95% interval"} <= set(texts(plot))
    words = ["--limit", "70", "--temperature", "40", "--duration", "120", "--json"]
    assert thermal(fitted, "forecast", "--activity", "prefill", *words) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["begins_c"], found["limit_c"], found["power_w"]) == (40.0, 70.0, BUSY_W)
    assert found["to_limit"]["soonest_s"] <= found["to_limit"]["expected_s"] < 120
    assert 0.7 < found["sustained"]["duty"] < 0.9
    assert found["forecast"]["ahead_s"][-1] == 120.0
    assert "never measured" in found["doubts"][0]


def test_simulation_of_a_fitted_device(
    fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The policy keeps the limit on the device as it was fitted; its actions carry reasons."""
    plot = tmp_path / "run.svg"
    words = ["--limit", "70", "--duration", "900", "--plot", str(plot)]
    assert thermal(fitted, "simulate", *words, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["device"], found["policy"], found["kept"]) == ("box/cuda:0", "hgx", True)
    assert 0.95 * found["best"] <= found["done"] <= found["best"]
    action = found["actions"][0]
    assert action["reason"].startswith("it would reach")
    assert action["forecast"]["after_c"] < 70 < action["forecast"]["before_c"]
    assert {"device", "limit", "done"} <= set(texts(plot))
    assert thermal(fitted, "simulate", *words) == 0
    out, err = capsys.readouterr()
    assert "the limit of 70.0 °C was kept" in out
    assert "it would reach" in err


def test_simulation_without_a_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A device that was made up needs no registry, and gets too hot without a policy."""
    words = ["simulate", "--twin", "phone", "--policy", "none", "--duration", "600", "--quiet"]
    assert thermal(tmp_path, *words) == 0
    out, err = capsys.readouterr()
    assert "the limit of 44.0 °C was exceeded" in out
    assert err == ""
    assert thermal(tmp_path, *words, "--limit", "99", "--json") == 0
    assert json.loads(capsys.readouterr().out)["kept"] is True


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["forecast"], Unavailable.exit_code, "hgx thermal fit TRACE"),
        (["simulate"], Unavailable.exit_code, "hgx thermal fit TRACE"),
        (["forecast", "--device", "tpu:0"], RegistryError.exit_code, "choose from cuda:0, cpu:0"),
        (["forecast", "--activity", "sleep"], 2, "is not an activity"),
        (["simulate", "--twin", "phone", "--device", "cuda:0"], 2, "choose one"),
    ],
)
def test_what_cannot_be_answered(
    home: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    """What was not fitted, is not there or is no activity ends with what to do."""
    assert thermal(home, *words) == code
    assert said in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_which_device(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a name it is the only card; of several one has to be named, and none is none."""

    def change(more: tuple[Device, ...]) -> Callable[[Registry], Registry]:
        return lambda old: Registry.model_validate(
            dict(old) | {"devices": (*old.devices[:0], *more)}
        )

    path = home / "registry.json"
    update_registry(path, change((device("box/cuda:0"), device("box/cuda:1"))))
    assert thermal(home, "forecast") == RegistryError.exit_code
    assert "choose with --device from cuda:0, cuda:1" in capsys.readouterr().err
    update_registry(path, change(()))
    assert thermal(home, "forecast") == RegistryError.exit_code
    assert "run `hgx discover`" in capsys.readouterr().err


def test_no_limit_is_known(fitted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing says where a device slows down a simulation asks for a limit."""

    def change(old: Registry) -> Registry:
        fields = [one.model_dump(exclude={"temperature_limit_c"}) for one in old.devices]
        return Registry.model_validate(
            dict(old) | {"devices": tuple(map(Device.model_validate, fields))}
        )

    update_registry(fitted / "registry.json", change)
    assert thermal(fitted, "simulate") == Unavailable.exit_code
    assert "give a limit with --limit" in capsys.readouterr().err


def test_places_that_cannot_be_written(
    home: Path, trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A trace or a drawing that cannot be written is an error with the reason."""
    nowhere = tmp_path / "none" / "x"
    words = ["--interval", "0.1", "--duration", "0.1"]
    assert thermal(home, "record", str(nowhere), *words) == StorageError.exit_code
    assert thermal(home, "fit", str(trace), "--plot", str(nowhere)) == StorageError.exit_code
    assert capsys.readouterr().err.count("could not write") == 2


def test_help_opens_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    """The help shows what to type before it lists options."""
    for words in ([], ["record"], ["fit"], ["forecast"], ["simulate"]):
        assert run(["thermal", *words, "--help"]) == 0
        out = capsys.readouterr().out
        assert out.index("hgx thermal") < out.index("Options:")
