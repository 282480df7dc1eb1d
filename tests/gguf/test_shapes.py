"""What blocks keep, per architecture: windows, latent keys, recurrent state, shared caches."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from hgx.core.workload import KvShape
from hgx.errors import ModelError
from hgx.gguf.arch import ARCHS
from hgx.gguf.header import Header
from hgx.gguf.hyper import Hyper
from hgx.gguf.shapes import block_shapes

BASE = {
    "block_count": 4,
    "embedding_length": 64,
    "attention.head_count": 4,
    "attention.head_count_kv": 2,
}
SSM = {"ssm.conv_kernel": 4, "ssm.inner_size": 128, "ssm.state_size": 16}
MLA = {
    "attention.key_length": 40,
    "attention.value_length": 32,
    "attention.key_length_mla": 24,
    "attention.head_count_kv": 1,
}
LISTED = {"attention.sliding_window": 8, "attention.sliding_window_pattern": (True, False, 1, 0)}
HALF = {"attention.head_count_kv": (0, 2, 0, 2)}
SSM_BYTES = 4 * (3 * 128 + 16 * 128)


def hyper(arch: str, **changes: Any) -> Hyper:
    """The metadata of a model of four blocks; ``__`` in a name stands for a dot, None removes."""
    named = {key.replace("__", "."): value for key, value in changes.items()}
    meta = {key: value for key, value in {**BASE, **named}.items() if value is not None}
    full: dict[str, Any] = {f"{arch}.{key}": value for key, value in meta.items()}
    lengths = {key: 1 for key, value in full.items() if isinstance(value, tuple)}
    return Hyper(Header("m.gguf", 0, {"general.architecture": arch, **full}, lengths, ()))


def keeps(arch: str, **changes: Any) -> list[KvShape]:
    """What every block of such a model keeps."""
    return [shape.kv for shape in block_shapes(hyper(arch, **changes))]


def full(window: int | None = None, *, width: int = 32, state: int = 0) -> KvShape:
    """A block with keys and values of one width."""
    return KvShape(k_width=width, v_width=width, window=window, state_bytes=state)


STATE = KvShape(state_bytes=SSM_BYTES)
BOTH = full(state=SSM_BYTES)
NOTHING = KvShape()


class Case(NamedTuple):
    """An architecture, what its file says besides the base, and what its blocks keep."""

    arch: str
    changes: dict[str, Any]
    expected: list[KvShape]


CASES = [
    Case("llama", {}, [full()] * 4),
    Case("llama", {"attention.head_count_kv": None}, [full(width=64)] * 4),
    Case("llama", {"attention.sliding_window": 8}, [full()] * 4),
    Case("phi3", {"attention.sliding_window": 8}, [full()] * 4),
    Case(
        "deci",
        {"attention.head_count": (4, 0, 4, 4), "attention.head_count_kv": (2, 0, 4, 1)},
        [full(), NOTHING, full(width=64), full(width=16)],
    ),
    Case("gemma2", {}, [full(4096), full()] * 2),
    Case("gemma2", {"attention.sliding_window": 8}, [full(8), full()] * 2),
    Case("gemma3", {"attention.sliding_window": 8}, [full(8)] * 4),
    Case("gemma3", {}, [full()] * 4),
    Case(
        "gemma3",
        {"attention.sliding_window": 8, "attention.sliding_window_pattern": 2},
        [full(8), full()] * 2,
    ),
    Case("gemma3n", {"attention.sliding_window": 8}, [full(8)] * 4),
    Case(
        "gemma4",
        {**LISTED, "attention.key_length_swa": 8, "attention.value_length_swa": 8},
        [full(8, width=16), full()] * 2,
    ),
    Case(
        "gemma4",
        {**LISTED, "attention.shared_kv_layers": 3},
        [full(8), NOTHING, KvShape(window=8), NOTHING],
    ),
    Case("gpt-oss", {"attention.sliding_window": 8}, [full(8), full()] * 2),
    Case("cohere2", {"attention.sliding_window": 8}, [full(8)] * 3 + [full()]),
    Case("cohere2moe", {"attention.sliding_window": 8}, [full()] + [full(8)] * 3),
    Case("llama4", {}, [full(8192)] * 3 + [full()]),
    Case("llama4", {"attention.sliding_window": 0}, [full()] * 4),
    Case("exaone4", {"attention.sliding_window": 8}, [full()] * 4),
    Case("mimo2", LISTED, [full(8), full()] * 2),
    Case("deepseek2", MLA, [KvShape(k_width=40)] * 4),
    Case(
        "deepseek2",
        {**MLA, "attention.key_length_mla": None},
        [KvShape(k_width=40, v_width=32)] * 4,
    ),
    Case("glm4moe", {"nextn_predict_layers": 1}, [full()] * 3),
    Case("mamba", SSM, [STATE] * 4),
    Case("mamba2", {**SSM, "ssm.group_count": 2}, [KvShape(state_bytes=SSM_BYTES + 768)] * 4),
    Case("falcon-h1", SSM, [BOTH] * 4),
    Case("jamba", {**SSM, "attention.head_count_kv": (0, 2, 0, 0)}, [STATE, full(), STATE, STATE]),
    Case(
        "nemotron_h",
        {**SSM, "attention.head_count_kv": (0, 2, 0, 0), "feed_forward_length": (0, 0, 9, 0)},
        [STATE, full(), NOTHING, STATE],
    ),
    Case("qwen3next", SSM, [STATE] * 3 + [full()]),
    Case("qwen3next", {**SSM, "full_attention_interval": 2}, [STATE, full()] * 2),
    Case("qwen35", {**SSM, "attention.recurrent_layers": (1, 0, 0, 0)}, [STATE] + [full()] * 3),
    Case("rwkv7", {"wkv.head_size": 16}, [KvShape(state_bytes=4 * 64 * (2 + 16))] * 4),
    Case(
        "lfm2",
        {**HALF, "shortconv.l_cache": 3, "attention.sliding_window": 8},
        [KvShape(state_bytes=4 * 64 * 2), full(8)] * 2,
    ),
    Case(
        "kimi-linear",
        {**MLA, **HALF, "kda.head_dim": 16, "ssm.conv_kernel": 4},
        [KvShape(state_bytes=4 * 4 * 16 * (9 + 16)), KvShape(k_width=80)] * 2,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.arch} {sorted(case.changes)}")
def test_blocks_keep_what_llama_cpp_keeps(case: Case) -> None:
    """Each architecture's blocks keep what llama.cpp allocates for them."""
    changes = {key.replace(".", "__"): value for key, value in case.changes.items()}
    assert keeps(case.arch, **changes) == case.expected


