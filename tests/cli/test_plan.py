"""``hgx plan``: the table, the JSON, pins, and everything that can be wrong."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import pytest

from hgx.cli.main import run
from hgx.store.home import Home
from hgx.store.ledger import Ledger
from tests.gguf.ggufs import llama_like
from tests.net.web import Body, plain, ranged, web
from tests.planner.made import device
from tests.planner.requests import request

if TYPE_CHECKING:
    from pathlib import Path

    from hgx.engine.binaries import Toolkit

GIB = 1024**3

DEVICES = [
    {
        "id": "tower/cuda:0",
        "node": "tower",
        "backend": "cuda",
        "memory_total_bytes": 2 * GIB,
        "memory_bandwidth_bytes_per_s": 9e11,
        "compute_flops_per_s": 3e13,
    },
    {
        "id": "laptop/cpu:0",
        "node": "laptop",
        "backend": "cpu",
        "memory_total_bytes": 8 * GIB,
        "memory_bandwidth_bytes_per_s": 4e10,
        "compute_flops_per_s": 5e11,
    },
]
LINK = {"from": "tower", "to": "laptop", "rtt_s": 5e-4, "bandwidth_bytes_per_s": 1.2e8}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give every test a home of its own."""
    path = tmp_path / "home"
    monkeypatch.setenv("HGX_HOME", str(path))
    return path


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    """Write a registry by hand, with only the fields that are needed."""
    document = {
        "nodes": [{"id": "tower"}, {"id": "laptop"}],
        "devices": DEVICES,
        "links": [LINK],
    }
    path = tmp_path / "registry.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a model of 1.2 GiB that takes no disk."""
    path = tmp_path_factory.mktemp("models") / "small.gguf"
    return llama_like(path, n_block=16, n_embd=2048, n_head=32, n_ff=8192, n_vocab=32000)


