"""``hgx plan --explain`` and ``--plot``, as a person and as a program see them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from hgx.cli.main import run
from hgx.flows.model import read_model
from hgx.store.home import Home
from hgx.store.ledger import Ledger
from tests.gguf.ggufs import llama_like
from tests.net.web import Body, ranged, web
from tests.planner.made import device
from tests.planner.requests import request

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1024**3
MOST_HEADER = 4 * 1024**2
"""Bytes in which the header of the model is."""

RATES = {"memory_bandwidth_bytes_per_s": 4e10, "compute_flops_per_s": 5e11}
DEVICES = [
    {
        "id": "tower/cuda:0",
        "node": "tower",
        "backend": "cuda",
        "memory_total_bytes": GIB,
        "memory_bandwidth_bytes_per_s": 9e11,
        "compute_flops_per_s": 3e13,
    },
    {
        "id": "laptop/cpu:0",
        "node": "laptop",
        "backend": "cpu",
        "memory_total_bytes": 8 * GIB,
        **RATES,
    },
    {
        "id": "phone/cpu:0",
        "node": "phone",
        "backend": "cpu",
        "memory_total_bytes": 4 * GIB,
        **RATES,
    },
    {
        "id": "guest/cpu:0",
        "node": "guest",
        "backend": "cpu",
        "memory_total_bytes": 4 * GIB,
        **RATES,
    },
]
LINKS = [
    {"from": "tower", "to": node, "rtt_s": rtt, "bandwidth_bytes_per_s": 1.2e8}
    for node, rtt in (("laptop", 5e-4), ("phone", 5e-3))
]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give every test a home of its own, and no terminal."""
    path = tmp_path / "home"
    monkeypatch.setenv("HGX_HOME", str(path))
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    return path


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    """A tower whose card is too small, a laptop, a phone, and a machine that is not paired."""
    nodes = [{"id": name} for name in ("tower", "laptop", "phone")]
    document = {
        "nodes": [*nodes, {"id": "guest", "paired": False}],
        "devices": DEVICES,
        "links": LINKS,
    }
    path = tmp_path / "registry.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a model of 1.2 GiB that takes no disk."""
    path = tmp_path_factory.mktemp("models") / "small.gguf"
    return llama_like(path, n_block=16, n_embd=2048, n_head=32, n_ff=8192, n_vocab=32000)


def words(model: Path, registry: Path, *more: str | Path) -> list[str]:
    """The command line of a plan coordinated from the tower."""
    return [
        "plan",
        str(model),
        "--devices",
        str(registry),
        "--coordinator",
        "tower",
        *map(str, more),
    ]