@pytest.mark.parametrize("blocks", [32, 64])
def test_exaone4_has_windows_in_its_large_model_only(blocks: int) -> None:
    """The one model of 64 blocks has windows, whatever the metadata of the others says."""
    shapes = keeps("exaone4", block_count=blocks, attention__sliding_window=8)
    assert {shape.window for shape in shapes} == ({8, None} if blocks == 64 else {None})


def test_late_blocks_of_gemma3n_share_a_cache() -> None:
    """Blocks from the 21st on keep nothing of their own."""
    shapes = keeps("gemma3n", block_count=30, attention__sliding_window=8)
    assert [shape.k_width > 0 for shape in shapes] == [True] * 20 + [False] * 10


def test_a_window_of_zero_is_none() -> None:
    """A file that gives no window and an architecture without a default has none."""
    assert {kv.window for kv in keeps("gpt-oss", attention__sliding_window=0)} == {None}


@pytest.mark.parametrize("arch", ARCHS)
def test_every_architecture_is_read(arch: str) -> None:
    """All known architectures give one shape per block from the most ordinary metadata."""
    assert (
        len(block_shapes(hyper(arch, **{key.replace(".", "__"): v for key, v in SSM.items()}))) == 4
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"block_count": None}, "lacks llama.block_count"),
        ({"block_count": 0}, "it has 0 blocks"),
        ({"block_count": 10**9}, "it has 1000000000 blocks"),
        ({"block_count": 2.5}, "llama.block_count is not a whole number"),
        ({"nextn_predict_layers": 4}, "4 blocks of which 0 see every token"),
        ({"embedding_length": None}, "lacks llama.embedding_length"),
        ({"attention__head_count": -4}, "llama.attention.head_count is not a whole number"),
        ({"attention__head_count_kv": (2, 2)}, "does not list 4 blocks"),
        ({"attention__head_count_kv": (2, 2, -2, 2)}, "does not list 4 blocks"),
        ({"attention__head_count_kv": (2, 2, 0.5, 2)}, "does not list 4 blocks"),
    ],
)
def test_impossible_metadata_is_named(changes: dict[str, Any], message: str) -> None:
    """What is missing, negative, fractional or too short is a ModelError that names the key."""
    with pytest.raises(ModelError, match=message):
        block_shapes(hyper("llama", **changes))


def test_a_file_without_an_architecture_is_not_a_model() -> None:
    """GGUF files of other things are told apart."""
    with pytest.raises(ModelError, match="does not say its architecture"):
        Hyper(Header("m.gguf", 0, {}, {}, ()))
