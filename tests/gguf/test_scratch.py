"""The replay of llama.cpp's allocator over one block."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.gguf.scratch import Widths, block_scratch

# MiB at 512 tokens, from llama-fit-params of build 11434 on a device in the middle of a pipeline,
# less its inputs; E, Q and F are the hidden, query and feed-forward widths in the same unit.
DENSE = [(16, 16, 56, 216), (8, 8, 28, 108), (10, 10, 28, 114)]


@pytest.mark.parametrize(("embd", "query", "ff", "expected"), DENSE)
def test_dense_blocks_are_exact(embd: int, query: int, ff: int, expected: int) -> None:
    """For a dense block the replay comes to what llama.cpp allocates."""
    assert block_scratch(Widths(embd, q=query, kv=4, attn=query, ff=ff)) == expected


widths = st.builds(
    Widths,
    embd=st.integers(1, 64),
    q=st.integers(0, 64),
    kv=st.integers(0, 64),
    attn=st.integers(0, 64),
    absorbed=st.integers(0, 64),
    ff=st.integers(0, 64),
    gated=st.booleans(),
    expert_ff=st.integers(0, 64),
    expert_out=st.integers(0, 64),
    router=st.integers(0, 64),
    mixer=st.integers(0, 64),
)


@given(widths)
def test_a_block_holds_its_largest_results(each: Widths) -> None:
    """The peak is no less than the largest step and no more than all results side by side."""
    peak = block_scratch(each)
    everything = sum(each) + 3 * (each.ff + each.expert_ff) + 8 * each.embd + 3 * each.attn
    assert each.embd <= peak <= 2 * everything
    if each.ff and not each.expert_ff:
        assert peak >= (2 + each.gated) * each.ff