def explanation(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> dict[str, Any]:
    """What ``--json`` has of it."""
    assert run([*arguments, "--explain", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_explained(model: Path, registry: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A person sees where time goes, what binds, what would help, and what it rests on."""
    assert run(words(model, registry, "--explain")) == 0
    shown = capsys.readouterr().out
    for part in (
        "proven optimal",
        "A TOKEN ON",
        "A TOKEN BETWEEN",
        "tower and laptop",
        "What binds, as shares of latency:",
        "reading memory on laptop/cpu:0",
        "the memory of tower/cuda:0",
        "What would make it faster:",
        "256 MiB more on tower/cuda:0: +",
        "twice the memory bandwidth of laptop/cpu:0: +",
        "- phone/cpu:0: with it, it would take ",
        "- guest/cpu:0: not paired with this machine",
        "in proportion to memory",
        "fastest filled first",
        "of unknown origin",
        "unknown: too few requests were served",
    ):
        assert part in shown


def test_as_json(
    model: Path, registry: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The document has one part more, whose sums are the plan's; a file has the same."""
    target = tmp_path / "plan.json"
    plan = explanation(capsys, words(model, registry, "-o", target))
    assert plan == json.loads(target.read_text(encoding="utf-8"))
    told = plan["explanation"]
    for cost, stage in zip(told["stages"], plan["stages"], strict=True):
        assert cost["device"] == stage["device"]
        parts = [*cost["token"]["work"].values(), *cost["token"]["wire"].values()]
        assert sum(parts) == pytest.approx(stage["seconds_per_token"])
    assert [one["node"] for one in told["links"]] == ["laptop"]
    assert {one["rule"] for one in told["splits"]} == {"memory", "speed", "fastest_first"}
    assert told["error"] == {"ttft_s": None, "tpot_s": None, "tokens_per_s": None}
    assert told["unasked"] == 0


def test_errors_come_from_the_ledger(
    model: Path, registry: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where all devices in use have served, the prediction has an error."""
    card, cpu = device("tower/cuda:0", GIB, 9e11, 3e13), device("laptop/cpu:0", 8 * GIB, 4e10, 5e11)
    for took in (0.04, 0.041, 0.042):
        used = [(card, 0.001), (cpu, 0.02)]
        Ledger(Home(home)).add(request(used, tpot_s=took, ttft_s=10 * took))
    arguments = words(model, registry, "--exclude", "phone")
    told = explanation(capsys, arguments)["explanation"]
    assert all(error > 0 for error in told["error"].values())
    assert [one["error"] > 0 for one in told["known"] if one["rank"] == "served"] == [True] * 4
    assert run([*arguments, "--explain"]) == 0
    shown = capsys.readouterr().out
    assert "±" in shown.partition("Standard errors")[2]
    assert "learnt from requests; from 3 served requests" in shown


def test_pinned(model: Path, registry: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A placement of one's own is explained too, and held against the planner's."""
    assert run(words(model, registry, "--explain", "--pin", "laptop/cpu:0=0-15")) == 0
    shown = capsys.readouterr().out
    assert "the planner's own" in shown
    assert "- tower/cuda:0: with it, it would take " in shown


def test_nothing_to_explain(
    registry: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What fits nowhere is said as ever, and nothing is drawn."""
    big = llama_like(tmp_path / "big.gguf")
    target = tmp_path / "plan.svg"
    tiny = json.loads(registry.read_text(encoding="utf-8"))
    for one in tiny["devices"]:
        one["memory_total_bytes"] = GIB
    registry.write_text(json.dumps(tiny), encoding="utf-8")
    assert run(words(big, registry, "--explain", "--plot", target)) == 5
    assert "more than 3 devices have together" in capsys.readouterr().err
    assert not target.exists()


def test_drawn(
    model: Path, registry: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--plot`` writes an SVG that names every device, and says where it is."""
    target = tmp_path / "plan.svg"
    assert run(words(model, registry, "--plot", target)) == 0
    shown = capsys.readouterr()
    assert "A TOKEN ON" not in shown.out
    assert f"Wrote {target}" in shown.err
    text = " ".join(ET.parse(target).getroot().itertext())  # noqa: S314 - our own file
    for name in ("tower/cuda:0", "laptop/cpu:0", "phone/cpu:0", "link tower to laptop"):
        assert name in text


def test_a_drawing_that_cannot_be_written(
    model: Path, registry: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says where, and exits with 8."""
    target = tmp_path / "absent" / "plan.svg"
    assert run(words(model, registry, "--plot", target)) == 8
    assert str(target) in capsys.readouterr().err


def test_other_hardware_is_explained(
    model: Path, registry: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With ``--what-if``, the plan for the changed hardware is the one that is explained."""
    plan = explanation(capsys, words(model, registry, "--what-if", "+rtx3060@tower"))
    assert plan["ratio"]["tokens_per_s"] > 1
    assert "tower/cuda:1" in [one["device"] for one in plan["explanation"]["stages"]]


def test_several_models_are_not_explained(
    model: Path, registry: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which of several is best is another question."""
    assert run(words(model, registry, "--fit", "10", "--explain")) == 2
    assert "--explain" in capsys.readouterr().err


def test_a_header_from_the_web_is_read_once(model: Path, registry: Path, tmp_path: Path) -> None:
    """Reasons and a drawing need no more of a model than the plan had already."""
    with model.open("rb") as file:
        body = Body(file.read(MOST_HEADER), read_model(model).file_bytes)
    drawing = tmp_path / "plan.svg"
    asked: list[int] = []
    for more in ([], ["--explain", "--plot", str(drawing)]):
        with web(ranged(body)) as site:
            assert run(["plan", site.url, "--devices", str(registry), *more]) == 0
        asked.append(len(site.asked))
    assert asked[0] == asked[1] > 0
    assert drawing.exists()
