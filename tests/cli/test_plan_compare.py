"""``hgx plan --what-if``, ``--diff`` and ``--emit``: what people and scripts see."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from hgx.cli.main import run
from hgx.cli.plan_compare import complete_change
from tests.cli.test_plan import DEVICES, LINK, plan_json
from tests.gguf.ggufs import llama_like

if TYPE_CHECKING:
    from pathlib import Path

    from hgx.engine.binaries import Toolkit


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give every test a home of its own, and no terminal."""
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "home"
    monkeypatch.setenv("HGX_HOME", str(path))
    return path


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    """A tower with a card that is too small, and a laptop."""
    tower, laptop = DEVICES
    small = {**tower, "memory_total_bytes": 9 << 27}
    document = {
        "nodes": [{"id": "tower"}, {"id": "laptop"}],
        "devices": [small, laptop],
        "links": [LINK],
    }
    path = tmp_path / "registry.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a model of 613 MiB that takes no disk."""
    path = tmp_path_factory.mktemp("models") / "small.gguf"
    return llama_like(path, n_block=16, n_embd=2048, n_head=32, n_ff=8192, n_vocab=32000)


@pytest.fixture
def asked(model: Path, registry: Path) -> list[str | Path]:
    """The arguments that all have in common."""
    return [model, "--devices", registry, "--coordinator", "tower"]


def shown(capsys: pytest.CaptureFixture[str], *arguments: str | Path, status: int = 0) -> str:
    """Run ``hgx plan`` and return what a person sees, single blanks between words."""
    assert run(["plan", *map(str, arguments)]) == status
    out, err = capsys.readouterr()
    return "\n".join(" ".join(line.split()) for line in (err if status else out).splitlines())


def test_what_if(asked: list[str | Path], capsys: pytest.CaptureFixture[str]) -> None:
    """The changed plan, and under it both side by side with their ratios."""
    text = shown(capsys, *asked, "--what-if", "+rtx3060@tower", "--what-if", "-laptop")
    above, _, below = text.partition("what if +rtx3060@tower, -laptop\n")
    assert "tower/cuda:1" in above
    assert "vendor's figures" in above
    heading, speed, *rows = below.splitlines()
    assert heading == "PRESENT CHANGED RATIO"
    assert speed.startswith("speed ")
    assert speed.count("tokens/s") == 2
    assert float(speed.rpartition(" ")[2]) > 1
    assert [row.partition(" ")[0] for row in rows[:2]] == ["first", "per"]
    assert rows[2] == "proof optimal optimal"
    assert any(row.startswith("tower/cuda:1 - ") for row in rows)
    assert any(row.startswith("laptop/cpu:0 ") and row.endswith(" -") for row in rows)


def test_what_if_as_json(asked: list[str | Path], capsys: pytest.CaptureFixture[str]) -> None:
    """The document is the changed plan, with the present one's figures beside it."""
    present = plan_json(capsys, *asked)
    plan = plan_json(capsys, *asked, "--what-if", "link:tower-laptop=10gbps,0.1ms")
    assert plan["changes"] == ["link:tower-laptop=10gbps,0.1ms"]
    assert plan["baseline"]["predicted"] == present["predicted"]
    assert list(plan["baseline"]["stages"]) == [one["device"] for one in present["stages"]]
    assert plan["baseline"]["coordinator"] == "tower"
    ratio = plan["predicted"]["tpot_s"] / present["predicted"]["tpot_s"]
    assert plan["ratio"]["tpot"] == ratio < 1


def test_what_if_without(asked: list[str | Path], capsys: pytest.CaptureFixture[str]) -> None:
    """Without what it takes, the model does not fit, and beside it stands that it did."""
    assert run(["plan", *map(str, asked), "--what-if", "-laptop/cpu:0"]) == 5
    out, err = capsys.readouterr()
    assert "does not fit" in out
    assert "hgx: error: " in err
    assert json_of(capsys, 5, *asked, "--what-if", "-laptop/cpu:0")["status"] == "infeasible"


def json_of(
    capsys: pytest.CaptureFixture[str], status: int, *arguments: str | Path
) -> dict[str, Any]:
    """Run ``hgx plan ... --json`` to some status and return what it printed."""
    assert run(["plan", *map(str, arguments), "--json"]) == status
    return json.loads(capsys.readouterr().out)


