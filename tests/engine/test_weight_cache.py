"""Weights on a worker's disk."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING

import pytest

from hgx.engine.llama_cpp import LlamaCppEngine
from hgx.engine.rpc_server import HOST, RpcOptions, RpcServer
from hgx.engine.server_arguments import ServerSpec
from hgx.engine.synthetic import Shape, write_model
from hgx.engine.weight_cache import RESERVE_BYTES, SETTLED_S, make_room, settle

if TYPE_CHECKING:
    from pathlib import Path

    from hgx.engine.binaries import Toolkit


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that is not there yet."""
    return tmp_path / "weights"


def put(folder: Path, name: str, size: int = 100, *, age_s: float = 60.0) -> Path:
    """Put a file there that was written some time ago."""
    path = folder / "rpc" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    at = time.time() - age_s
    os.utime(path, (at, at))
    return path


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[int]:
    """A disk of that many bytes for weights, beside the reserve."""
    size = [1000]
    real = shutil.disk_usage("/")

    def usage(_: Path) -> object:
        used = sum(path.stat().st_size for path in folder.rglob("rpc/*"))
        return real._replace(free=size[0] + RESERVE_BYTES - used)

    monkeypatch.setattr("hgx.engine.weight_cache.shutil.disk_usage", usage)
    return size


@pytest.mark.usefixtures("disk")
def test_what_was_written_in_peace_is_kept(folder: Path) -> None:
    """Files that were done before the server ended are there the next time."""
    assert make_room(folder, 100)
    old = put(folder, "a")
    settle(folder)
    assert make_room(folder, 100)
    assert old.exists()


@pytest.mark.usefixtures("disk")
@pytest.mark.parametrize("settled", [True, False])
def test_what_may_be_cut_off_goes(folder: Path, settled: bool) -> None:
    """What was being written at the end is not relied on, nor what nobody saw the end of."""
    cut = put(folder, "a", age_s=SETTLED_S / 2 if settled else 60.0)
    if settled:
        settle(folder)
    assert make_room(folder, 100)
    assert not cut.exists()


@pytest.mark.usefixtures("disk")
def test_a_file_that_changed_goes(folder: Path) -> None:
    """A file of another size than was written down is none of ours any more."""
    changed = put(folder, "a")
    settle(folder)
    put(folder, "a", 50)
    assert make_room(folder, 100)
    assert not changed.exists()


@pytest.mark.usefixtures("disk")
def test_a_file_in_use_stays_known(folder: Path) -> None:
    """What was whole before is whole after a server that only read it, however new it looks."""
    used = put(folder, "a")
    settle(folder)
    os.utime(used)
    settle(folder)
    assert make_room(folder, 100)
    assert used.exists()


@pytest.mark.usefixtures("disk")
def test_the_longest_unused_makes_room(folder: Path) -> None:
    """Where room is short, the oldest goes, and no more than has to."""
    files = [put(folder, name, 300, age_s=age) for name, age in (("a", 90), ("b", 300), ("c", 60))]
    settle(folder)
    assert make_room(folder, 350)
    assert [path.exists() for path in files] == [True, False, True]


def test_nothing_goes_in_vain(folder: Path, disk: list[int]) -> None:
    """Where all of it would not be enough, it stays, and nothing is kept this time."""
    kept = put(folder, "a", 300)
    settle(folder)
    disk[0] = 400
    assert not make_room(folder, 500)
    assert kept.exists()


def test_a_damaged_record(folder: Path, disk: list[int]) -> None:
    """Without a record nothing is known to be whole."""
    assert disk
    kept = put(folder, "a")
    settle(folder)
    (folder / "whole.json").write_text("{")
    assert make_room(folder, 100)
    assert not kept.exists()


def test_no_place_for_it(tmp_path: Path) -> None:
    """Where there can be no folder, weights are not kept, and that is no error."""
    (tmp_path / "weights").write_text("a file")
    assert not make_room(tmp_path / "weights", 100)
    settle(tmp_path / "weights")


@pytest.mark.llama_cpp
def test_real_weights(llama_cpp: Toolkit, tmp_path: Path, folder: Path) -> None:
    """What a real server has kept is known to be whole, and goes once it is cut off."""
    model = tmp_path / "model.gguf"
    write_model(model, Shape(n_block=1, n_embd=2048, n_ff=5632, n_head=16, n_head_kv=4), "Q8_0")
    assert make_room(folder, model.stat().st_size)
    options = RpcOptions(devices=("CPU",), threads=1, cache=folder)
    with RpcServer(llama_cpp, tmp_path / "rpc.log", options) as server:
        spec = ServerSpec(
            model=f"{model}",
            alias="x",
            ctx=256,
            gpu_layers=2,
            devices=("RPC0",),
            tensor_split=(2,),
            rpc=(f"{HOST}:{server.port}",),
        )
        engine = LlamaCppEngine(llama_cpp.server, spec, tmp_path)
        engine.start()
        engine.stop()
        time.sleep(1.1 * SETTLED_S)
    (kept,) = (folder / "rpc").iterdir()  # large matrices of invented models are all the same
    assert make_room(folder, 0)
    assert kept.exists()
    os.truncate(kept, 1000)
    assert make_room(folder, 0)
    assert not kept.exists()
