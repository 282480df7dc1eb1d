"""What llama-fit-params says: as data, and the real program."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import psutil
import pytest

from hgx.engine import fit_params as module
from hgx.engine.fit_params import Fitted, fit_params, parse
from hgx.engine.readback import Allocated
from hgx.engine.server_arguments import ServerSpec
from hgx.errors import EngineError, Unavailable
from hgx.units import MIB

if TYPE_CHECKING:
    from pathlib import Path

    from hgx.engine.binaries import Toolkit

SAID = "\n".join(  # the end of some lines is a blank, as build 11434 has it
    (
        "0.00.603.854 D load_tensors: layer   0 assigned to device CPU, is_swa = 1",
        "0.00.603.940 D load_tensors: layer   1 assigned to device RPC0, is_swa = 0",
        "0.00.604.033 D load_tensors: layer   2 assigned to device RPC1, is_swa = 0",
        "0.00.604.100 I print_info: RPC0 1 2 3 4",
        "0.00.604.200 I breakdown_print: |   - RPC0 (127.0.0.1:49517) | 24105 = 24105",
        # What goes to stdout may come in the middle of a line that goes to stderr.
        "0.00.635.702 D RPC0 11067 3264 232 ",
        "RPC1 21 9 16 ",
        "Host 669 2176 280 ",
    )
)
SPEC = ServerSpec(model="m.gguf", alias="m")


def test_what_it_says() -> None:
    """Layers come from the log, bytes from the lines for scripts; its host is ours."""
    assert parse(SAID, ("RPC0", "RPC1")) == Fitted(
        layers={0: "CPU", 1: "RPC0", 2: "RPC1"},
        needs={
            "RPC0": Allocated(11067 * MIB, 3264 * MIB, 232 * MIB),
            "RPC1": Allocated(21 * MIB, 9 * MIB, 16 * MIB),
            "CPU": Allocated(669 * MIB, 2176 * MIB, 280 * MIB),
        },
    )


def test_what_was_not_asked_for() -> None:
    """Only devices of the plan and the host are read."""
    assert set(parse(SAID, ("RPC1",)).needs) == {"RPC1", "CPU"}
    assert parse("common_fit_params: nothing\n", ()) == Fitted({}, {})


def script(folder: Path, text: str) -> Path:
    """Write a program that takes the place of llama-fit-params."""
    path = folder / "llama-fit-params"
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.mark.skipif(os.name != "posix", reason="the programs are shell scripts")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "echo '0.00.1 E load: unknown shape'; exit 3",
            "ended with status 3, saying .*unknown shape",
        ),
        ("kill -9 $$", r"was killed \(SIGKILL\)"),
        ("echo '-c 4096 -ngl 3'", "is of a build that does not print what it needs: use a newer"),
    ],
)
def test_one_that_fails(text: str, said: str, tmp_path: Path) -> None:
    """How it ended, for which model and where the log is, in one sentence."""
    log = tmp_path / "log"
    with pytest.raises(EngineError, match=f"^llama-fit-params {said}") as raised:
        fit_params(script(tmp_path, text), SPEC, 3, log)
    assert raised.value.message.endswith(f" (model: m.gguf); its log says more: {log}")


@pytest.mark.skipif(os.name != "posix", reason="the program is a shell script")
def test_a_log_that_lost_its_end(tmp_path: Path) -> None:
    """It is asked again, three times in all, until it has said of all layers where they go."""
    lines = "echo 'load_tensors: layer 0 assigned to device CPU,'; echo Host 1 2 3; echo ran"
    lucky = (
        f"{lines}; [ -e {tmp_path}/before ] && echo 'load_tensors: layer 1 assigned to device CPU,'"
    )
    program = script(tmp_path, f"{lucky}; touch {tmp_path}/before; exit 0")
    needs = {"CPU": Allocated(MIB, 2 * MIB, 3 * MIB)}
    log = tmp_path / "log"
    assert fit_params(program, SPEC, 2, log) == Fitted({0: "CPU", 1: "CPU"}, needs)
    assert log.read_text().count("ran") == 2
    log.unlink()
    assert fit_params(program, SPEC, 3, log) == Fitted({}, needs)
    assert log.read_text().count("ran") == 3


@pytest.mark.skipif(os.name != "posix", reason="the program is a shell script")
def test_one_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for longer than the limit, and is ended."""
    monkeypatch.setattr(module, "_LONGEST_S", 0.5)
    log = tmp_path / "log"
    hanging = script(tmp_path, "echo $$; exec sleep 600")
    with pytest.raises(EngineError, match=r"was not done within 0\.5 s"):
        fit_params(hanging, SPEC, 3, log)
    assert not psutil.pid_exists(int(log.read_text()))


def test_one_that_is_not_there(tmp_path: Path) -> None:
    """A program that cannot be started is absent, not a failure of the engine."""
    with pytest.raises(Unavailable, match="cannot be started"):
        fit_params(tmp_path / "none", SPEC, 3, tmp_path / "log")


def test_the_real_one(llama_cpp: Toolkit, demo_model: Path, tmp_path: Path) -> None:
    """On the host alone: all layers, and weights and KV of the demo model to the MiB."""
    spec = ServerSpec(model=f"{demo_model}", alias="demo", ctx=4096)
    fitted = fit_params(llama_cpp.need("fit_params"), spec, 19, tmp_path / "log")
    assert fitted.layers == dict.fromkeys(range(19), "CPU")
    need = fitted.needs["CPU"]
    assert (need.weights // MIB, need.kv // MIB) == (235, 27)


def test_the_real_one_refuses(llama_cpp: Toolkit, tmp_path: Path) -> None:
    """What llama.cpp has against a file is passed on."""
    model = tmp_path / "m.gguf"
    model.write_bytes(b"GGUF" + bytes(100))
    spec = ServerSpec(model=f"{model}", alias="m")
    with pytest.raises(EngineError, match=r"saying '.*bad GGUF version: 0'"):
        fit_params(llama_cpp.need("fit_params"), spec, 19, tmp_path / "log")
