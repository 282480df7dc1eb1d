"""``hgx plan``: the longest context, the best quantisation, who may take part, and cures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from hgx.cli.main import run
from hgx.core.reading import Battery
from hgx.flows import plan_battery
from tests.gguf.ggufs import llama_like
from tests.planner.made import device, registry
from tests.sensors.doubles import always

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1024**3


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give every test a home of its own, with a registry of three nodes."""
    path = tmp_path / "home"
    monkeypatch.setenv("HGX_HOME", str(path))
    path.mkdir()
    known = registry(
        device("tower/cuda:0", 2 * GIB, 9e11),
        device("tower/cpu:0", 8 * GIB, 4e10, 5e11),
        device("laptop/cuda:0", 3 * GIB, 2e11),
        device("phone/cpu:0", 4 * GIB, 2e10, 1e11),
    )
    (path / "registry.json").write_text(known.model_dump_json(by_alias=True), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Three quantisations of a model of 1.1 billion weights."""
    folder = tmp_path_factory.mktemp("models")
    return [
        str(
            llama_like(
                folder / f"{quant}.gguf",
                n_block=16,
                n_embd=2048,
                n_head=32,
                n_ff=8192,
                n_vocab=32000,
                quant=quant,
            )
        )
        for quant in ("Q4_K", "Q6_K", "Q8_0")
    ]


def printed(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> dict[str, Any]:
    """Run ``hgx plan ... --json`` for the node tower, and return what it printed."""
    assert run(["plan", *words, "--json", "--coordinator", "tower"]) == status
    return json.loads(capsys.readouterr().out)


def test_longest_context(models: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """``--ctx max`` says the longest that fits and plans with it; a longer one does not fit."""
    plan = printed(capsys, models[0], "--ctx", "max:1000000000")
    ctx = plan["ctx"]
    assert f"context {ctx}: the longest that fits" in plan["why"]
    same = printed(capsys, models[0], "--ctx", str(ctx))
    assert same["stages"] == plan["stages"]
    longer = printed(capsys, models[0], "--ctx", str(ctx + 256), status=5)
    (cure,) = (cure for cure in longer["cures"] if cure["kind"] == "ctx")
    assert cure == {
        "kind": "ctx",
        "change": {"ctx": ctx},
        "text": f"it fits with --ctx {ctx}",
    }


def test_longest_context_for_pins(models: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A placement of one's own has a longest context too."""
    pins = ["--pin", "tower/cuda:0=0-7", "--pin", "laptop/cuda:0=8-15"]
    plan = printed(capsys, models[0], "--ctx", "max:1000000", *pins)
    printed_ctx = plan["ctx"]
    assert [stage["device"] for stage in plan["stages"]] == ["tower/cuda:0", "laptop/cuda:0"]
    words = ["plan", models[0], "--coordinator", "tower", *pins, "--ctx", str(printed_ctx + 256)]
    assert run(words) == 5
    assert "too much" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "0", "-5", "1.5", "most", "max:", "max:0", ":4096", "min:5"])
