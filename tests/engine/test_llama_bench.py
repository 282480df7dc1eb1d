"""llama-bench: the real one, and a few lines of shell where it must misbehave."""

from __future__ import annotations

import tempfile
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from hgx.engine.llama_bench import Job, time_engine
from hgx.engine.rpc_server import HOST, RpcOptions, RpcServer
from hgx.engine.synthetic import Shape, write_model
from hgx.errors import EngineError, StorageError, Unavailable

if TYPE_CHECKING:
    from pathlib import Path

    from hgx.engine.binaries import Toolkit

ROW = '{"n_prompt": 0, "n_gen": 4, "samples_ns": [ 4000, 8000 ], "more": "x"}'


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A small model on the CPU."""
    model = tmp_path / "x.gguf"
    write_model(model, Shape(n_block=2, n_embd=256, n_ff=256, n_head=2, n_head_kv=1), "Q8_0")
    return Job(model, None, None, 1, generate=4, repetitions=2)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A script in the place of llama-bench; ``say`` writes it."""
    return tmp_path / "llama-bench"


def say(program: Path, script: str) -> Path:
    """Write what the script does."""
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def test_prompts_and_tokens_are_timed(llama_cpp: Toolkit, job: Job) -> None:
    """Each repetition gives the seconds of the whole prompt, and of one token."""
    asked = job._replace(prompt=600, depth=16, repetitions=3)
    pids: list[int] = []
    found = time_engine(llama_cpp.need("bench"), asked, limit_s=120, tick=pids.append)
    assert (len(found.prompt), len(found.token)) == (3, 3)
    assert min(found.prompt) > max(found.token) > 0
    assert pids
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_behind_an_rpc_server(llama_cpp: Toolkit, job: Job, tmp_path: Path) -> None:
    """All layers go to the rpc server, whose process does the work."""
    log = tmp_path / "rpc.log"
    with RpcServer(llama_cpp, log, RpcOptions(devices=("CPU",), threads=1)) as server:
        there = job._replace(rpc=f"{HOST}:{server.port}")
        assert len(time_engine(llama_cpp.need("bench"), there, limit_s=120).token) == 2
    assert "Accepted client connection" in log.read_text()


def test_a_model_that_is_none(llama_cpp: Toolkit, job: Job, tmp_path: Path) -> None:
    """What it says of a failure is in the error."""
    other = job._replace(model=tmp_path / "none.gguf")
    with pytest.raises(EngineError, match=r"ended with status 1, saying .*none\.gguf"):
        time_engine(llama_cpp.need("bench"), other, limit_s=120)


def test_what_it_prints(program: Path, job: Job) -> None:
    """Rows are read among other words; a token takes its part of the run."""
    found = time_engine(say(program, f"echo hello; echo '{ROW}'; echo '{{bad'"), job, limit_s=30)
    assert found.prompt == ()
    assert found.token == pytest.approx((1e-6, 2e-6))


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("kill -ILL $$", r"was killed \(SIGILL\); try another build"),
        ("echo x: GLIBC_2.38 not found >&2; exit 1", "status 1, saying 'x: GLIBC_2.38 not found'"),
        ("exit 0", "printed nothing that hgx can read"),
        (f"echo '{ROW}' | sed s/4000/0/", "printed nothing that hgx can read"),
        (f"echo '{ROW}' | sed s/n_gen.:.4/n_prompt_x/", "printed nothing that hgx can read"),
    ],
)
def test_failures(program: Path, job: Job, script: str, words: str) -> None:
    """A crash, a missing library and an unusable answer are one sentence each."""
    with pytest.raises(EngineError, match=words):
        time_engine(say(program, script), job, limit_s=30)


def test_it_takes_too_long(program: Path, job: Job) -> None:
    """At the limit it is killed, with what it started."""
    began = time.monotonic()
    pids: list[int] = []
    script = say(program, "sleep 60 & wait")
    with pytest.raises(EngineError, match=r"not done within 0\.3 s: is the machine busy"):
        time_engine(script, job, limit_s=0.3, tick=pids.append)
    assert time.monotonic() - began < 30
    assert pids
    assert not psutil.pid_exists(pids[0])


def test_it_is_not_there(tmp_path: Path, job: Job) -> None:
    """A program that cannot be started is unavailable."""
    with pytest.raises(Unavailable, match="cannot be started"):
        time_engine(tmp_path / "none", job, limit_s=30)


def test_no_place_for_its_words(
    program: Path, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a folder for temporary files the error says what to set."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(StorageError, match="set TMPDIR"):
        time_engine(say(program, "exit 0"), job, limit_s=30)
