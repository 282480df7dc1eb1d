"""From files to workloads: real bytes in the right blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hgx.core.workload import Block
from hgx.errors import ModelError
from hgx.gguf.workload import read_workload
from tests.gguf import ggufs
from tests.gguf.ggufs import Tensor, Value, build, write_gguf

if TYPE_CHECKING:
    from pathlib import Path

META: dict[str, Value] = {
    "general.architecture": "llama",
    "general.name": "tiny",
    "tokenizer.chat_template": "{{ x }}",
    "llama.block_count": 2,
    "llama.embedding_length": 64,
    "llama.attention.head_count": 2,
    "llama.context_length": 4096,
}
TENSORS = [
    Tensor("token_embd.weight", (64, 100), "Q8_0"),
    Tensor("output_norm.weight", (64,), "F32"),
    Tensor("output.weight", (64, 100), "F16"),
    Tensor("rope_freqs.weight", (16,), "F32"),
    Tensor("blk.0.attn_q.weight", (64, 64), "Q4_0"),
    Tensor("blk.0.attn_norm.weight", (64,), "F32"),
    Tensor("blk.1.ffn_gate.weight", (64, 128), "Q4_0"),
    Tensor("blk.1.ffn_up.weight", (64, 128), "Q4_0"),
    Tensor("blk.1.ffn_down.weight", (128, 64), "Q8_0"),
]


def test_bytes_lie_where_their_tensors_are(tmp_path: Path) -> None:
    """Blocks, head and host each have the real bytes of their own tensors, by type."""
    read = read_workload(write_gguf(tmp_path / "m.gguf", META, TENSORS))
    assert [block.weight_bytes for block in read.blocks] == [
        {"F32": 64 + 256, "Q4_0": 64 * 36},
        {"Q4_0": 2 * 128 * 36, "Q8_0": 64 * 136},
    ]
    assert read.output.weight_bytes == {"F32": 256, "F16": 12800}
    assert (read.embedding_bytes, read.tied_embedding) == (6800, False)
    assert [block.flops_per_token for block in read.blocks] == [2 * 64 * 64, 2 * 3 * 64 * 128]
    assert read.output.flops_per_token == 2 * 6400
    assert [block.attention_flops for block in read.blocks] == [4 * 64, 4 * 64]


def test_a_workload_describes_the_model(tmp_path: Path) -> None:
    """Names, sizes and widths come from the header."""
    path = write_gguf(tmp_path / "m.gguf", META, TENSORS)
    read = read_workload(path)
    assert (read.path, read.files, read.file_bytes) == (
        str(path),
        (str(path),),
        path.stat().st_size,
    )
    assert (read.architecture, read.name, read.chat_template) == ("llama", "tiny", True)
    assert (read.n_block, read.n_embd, read.n_vocab, read.n_ctx_train) == (2, 64, 100, 4096)
    assert (read.n_head, read.head_dim, read.n_ff, read.n_expert_used) == (2, 32, 128, 0)
    assert read.parameters == sum(
        [6400, 64, 6400, 16, 4096, 64, 8192, 8192, 8192],
    )


def test_a_tied_output_reads_the_embedding(tmp_path: Path) -> None:
    """Without an output matrix the head weighs what the embedding weighs, a second time."""
    rows = [row for row in TENSORS if row.name != "output.weight"]
    read = read_workload(write_gguf(tmp_path / "m.gguf", META, rows))
    assert read.tied_embedding
    assert read.output.weight_bytes == {"F32": 256, "Q8_0": 6800}
    assert read.embedding_bytes == 6800


def test_experts_count_by_what_a_token_uses(tmp_path: Path) -> None:
    """Routed experts weigh in full but compute only for the share that a token uses."""
    path = ggufs.qwen3moe_like(tmp_path / "m.gguf", n_block=1)
    block = read_workload(path).blocks[0]
    experts = 3 * 2048 * 768 * 128
    assert block.expert_bytes == experts // 256 * 144
    assert block.expert_share == 8 / 128
    rest = 2 * 2048 * 4096 + 2 * 2048 * 512 + 2048 * 128
    assert block.flops_per_token == pytest.approx(2 * (rest + experts / 16))


def test_dense_first_blocks_differ_from_the_others(tmp_path: Path) -> None:
    """Real bytes per block, never an average: DeepSeek's dense blocks are far smaller."""
    read = read_workload(ggufs.deepseek2_like(tmp_path / "m.gguf", n_block=4))
    assert [block.expert_bytes > 0 for block in read.blocks] == [False] * 3 + [True]
    assert read.blocks[3].total_weight_bytes > 10 * read.blocks[0].total_weight_bytes
    assert (read.n_ff, read.n_expert_used) == (2048, 8)