def test_what_is_no_context(
    text: str, models: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It is wrong usage, for both commands, and says what is right."""
    for command in ("plan", "serve"):
        assert run([command, models[0], "--ctx", text]) == 2
        assert "nor max:TOKENS" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("words", "used"),
    [
        ([], {"tower/cuda:0"}),
        (["--exclude", "tower/cuda:0"], {"laptop/cuda:0"}),
        (["--exclude", "tower/cuda:0", "--exclude", "laptop"], {"tower/cpu:0"}),
        (["--only", "laptop"], {"laptop/cuda:0"}),
        (["--only", "laptop", "--only", "phone", "--max-nodes", "2"], {"laptop/cuda:0"}),
        (["--exclude", "tower/cuda:0", "--max-nodes", "1"], {"tower/cpu:0"}),
        (["--exclude", "tower/cuda:0", "--node-tolerance", "100000"], {"tower/cpu:0"}),
    ],
)
def test_who_may_take_part(
    words: list[str], used: set[str], models: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Devices and nodes that are excluded, or not named, have no block; machines are counted."""
    plan = printed(capsys, models[0], *words)
    assert {stage["device"] for stage in plan["stages"]} == used


def test_who_must_take_part(models: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A device that is required has blocks, whatever that costs; so has one of a node."""
    for name in ("phone/cpu:0", "phone"):
        plan = printed(capsys, models[0], "--require", name)
        assert "phone/cpu:0" in {stage["device"] for stage in plan["stages"]}


def test_batteries_of_long_runs(
    home: Path, models: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A machine whose battery does not last is left out, and people and programs see it."""
    known = json.loads((home / "registry.json").read_text(encoding="utf-8"))
    (laptop,) = (node for node in known["nodes"] if node["id"] == "laptop")
    laptop["battery"] = {"charge": 0.71, "plugged": False, "power_w": 20.0, "full_wh": 40.0}
    (home / "registry.json").write_text(json.dumps(known), encoding="utf-8")
    asked = ("--exclude", "tower/cuda:0", "--duration")
    assert printed(capsys, models[0], *asked, "1800")["stages"][0]["device"] == "laptop/cuda:0"
    plan = printed(capsys, models[0], *asked, "7200")
    assert "laptop/cuda:0" not in {stage["device"] for stage in plan["stages"]}
    note = "laptop's battery lasts 61 of 120 min, so its devices are left out: "
    assert any(why.startswith(note) for why in plan["why"])
    words = ["plan", models[0], "--coordinator", "tower", *asked, "7200", "--explain"]
    assert run(words) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert note + "connect its charger" in shown
    assert "laptop/cuda:0: its battery does not last as long" in shown
    assert run(["plan", models[0], *asked, "7200", "--only", "laptop"]) == 5
    said = " ".join(capsys.readouterr().err.split())
    assert note in said
    assert "--require laptop uses it nevertheless" in said
    plan = printed(capsys, models[0], *asked, "7200", "--require", "laptop")
    assert plan["stages"][0]["device"] == "laptop/cuda:0"


def test_the_battery_of_now(
    home: Path,
    models: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """This machine is left out of a long run where its battery is nearly empty by now."""
    (home / "node.json").write_text('{"id": "laptop"}', encoding="utf-8")
    low = Battery(charge=0.15, plugged=False)
    monkeypatch.setattr(plan_battery, "read_battery", always(low))
    asked = (models[0], "--coordinator", "tower", "--exclude", "tower/cuda:0", "--duration", "9")
    assert printed(capsys, *asked[:-2])["stages"][0]["device"] == "laptop/cuda:0"
    plan = printed(capsys, *asked)
    assert "laptop/cuda:0" not in {stage["device"] for stage in plan["stages"]}
    assert any(why.startswith("laptop's battery is at 15% and needs") for why in plan["why"])


def test_names_that_nobody_has(models: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """They are an error that lists those there are."""
    assert run(["plan", models[0], "--exclude", "tablet"]) == 4
    said = capsys.readouterr().err
    assert "'tablet'" in said
    assert "tower/cuda:0" in said


def test_other_objectives_and_protocols(
    models: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """``--objective balanced`` is one, and a protocol in which parts wait takes longer to begin."""
    assert printed(capsys, models[0], "--objective", "balanced")["objective"] == "balanced"
    pins = ["--pin", "tower/cuda:0=0-7", "--pin", "laptop/cuda:0=8-15", "--prompt-tokens", "4096"]
    first = [
        printed(capsys, models[0], *pins, "--rpc", rpc)["predicted"]["ttft_s"]
        for rpc in ("sync", "async")
    ]
    assert first[0] > first[1]


def test_quantisations_side_by_side(models: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A person sees all of them and the plan of the best; a program gets the same."""
    words = ["--exclude", "laptop", "--exclude", "phone"]
    found = printed(capsys, *models, "--fit", "0", *words)
    assert [row["path"] for row in found["quantisations"]] == models[::-1]
    assert found["best"] == models[2] == found["plan"]["model"]["path"]
    assert run(["plan", *models, "--fit", "0", "--coordinator", "tower", *words]) == 0
    shown = capsys.readouterr().out
    for part in ("BITS/WEIGHT", f"best that is fast enough: {models[2]}", "predicted: first token"):
        assert part in shown
    speeds = [row["predicted"]["tokens_per_s"] for row in found["quantisations"]]
    middle = printed(capsys, *models, "--fit", str(speeds[1]), *words)
    assert middle["best"] == models[1]
    assert middle["tokens_per_s"] == speeds[1]


def test_no_quantisation_is_fast_enough(
    models: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It exits as infeasible and says how near the nearest comes; the document is there."""
    target = tmp_path / "fit.json"
    words = ["--fit", "1", "--max-ttft", "0.000001", "-o", str(target)]
    assert run(["plan", *models, *words]) == 5
    shown = capsys.readouterr()
    assert "none of 3 quantisations gives 1 tokens/s with the first token after " in shown.err
    assert " comes nearest with " in shown.err
    assert shown.out.split().count("no") == 3
    assert json.loads(target.read_text(encoding="utf-8"))["best"] is None


def test_the_selection_is_written(
    models: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``-o`` says where it went."""
    target = tmp_path / "fit.json"
    assert run(["plan", *models, "--fit", "0", "-o", str(target)]) == 0
    assert f"Wrote {target}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--fit", "5", "--ctx", "max"], "--plot are for one"),
        (["--fit", "5", "--pin", "tower/cuda:0=0-15"], "--pin"),
        (["--fit", "5", "--verify"], "--verify"),
        (["--max-ttft", "1"], "add that"),
        (["again.gguf"], "add --fit, or name one model"),
    ],
)
def test_what_does_not_go_together(
    words: list[str], said: str, models: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It is wrong usage, and says what to do."""
    assert run(["plan", models[0], *words]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("option", ["--exclude", "--coordinator"])
def test_names_complete_on_the_shell(option: str, home: Path) -> None:
    """Asked as bash asks, hgx completes the names of the registry; without one, nothing."""
    words = f"hgx plan model.gguf {option} la"
    asked = {"_HGX_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": "4"}
    for expected in (["laptop", "laptop/cuda:0"], []):
        done = subprocess.run(
            [sys.executable, "-c", "from hgx.__main__ import main; main()"],
            env={**os.environ, **asked},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.split() == expected
        assert not done.stderr
        (home / "registry.json").unlink(missing_ok=True)