def plan_json(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict[str, Any]:
    """Run ``hgx plan ... --json`` and return what it printed."""
    assert run(["plan", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_table(model: Path, registry: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A person sees blocks, memory, speed, proof, and what limits it."""
    assert run(["plan", str(model), "--devices", str(registry)]) == 0
    shown = capsys.readouterr().out
    for part in (
        "16 blocks",
        "tower/cuda:0",
        "0-15 + head",
        "WEIGHTS",
        "tower (host)",
        "tokens/s",
        "proven optimal",
        "limited by",
    ):
        assert part in shown


def test_json_has_the_documented_fields(
    model: Path, registry: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--json`` prints the plan document and nothing else."""
    plan = plan_json(capsys, model, "--devices", registry)
    assert set(plan) == {
        *("version", "model", "objective", "status", "predicted", "bound", "solver", "stages"),
        *("host", "scores", "why", "backend_sampling", "ctx", "burst", "cures"),
    }
    assert plan["status"] == "optimal"
    assert plan["bound"]["gap"] == 0
    assert plan["stages"][-1]["output_head"] is True
    memory = plan["stages"][0]["memory"]
    parts = memory["weights_bytes"] + memory["kv_bytes"] + memory["compute_bytes"]
    assert memory["total_bytes"] == parts <= memory["capacity_bytes"]


def test_what_was_served_corrects_it(
    model: Path, registry: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Requests in the home's ledger stretch the prediction, and the plan says so."""
    before = plan_json(capsys, model, "--devices", registry)
    card = device("tower/cuda:0", 2 * GIB, 9e11, 3e13)
    for _ in range(3):
        Ledger(Home(home)).add(request([(card, 0.01)], tpot_s=0.02))
    after = plan_json(capsys, model, "--devices", registry)
    assert after["predicted"]["tpot_s"] == pytest.approx(2 * before["predicted"]["tpot_s"], rel=0.1)
    assert any("corrected by 3 served requests: tower/cuda:0" in said for said in after["why"])


def test_a_model_at_an_address(
    model: Path, registry: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is planned as the file is, and the plan says where it was read from."""
    local = plan_json(capsys, model, "--devices", registry)
    with model.open("rb") as file:
        body = Body(file.read(1 << 20), model.stat().st_size)
    with web(ranged(body)) as site:
        remote = plan_json(capsys, site.url, "--devices", registry)
    assert remote["model"] == {**local["model"], "path": site.url}
    assert remote["stages"] == local["stages"]


def test_an_address_that_is_not_there(registry: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line that says what to do, and exit code 3, as of a file."""
    with web(plain(404)) as site:
        assert run(["plan", site.url, "--devices", str(registry)]) == 3
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert "does not exist (HTTP status 404): check the address" in shown.err


@pytest.mark.parametrize("command", [["plan", "--verify"], ["serve", "--prompt", "x"]])
def test_what_runs_a_model_needs_a_file(
    command: list[str],
    registry: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where llama.cpp reads the model itself, the message says how to get it."""
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    arguments = [*command, "hf://o/r/m.gguf", "--devices", str(registry)]
    assert run(arguments) == 3
    said = " ".join(capsys.readouterr().err.split())
    assert "needs the model as a file of this machine: download all its files" in said
    assert "`curl -LO https://huggingface.co/o/r/resolve/main/m.gguf`" in said


def test_output_file(
    model: Path, registry: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``-o`` writes the same document that ``--json`` prints, and still draws the table."""
    target = tmp_path / "plan.json"
    assert run(["plan", str(model), "--devices", str(registry), "-o", str(target)]) == 0
    shown = capsys.readouterr()
    assert "proven optimal" in shown.out
    assert str(target) in shown.err
    written = json.loads(target.read_text(encoding="utf-8"))
    printed = plan_json(capsys, model, "--devices", registry)
    for volatile in (written, printed):
        volatile["solver"].pop("elapsed_s")
    assert written == printed


def test_pins_are_predicted(
    model: Path, registry: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--pin`` takes the placement as given, and no pinned one beats the optimal plan."""
    best = plan_json(capsys, model, "--devices", registry)
    pinned = plan_json(
        capsys, model, "--devices", registry, "--pin", "tower/cuda:0=0-7", "--pin",
        "laptop/cpu:0=8-15",
    )  # fmt: skip
    stages = [(s["device"], s["first_block"], s["last_block"]) for s in pinned["stages"]]
    assert stages == [("tower/cuda:0", 0, 7), ("laptop/cpu:0", 8, 15)]
    assert pinned["solver"]["name"] == "pinned"
    assert pinned["predicted"]["tpot_s"] > best["predicted"]["tpot_s"]


def test_options_reach_the_planner(
    model: Path, registry: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Context, KV type, streams, objective, coordinator and solver change the plan as they say."""
    base = plan_json(capsys, model, "--devices", registry)
    longer = plan_json(capsys, model, "--devices", registry, "--ctx", "8192")
    kv = [plan["stages"][0]["memory"]["kv_bytes"] for plan in (base, longer)]
    assert kv[1] == 2 * kv[0]
    quantised = plan_json(capsys, model, "--devices", registry, "--kv-type", "q8_0")
    assert quantised["stages"][0]["memory"]["kv_bytes"] < kv[0]
    streams = plan_json(capsys, model, "--devices", registry, "--parallel", "2")
    assert streams["stages"][0]["memory"]["kv_bytes"] == 2 * kv[0]
    other = plan_json(capsys, model, "--devices", registry, "--coordinator", "laptop")
    assert other["host"]["node"] == "laptop"
    greedy = plan_json(capsys, model, "--devices", registry, "--solver", "greedy")
    assert greedy["solver"]["name"] == "greedy"
    wide = plan_json(capsys, model, "--devices", registry, "--objective", "throughput")
    assert wide["objective"] == "throughput"
    tight = plan_json(capsys, model, "--devices", registry, "--headroom", "0")
    capacity = [plan["stages"][0]["memory"]["capacity_bytes"] for plan in (base, tight)]
    assert capacity[1] - capacity[0] == GIB // 2


def test_makes_a_registry_where_there_is_none(
    model: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a registry, this machine's devices are found first and kept."""
    plan = plan_json(capsys, model)
    assert plan["stages"][0]["device"].endswith("/cpu:0")
    assert (home / "registry.json").exists()


def test_model_that_fits_nowhere(
    registry: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model that fits nowhere is one line: by how much, and what would make it fit."""
    big = llama_like(tmp_path / "big.gguf")
    assert run(["plan", str(big), "--devices", str(registry), "--json"]) == 5
    shown = capsys.readouterr()
    assert json.loads(shown.out)["status"] == "infeasible"
    assert shown.err.count("\n") == 1
    assert "more than 2 devices have together" in shown.err
    assert "it would fit with" in shown.err


def test_context_that_does_not_fit(
    model: Path, registry: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a shorter context would fit, the message names one that really does."""
    assert run(["plan", str(model), "--devices", str(registry), "--ctx", "1000000"]) == 5
    said = capsys.readouterr().err
    context = said.partition("--ctx ")[2].split(";")[0].strip()
    assert run(["plan", str(model), "--devices", str(registry), "--ctx", context]) == 0


@pytest.mark.parametrize(
    ("pins", "said"),
    [
        (["tower/cuda:0=0-7"], "ends with block 7"),
        (["tower/cuda:0=0-7", "laptop/cpu:0=9-15"], "block 8 is next"),
        (["tower/cuda:0=0-7", "tower/cuda:0=8-15"], "has two stages"),
        (["tower/rocm:0=0-15"], "is not in the registry"),
    ],
)
def test_pins_that_break_a_constraint(
    pins: list[str],
    said: str,
    model: Path,
    registry: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A pinned placement that is none exits as infeasible and says what is wrong with it."""
    arguments = [word for pin in pins for word in ("--pin", pin)]
    assert run(["plan", str(model), "--devices", str(registry), *arguments]) == 5
    assert said in capsys.readouterr().err


def absurd_header() -> bytes:
    """Announce more tensors than a file could ever hold."""
    return b"GGUF" + struct.pack("<IQQ", 3, 2**63, 2**63)


@pytest.mark.parametrize(
    "content",
    [b"", b"GGUF", b"PK\x03\x04 not a model", absurd_header(), b"GGUF" + bytes(40)],
    ids=["empty", "truncated", "another format", "absurd counts", "old version"],
)
def test_bad_models(
    content: bytes, registry: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is no model is one line that names it, and exits with 3."""
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    assert run(["plan", str(path), "--devices", str(registry)]) == 3
    shown = capsys.readouterr()
    assert shown.err.count("\n") == 1
    assert "bad.gguf" in shown.err
    assert not shown.out


def test_missing_models(registry: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is not there and a directory are said to be so, and exit with 3."""
    for path in (tmp_path / "absent.gguf", tmp_path):
        assert run(["plan", str(path), "--devices", str(registry)]) == 3
        assert str(path) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("{", "line 1"),
        ('{"devices": [{"id": "a"}]}', "devices[0].node"),
        ('{"nodes": [{"id": "a"}, {"id": "a"}]}', "more than once"),
        ('{"nodes": [], "devices": []}', "no nodes"),
    ],
)
def test_bad_registries(
    document: str, said: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A registry that contradicts itself is one line that says where, and exits with 4."""
    path = tmp_path / "bad.json"
    path.write_text(document, encoding="utf-8")
    assert run(["plan", str(model), "--devices", str(path)]) == 4
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.err.count("\n") == 1


def test_unwritable_output(
    model: Path, registry: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A plan that cannot be written says where, and exits with 8."""
    target = tmp_path / "absent" / "plan.json"
    assert run(["plan", str(model), "--devices", str(registry), "-o", str(target)]) == 8
    assert str(target) in capsys.readouterr().err


def test_unknown_coordinator(
    model: Path, registry: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A coordinator that is no node is named, with those there are."""
    arguments = ["--devices", str(registry), "--coordinator", "phone"]
    assert run(["plan", str(model), *arguments]) == 4
    assert "'phone' is not in the registry; there are: tower, laptop" in capsys.readouterr().err


PINS = ("--pin", "tower/cuda:0=0-7", "--pin", "laptop/cpu:0=8-15")


def test_verified(
    model: Path, registry: Path, llama_cpp: Toolkit, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--verify`` puts llama.cpp's figures under the plan's, and says what stood in for what."""
    engine = ["--engine-dir", str(llama_cpp.server.parent), "--coordinator", "tower"]
    assert run(["plan", str(model), "--devices", str(registry), *PINS, "--verify", *engine]) == 0
    shown = capsys.readouterr().out
    assert "predicted: first token" in shown
    rows = [" ".join(line.split()) for line in shown.partition("LAYERS")[2].splitlines()]
    assert rows[1].startswith("tower (host) planned embedding 35.2 MiB 0 B")
    assert rows[2].startswith("llama.cpp embedding 35 MiB 0 B")
    assert [row.partition(" head ")[0] for row in rows if "head" in row] == [
        "laptop/cpu:0 planned 8-15 +", "llama.cpp 8-15 +"
    ]  # fmt: skip
    assert "(--engine-dir) agrees with the plan" in shown
    assert "stand-ins answered for tower/cuda:0, laptop/cpu:0" in shown
    assert "warning" not in shown


def test_verified_as_json(
    model: Path,
    registry: Path,
    llama_cpp: Toolkit,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The document has one part more, also where it is written to a file."""
    monkeypatch.setenv("HGX_LLAMA_CPP", str(llama_cpp.server.parent))
    target = registry.with_name("plan.json")
    plan = plan_json(capsys, model, "--devices", registry, *PINS, "--verify", "-o", target)
    assert plan == json.loads(target.read_text(encoding="utf-8"))
    assert set(plan["verified"]) == {"build", "source", "devices", "warnings", "notes"}
    assert plan["verified"]["source"] == "HGX_LLAMA_CPP"
    devices = plan["verified"]["devices"]
    assert [row["device"] for row in devices] == [None, "tower/cuda:0", "laptop/cpu:0"]
    assert [row["llama_cpp"]["last_layer"] for row in devices] == [None, 7, 16]
    for row, stage in zip(devices[1:], plan["stages"], strict=True):
        assert row["planned"]["weights_bytes"] == stage["memory"]["weights_bytes"]
        assert row["capacity_bytes"] == stage["memory"]["capacity_bytes"]


def test_nothing_to_verify_with(
    model: Path, registry: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without llama.cpp's programs it says what to do, exits with 7 and prints no plan."""
    engine = ["--verify", "--engine-dir", str(tmp_path)]
    assert run(["plan", str(model), "--devices", str(registry), *engine]) == 7
    out, err = capsys.readouterr()
    assert not out
    assert f"no llama-server in {tmp_path}" in err


def test_nothing_to_verify(
    registry: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What fits nowhere is not asked about."""
    big = llama_like(tmp_path / "big.gguf")
    engine = ["--verify", "--engine-dir", str(tmp_path)]
    assert run(["plan", str(big), "--devices", str(registry), *engine]) == 5
    assert "more than 2 devices have together" in capsys.readouterr().err
