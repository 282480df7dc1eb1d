"""Memory beside the weights, held against what llama.cpp itself says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hgx.core.options import DEFAULT_HEADROOM_BYTES
from hgx.core.workload import KvShape
from hgx.errors import ModelError
from hgx.gguf.arrangement import Arrangement
from hgx.gguf.memory import RunShape, compute_buffers, host_buffers, kv_bytes
from hgx.gguf.workload import read_workload
from hgx.units import MIB
from tests.gguf import ggufs
from tests.gguf.recipes import RECIPES, SAME_ARCHITECTURE
from tests.gguf.recordings import CASES, exceptions, needs, planned, recorded

if TYPE_CHECKING:
    from pathlib import Path

NAMES = sorted(path.stem for path in CASES.glob("*.json"))

ROUNDED = 1.0
"""MiB by which the figures of llama-fit-params may be short: they are whole, rounded down."""


APART = 52.0
"""MiB that compute may be off where experts are away: what is handed over finds other gaps in
every model, and a stage that has blocks of both kinds is counted as its largest block."""


def off(mine: float, theirs: float) -> float:
    """MiB between an estimate and what llama.cpp says."""
    return mine - theirs - min(max(mine - theirs, 0.0), ROUNDED)


@pytest.mark.parametrize("name", NAMES)
def test_plans_agree_with_llama_cpp(name: str, tmp_path: Path) -> None:
    """On every device, weights and KV are within 0.5%, and compute within 5% or 16 MiB.

    Where experts are away, compute is within 52 MiB.
    """
    workload = read_workload(RECIPES[name](tmp_path / "model.gguf"))
    excepted = exceptions(name)
    for run in recorded(name):
        mine = list(needs(planned(workload, run), len(run.workers)))
        for device, (one, other) in enumerate(zip(mine, run.theirs, strict=True)):
            where = f"device {device} of {run}: {one}"
            assert abs(off(one.model, other.model)) <= 0.005 * other.model, where
            assert abs(off(one.context, other.context)) <= 0.005 * other.context, where
            key = (run.host, run.workers, run.ctx, run.experts_away, device)
            apart = off(one.compute, other.compute) - excepted.get(key, 0.0)
            # New recurrent states are counted for one conversation only.
            allowed = max(16, 0.05 * other.compute) * (2 if run.parallel > 1 else 1)
            assert abs(apart) <= (APART if run.experts_away else allowed), where
            assert off(sum(one), sum(other)) > -DEFAULT_HEADROOM_BYTES / MIB, where


def test_what_is_recorded(tmp_path: Path) -> None:
    """Every recipe is, of many architectures, and hardly anything of it is excepted."""
    assert set(RECIPES) == set(NAMES)
    assert sum(not exceptions(name) for name in NAMES) >= 14 + len(SAME_ARCHITECTURE)
    path = tmp_path / "model.gguf"
    for name in NAMES:
        runs = recorded(name)
        assert {run.ctx for run in runs} == {4096, 8192, 32768}
        assert {run.parallel for run in runs} == {1, 4}
        assert {run.kv_type for run in runs} == {"f16", "q8_0"}
        assert {(bool(run.host), len(run.workers)) for run in runs} == {
            (True, 0), (False, 1), (True, 1), (True, 2), (False, 2), (False, 3)
        }  # fmt: skip
        assert sum(not away for _, _, _, away, _ in exceptions(name)) <= 4
        mixture = any(block.expert_bytes for block in read_workload(RECIPES[name](path)).blocks)
        away = {len(run.workers) for run in runs if run.experts_away}
        assert away == ({1, 2, 3} if mixture else set())


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
    buffers = compute_buffers(workload, run, Arrangement.PIPELINE)
    first = buffers.inputs + max(buffers.blocks[:9]) + buffers.left[8]
    last = buffers.inputs + buffers.entered[9] + max(*buffers.blocks[9:], buffers.output)
    mine = [
        size / MIB
        for size in (first, last, host_buffers(workload, run, Arrangement.PIPELINE).compute)
    ]
    assert mine == pytest.approx([52.84, 41.57, 32.61], abs=4)


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


def test_a_pipeline_keeps_copies(tmp_path: Path) -> None:
    """Copies of what is fed are what a pipeline costs on each device and on the host."""
    workload = read_workload(ggufs.llama_like(tmp_path / "m.gguf", n_block=2, n_embd=1024))
    run = RunShape(4096)
    shared, alone, behind, turns = (
        compute_buffers(workload, run, each)
        for each in (
            Arrangement.PIPELINE,
            Arrangement.ALONE,
            Arrangement.HOST_FIRST,
            Arrangement.IN_TURN,
        )
    )
    assert shared.inputs > alone.inputs > behind.inputs
    assert shared.blocks[1] == alone.blocks[1] == behind.blocks[1]
    assert shared.blocks[0] > alone.blocks[0] == behind.blocks[0]
    assert shared.entered[1] > 0 == alone.entered[1] == behind.entered[1] == shared.entered[0]
    assert turns == behind._replace(entered=(alone.inputs - behind.inputs, *behind.entered[1:]))
    host, by_itself, first = (
        host_buffers(workload, run, each)
        for each in (Arrangement.PIPELINE, Arrangement.ALONE, Arrangement.HOST_FIRST)
    )
    assert host.compute > by_itself.compute > first.compute
    assert (host.shared, by_itself.shared > 0, first.shared) == (0, True, 0)
