"""Memory beside the weights, held against what llama.cpp itself says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from hgx.core.workload import KvShape, Workload
from hgx.errors import ModelError
from hgx.gguf.memory import RunShape, compute_buffers, host_buffers, kv_bytes
from hgx.gguf.workload import read_workload
from hgx.units import MIB
from tests.gguf import ggufs

if TYPE_CHECKING:
    from collections.abc import Iterator

CASES = sorted((Path(__file__).parent / "cases").glob("*.json"))


class Need(NamedTuple):
    """What one device needs, in MiB: the three columns llama-fit-params prints."""

    model: float
    context: float
    compute: float


def needs(workload: Workload, run: RunShape, split: list[int]) -> Iterator[Need]:
    """Add up what each device of a split needs, the way the planner does."""
    buffers = compute_buffers(workload, run, pipelined=len(split) > 1)
    units = [*workload.blocks, workload.output]
    scratch = [*buffers.blocks, buffers.output]
    first = 0
    for count in split:
        mine = slice(first, first + count)
        first += count
        yield Need(
            sum(unit.total_weight_bytes for unit in units[mine]) / MIB,
            sum(kv_bytes(unit.kv, run) for unit in units[mine]) / MIB,
            (buffers.inputs + max(scratch[mine])) / MIB,
        )


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_estimates_agree_with_llama_cpp(case: Path, tmp_path: Path) -> None:
    """Weights and KV are llama.cpp's to the MiB it prints; compute is within 6% or 16 MiB of it."""
    document = json.loads(case.read_text())
    workload = read_workload(getattr(ggufs, document["recipe"])(tmp_path / "model.gguf"))
    for read in document["runs"]:
        batch = read["ubatch"]
        run = RunShape(read["ctx"], read["parallel"], read["kv_type"], batch, outputs=batch)
        host = host_buffers(workload, run, pipelined=len(read["split"]) > 1)
        pairs = [
            *zip(needs(workload, run, read["split"]), read["devices_mib"], strict=True),
            (Need(host.weights / MIB, 0, host.compute / MIB), read["host_mib"]),
        ]
        for mine, theirs in pairs:
            assert mine.model == pytest.approx(theirs[0], rel=1e-3, abs=1)
            assert mine.context == pytest.approx(theirs[1], rel=1e-3, abs=1)
            assert mine.compute == pytest.approx(theirs[2], rel=0.06, abs=18)


def test_a_server_keeps_the_logits_of_one_token_per_conversation(tmp_path: Path) -> None:
    """llama-server (build 11434) on Gemma 3 270M: compute of two devices and the host, in MiB."""
    path = ggufs.gemma3_like(
        tmp_path / "m.gguf",
        n_block=18,
        n_embd=640,
        n_head=4,
        n_head_kv=1,
        head_dim=256,
        n_ff=2048,
        n_vocab=262144,
        window=512,
        quant="Q8_0",
    )
    workload, run = read_workload(path), RunShape(4096)
    mine = [need.compute for need in needs(workload, run, [9, 10])]
    host = host_buffers(workload, run).compute / MIB
    assert [*mine, host] == pytest.approx([52.84, 41.57, 32.61], abs=4)


@pytest.mark.parametrize(
    ("kv", "run", "expected"),
    [
        (KvShape(k_width=1024, v_width=1024), RunShape(8192), 8192 * 4096),
        (KvShape(k_width=1024, v_width=1024), RunShape(8000, 3), 3 * 8192 * 4096),
        (KvShape(k_width=64, v_width=64), RunShape(256, kv_type="q8_0"), 256 * 2 * 68),
        (KvShape(k_width=8, v_width=8, window=1024), RunShape(8192), 1536 * 32),
        (KvShape(k_width=8, v_width=8, window=1024), RunShape(512), 512 * 32),
        (KvShape(k_width=576), RunShape(256), 256 * 1152),
        (KvShape(state_bytes=1000), RunShape(8192, 4), 4000),
        (KvShape(), RunShape(8192), 0),
    ],
    ids=["plain", "slots, padded", "quantised", "window", "short", "latent", "state", "nothing"],
)
def test_kv_cells_follow_llama_cpp(kv: KvShape, run: RunShape, expected: int) -> None:
    """Cells are padded to 256, windows add a batch, slots multiply, state has a fixed size."""
    assert kv_bytes(kv, run) == expected


def test_a_kv_type_that_does_not_fit_says_so() -> None:
    """Rows that are no whole number of blocks are refused, as llama.cpp refuses them."""
    with pytest.raises(ModelError, match=r"as q8_0: .*; use f16"):
        kv_bytes(KvShape(k_width=80, v_width=80), RunShape(256, kv_type="q8_0"))


def test_a_batch_is_no_larger_than_what_there_is_room_for() -> None:
    """A context below the micro-batch limits the batch that scratch is made for."""
    assert RunShape(256).batch == 256
    assert RunShape(256, 4).batch == 512


def test_a_pipeline_needs_more_than_one_device(tmp_path: Path) -> None:
    """Copies of inputs are what sharing a model between devices costs on each and on the host."""
    workload = read_workload(ggufs.llama_like(tmp_path / "m.gguf", n_block=2, n_embd=1024))
    run = RunShape(4096)
    shared, alone = (compute_buffers(workload, run, pipelined=flag) for flag in (True, False))
    assert shared.inputs > alone.inputs
    assert shared.blocks[1] == alone.blocks[1]
    assert (
        host_buffers(workload, run).compute > host_buffers(workload, run, pipelined=False).compute
    )