def test_what_if_lists_the_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    """The list needs no model; each device has figures and their source."""
    text = shown(capsys, "--what-if", "list")
    heading, *rows = text.splitlines()
    assert heading == "NAME PRODUCT MEMORY READS FP16 SOURCE"
    assert any(
        row.startswith("rtx3060 NVIDIA GeForce RTX 3060 12 GiB 360 GB/s 25.5 TFLOP/s NVIDIA Ampere")
        for row in rows
    )
    assert any("TFLOP/s assumed Apple" in row for row in rows)


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ("rtx3060", 2, "is no change of hardware"),
        ("+rtx3061", 2, "did you mean rtx3060"),
        ("+rtx3060@towr", 4, "no node 'towr': did you mean tower?"),
        ("-lap", 4, "no node or device 'lap': did you mean laptop?"),
        ("link:tower-lap=1gbps", 4, "did you mean laptop?"),
    ],
)
def test_what_is_no_change(
    change: str,
    status: int,
    said: str,
    asked: list[str | Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Wrong changes are one message with what was meant, perhaps."""
    assert said in shown(capsys, *asked, "--what-if", change, status=status).replace("\n│ ", " ")


def test_completion() -> None:
    """The shell is told what can be added."""
    assert complete_change("+rtx309") == ["+rtx3090"]
    assert complete_change("l") == ["list"]


PINS = ("--pin", "tower/cuda:0=0-7", "--pin", "laptop/cpu:0=8-15")
OTHER = ("--pin", "tower/cuda:0=0-3", "--pin", "laptop/cpu:0=4-15")


def test_diff(asked: list[str | Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What moved, memory, figures and proof, of an earlier plan and this one."""
    old = tmp_path / "old.json"
    shown(capsys, *asked, *PINS, "-o", old)
    text = shown(capsys, *asked, *OTHER, "--diff", old)
    _, _, below = text.partition("BEFORE AFTER RATIO\n")
    rows = below.splitlines()
    assert any(row.startswith("tower/cuda:0 0-7, ") and " 0-3, " in row for row in rows)
    assert any(row.startswith("proof at most ") for row in rows)
    assert "moved: blocks 4-7 from tower/cuda:0 to laptop/cpu:0" in rows
    text = shown(capsys, *asked, *PINS, "--diff", old)
    assert text.endswith("no block moved")


def test_diff_as_json(
    asked: list[str | Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The document is the difference; the plan itself still goes to the file that is named."""
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    shown(capsys, *asked, *PINS, "-o", old)
    changes = json_of(capsys, 0, *asked, *OTHER, "--diff", old, "-o", new)
    assert set(changes) == {"before", "after", "moves", "ratio", "notes"}
    assert changes["moves"] == [
        {"first_layer": 4, "last_layer": 7, "source": "tower/cuda:0", "target": "laptop/cpu:0"}
    ]
    written = json.loads(new.read_text(encoding="utf-8"))
    assert changes["after"]["predicted"] == written["predicted"]
    assert changes["after"]["gap"] == written["bound"]["gap"]


def test_diff_from_what_is_no_plan(
    asked: list[str | Path], registry: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another file is refused before anything is planned, in one line."""
    text = shown(capsys, *asked, "--diff", registry, status=8)
    assert "registry.json is not a plan (model: Field required): give a file" in text
    assert "\n" not in text


def test_diff_of_verified_plans(
    asked: list[str | Path],
    llama_cpp: Toolkit,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What moved is what llama.cpp says it has elsewhere, layer by layer."""
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    verify = ("--verify", "--engine-dir", llama_cpp.server.parent)
    shown(capsys, *asked, *PINS, *verify, "-o", old)
    changes = json_of(capsys, 0, *asked, *OTHER, *verify, "--diff", old, "-o", new)
    before, after = (layers_in(json.loads(path.read_text("utf-8"))) for path in (old, new))
    moved = {
        layer: (move["source"], move["target"])
        for move in changes["moves"]
        for layer in range(move["first_layer"], move["last_layer"] + 1)
    }
    assert moved == {
        layer: (before[layer], after[layer]) for layer in before if before[layer] != after[layer]
    }
    assert moved


def layers_in(plan: dict[str, Any]) -> dict[int, str]:
    """The device of each layer, as llama.cpp says."""
    return {
        layer: row["device"]
        for row in plan["verified"]["devices"]
        if row["device"]
        for layer in range(row["llama_cpp"]["first_layer"], row["llama_cpp"]["last_layer"] + 1)
    }


def test_what_if_verified_and_written(
    asked: list[str | Path],
    llama_cpp: Toolkit,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Other hardware can be asked of llama.cpp too; nothing of either is lost in the file."""
    new = tmp_path / "new.json"
    verify = ("--verify", "--engine-dir", llama_cpp.server.parent, "-o", new)
    text = shown(capsys, *asked, "--what-if", "+rtx3060", *verify)
    assert "agrees with the plan" in text
    assert "what if +rtx3060" in text
    document = json.loads(new.read_text(encoding="utf-8"))
    assert {"verified", "changes", "baseline", "ratio"} <= set(document)
    assert "no block moved" in shown(capsys, *asked, "--what-if", "+rtx3060", "--diff", new)


def test_emit(
    asked: list[str | Path], model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Commands are all that is printed, so that they can be kept as a script."""
    target = tmp_path / "plan.json"
    assert run(["plan", *map(str, asked), *PINS, "--emit", "llama.cpp", "-o", str(target)]) == 0
    text = capsys.readouterr().out
    code = [line for line in text.replace("\\\n", "").splitlines() if line and line[0] != "#"]
    worker, tunnel = (shlex.split(line) for line in code[:2])
    assert worker[1:] == shlex.split("ggml-rpc-server --host 127.0.0.1 --port 50052 --device CPU")
    assert tunnel[-1] == "laptop"
    assert f"--model {model}" in text
    assert "--alias small" in text
    assert "--tensor-split 8,9" in text
    assert json.loads(target.read_text(encoding="utf-8"))["stages"]


@pytest.mark.parametrize("other", ["--json", "--diff"])
def test_emit_and_nothing_else(
    other: str, asked: list[str | Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """What would print something else is refused."""
    more = [other, *(["old.json"] if other == "--diff" else [])]
    text = shown(capsys, *asked, "--emit", "llama.cpp", *more, status=2)
    assert "it prints commands and nothing else: leave out " + other in " ".join(text.split())


def test_emit_of_what_does_not_fit(
    registry: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """There are no commands then, and the reason is an error as without them."""
    big = llama_like(tmp_path / "big.gguf")
    assert run(["plan", str(big), "--devices", str(registry), "--emit", "llama.cpp"]) == 5
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("hgx: error: ")
