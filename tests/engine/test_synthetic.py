"""Invented models: what is in them, whether readers and llama.cpp take them."""

from __future__ import annotations

import errno
import os
import shutil
from typing import TYPE_CHECKING

import gguf
import numpy as np
import pytest

from hgx.engine import synthetic
from hgx.engine.synthetic import TYPES, Shape, block_bytes, head_bytes, model_bytes, write_model
from hgx.errors import StorageError
from hgx.gguf.workload import read_workload

if TYPE_CHECKING:
    from pathlib import Path

SMALL = Shape(n_block=2, n_embd=256, n_ff=512, n_head=4, n_head_kv=2)
OLD_LIBRARY = frozenset({"NVFP4", "Q1_0", "Q2_0"})
"""Types that the usual library may not know yet."""


@pytest.mark.parametrize("kind", TYPES)
def test_the_planner_reads_it(tmp_path: Path, kind: str) -> None:
    """Every block weighs what was predicted, in the one type; the file is as long as predicted."""
    path = tmp_path / "x.gguf"
    write_model(path, SMALL, kind)
    assert path.stat().st_size == model_bytes(SMALL, kind)
    workload = read_workload(path)
    norm = 4 * 256 if kind == "F32" else 0  # norms are F32 always
    for block in workload.blocks:
        assert block.weight_bytes[kind] == block_bytes(SMALL, kind) + 2 * norm
    assert workload.output.weight_bytes[kind] == head_bytes(SMALL, kind) + norm
    weights = 2 * 256 * 256 + 2 * 256 * 128 + 3 * 256 * 512
    assert workload.blocks[0].flops_per_token == 2 * weights
    assert workload.blocks[0].attention_flops == 4 * 256
    assert (workload.n_block, workload.n_embd, workload.n_vocab) == (2, 256, 512)


@pytest.mark.parametrize("kind", sorted(set(TYPES) - OLD_LIBRARY))
def test_every_number_is_finite(tmp_path: Path, kind: str) -> None:
    """Whatever the type makes of the bytes, no weight is infinite or no number."""
    path = tmp_path / "x.gguf"
    write_model(path, SMALL, kind)
    quantised = gguf.GGMLQuantizationType[kind]
    for tensor in gguf.GGUFReader(path).tensors:
        if tensor.tensor_type == quantised:
            values = gguf.quants.dequantize(tensor.data, quantised)
            assert np.isfinite(values).all()
            assert values.ndim == 1 or np.ptp(values) > 0


def test_floats_are_normal(tmp_path: Path) -> None:
    """No float is so small that processors take longer for it."""
    path = tmp_path / "x.gguf"
    write_model(path, SMALL, "F32")
    for tensor in gguf.GGUFReader(path).tensors:
        least = np.finfo(tensor.data.dtype).tiny
        assert np.abs(tensor.data).min() >= least


@pytest.mark.parametrize("kind", ["Q8_0", "Q5_1", "Q4_K", "Q6_K", "IQ3_S"])
def test_scales_are_alike(tmp_path: Path, kind: str) -> None:
    """Most scales differ by less than a factor of four: so do the largest weights they make."""
    path = tmp_path / "x.gguf"
    write_model(path, SMALL, kind)
    quantised = gguf.GGMLQuantizationType[kind]
    block = gguf.GGML_QUANT_SIZES[quantised][0]
    for tensor in gguf.GGUFReader(path).tensors:
        if tensor.tensor_type == quantised:
            values = gguf.quants.dequantize(tensor.data, quantised).reshape(-1, block)
            largest = np.abs(values).max(axis=1)
            few, many = np.quantile(largest, (0.05, 0.95))
            assert many < 8 * few


def test_the_seed_decides(tmp_path: Path) -> None:
    """The same arguments give the same bytes, another seed gives others."""
    contents: list[bytes] = []
    for seed in (1, 1, 2):
        write_model(tmp_path / "x.gguf", SMALL, "Q8_0", seed)
        contents.append((tmp_path / "x.gguf").read_bytes())
    assert contents[0] == contents[1] != contents[2]


def test_too_little_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it cannot fit, nothing is written, and the error says how much it needs."""
    usage = shutil.disk_usage(tmp_path)._replace(free=10)

    def nearly_full(_: Path) -> object:
        return usage

    monkeypatch.setattr(shutil, "disk_usage", nearly_full)
    with pytest.raises(StorageError, match=r"needs .* where 10 B are free: free some space"):
        write_model(tmp_path / "x.gguf", SMALL, "Q8_0")
    assert not any(tmp_path.iterdir())


def test_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where somebody else takes the room meanwhile, that is a storage error too."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(synthetic, "write_gguf", full)
    with pytest.raises(StorageError, match="no space left on device: free some space"):
        write_model(tmp_path / "x.gguf", SMALL, "Q8_0")


def test_a_place_that_is_none(tmp_path: Path) -> None:
    """A folder that is not there is a storage error with its name."""
    with pytest.raises(StorageError, match="nowhere"):
        write_model(tmp_path / "nowhere" / "x.gguf", SMALL, "Q8_0")