def test_blocks_that_predict_further_tokens_weigh_nothing(tmp_path: Path) -> None:
    """llama.cpp counts MTP blocks when it places layers but does not load them."""
    meta: dict[str, Value] = {**META, "llama.nextn_predict_layers": 1}
    read = read_workload(write_gguf(tmp_path / "m.gguf", meta, TENSORS))
    assert read.n_block == 2
    assert read.blocks[1] == Block(weight_bytes={})


def test_a_model_without_attention_has_no_heads(tmp_path: Path) -> None:
    """A recurrent model keeps state, attends to nothing and needs no head width."""
    read = read_workload(ggufs.mamba_like(tmp_path / "m.gguf", n_block=2))
    assert (read.n_head, read.head_dim, read.n_ff) == (0, 0, 0)
    assert {block.attention_flops for block in read.blocks} == {0.0}
    assert all(block.kv.state_bytes for block in read.blocks)


def test_a_split_model_is_one_workload(tmp_path: Path) -> None:
    """Parts add up to the same blocks as one file, named by the first part."""
    whole = read_workload(write_gguf(tmp_path / "m.gguf", META, TENSORS))
    names = [tmp_path / f"m-{number}-of-00002.gguf" for number in ("00001", "00002")]
    split: dict[str, Value] = {"split.count": 2, "split.tensors.count": len(TENSORS)}
    write_gguf(names[0], {**META, **split, "split.no": 0}, TENSORS[:4])
    write_gguf(names[1], {"split.count": 2, "split.no": 1}, TENSORS[4:])
    read = read_workload(names[1])
    assert (read.blocks, read.output) == (whole.blocks, whole.output)
    assert read.path == str(names[0])
    assert read.files == tuple(map(str, names))


@pytest.mark.parametrize(
    ("meta", "rows", "message"),
    [
        ({}, [], "it has no token embedding"),
        ({}, [*TENSORS, Tensor("blk.2.x.weight", (1,), "F32")], "'blk.2.x.weight' is of no block"),
        (
            {"llama.expert_count": 2, "llama.expert_used_count": 3},
            [*TENSORS, Tensor("blk.0.ffn_up_exps.weight", (64, 64, 2), "F32")],
            "a token uses 3 of 2 experts",
        ),
    ],
    ids=["no embedding", "no such block", "experts"],
)
def test_contradictions_are_named(
    tmp_path: Path, meta: dict[str, Value], rows: list[Tensor], message: str
) -> None:
    """A header that is well-formed but makes no model is a ModelError."""
    with pytest.raises(ModelError, match=message):
        read_workload(write_gguf(tmp_path / "m.gguf", {**META, **meta}, rows))


NUMBERS = st.sampled_from([0, 1, 2, 3, 4, 255, 2**31 - 1, 2**32 - 1])


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damage_is_an_error_or_a_workload(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A header with any number in any place gives a workload or a ModelError, nothing else."""
    keys = ("block_count", "embedding_length", "attention.head_count", "nextn_predict_layers")
    more = ("attention.key_length", "expert_used_count", "expert_count", "vocab_size")
    wrong = data.draw(st.dictionaries(st.sampled_from(keys + more), NUMBERS, max_size=4))
    meta = META | {f"llama.{key}": number for key, number in wrong.items()}
    header, size = build(meta, TENSORS)
    damaged = bytearray(header)
    if data.draw(st.booleans()):
        damaged[data.draw(st.integers(0, len(header) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.gguf"
    path.write_bytes(bytes(damaged) + bytes(size))
    try:
        read_workload(path)
    except ModelError as error:
        assert "\n" not in error.message
