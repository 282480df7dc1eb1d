"""Widths of intermediate results, from the files of real shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hgx.gguf.hyper import Hyper
from hgx.gguf.mixers import Mixer
from hgx.gguf.scratch import Latent
from hgx.gguf.shapes import block_shapes
from hgx.gguf.split import read_parts
from hgx.gguf.widths import block_widths
from tests.gguf.recipes import RECIPES

if TYPE_CHECKING:
    from pathlib import Path

    from hgx.gguf.scratch import Widths

CASES: dict[str, tuple[str, int, dict[str, Any]]] = {
    "dense": ("llama", 5, {"embd": 8192, "q": 8192, "k": 1024, "ff": 28672, "up": 28672}),
    "wide queries": ("qwen3", 0, {"embd": 2560, "q": 4096, "attn": 4096, "gated": True}),
    "fused": ("phi3", 1, {"fused": True, "gated": False, "ff": 17920, "up": 35840}),
    "no gate": ("starcoder2", 1, {"gated": False, "ff": 24576, "up": 24576, "mixer": None}),
    "side by side": ("command_r", 1, {"normed": True, "ff_normed": False}),
    "norms behind": ("olmo2", 1, {"normed": False, "ff_normed": False}),
    "norms on both sides": ("gemma2", 1, {"normed": True, "ff_normed": True}),
    "a norm behind attention only": ("glm4moe", 0, {"ff_normed": True, "ff": 10944}),
    "experts": ("glm4moe", 1, {"router": 128, "biased": True, "expert_ff": 8 * 1408, "ff": 1408}),
    "weighted first": ("llama4", 1, {"expert_in": 5120, "expert_out": 5120, "router": 16}),
    "latent": (
        "deepseek2",
        0,
        {
            "q": 128 * 192,
            "attn": 128 * 128,
            "latent": Latent(1536, 576, 128 * 64, 128 * 512, 128 * 512),
        },
    ),
    "mamba": ("jamba", 0, {"attn": 0, "mixer": Mixer("mamba", 8192, 8192, 256 + 32, 304)}),
    "beside mamba": ("jamba", 4, {"attn": 4096, "mixer": None}),
    "mamba2": ("nemotron_h", 0, {"attn": 0, "mixer": Mixer("mamba2", 8192, 10240, 128, 2108)}),
    "a feed-forward alone": ("nemotron_h", 1, {"attn": 0, "mixer": None, "ff": 21504}),
    "convolution": ("lfm2", 0, {"attn": 0, "mixer": Mixer("convolution", 2048)}),
    "rwkv7": ("rwkv7", 3, {"ff": 10240, "mixer": Mixer("rwkv7", 2560, rank=320, state=330)}),
}


def widths(name: str, index: int, path: Path) -> Widths:
    """Widths of a block of a recipe's file."""
    header = read_parts(RECIPES[name](path))[0]
    hyper = Hyper(header)
    tensors = [it for it in header.tensors if it.name.startswith(f"blk.{index}.")]
    return block_widths(hyper, block_shapes(hyper)[index], tensors, index)


@pytest.mark.parametrize(("name", "index", "expected"), CASES.values(), ids=CASES)
def test_what_a_file_says(name: str, index: int, expected: dict[str, Any], tmp_path: Path) -> None:
    """What a block has is told from its tensors, and how wide it is from their shapes."""
    found = widths(name, index, tmp_path / "m.gguf")._asdict()
    assert {key: found[key] for key in expected} == expected
