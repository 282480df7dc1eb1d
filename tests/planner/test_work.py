"""What there is to read and to compute."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.core.options import PlanOptions
from hgx.core.workload import Block, KvShape
from hgx.planner.work import UBATCH, measure_work, run_shape
from tests.planner.made import MB, block, workload


@given(prompt=st.integers(1, 3000), ctx=st.integers(1, 3000))
def test_prefill_passes_every_token_of_the_prompt_once(prompt: int, ctx: int) -> None:
    """Micro-batches are full but for the last, and hold the prompt as far as the context does."""
    work = measure_work(workload(), PlanOptions(prompt_tokens=prompt, ctx=ctx))
    assert sum(batch.tokens * batch.times for batch in work.prefill) == min(prompt, ctx)
    assert all(1 <= batch.tokens <= UBATCH for batch in work.prefill)
    assert all(batch.tokens == UBATCH for batch in work.prefill[:-1])


def test_decode_reads_weights_once_and_kv_per_stream() -> None:
    """Streams share the weights of a step, and each reads its own cells at the mean context."""
    options = PlanOptions(ctx=4096, prompt_tokens=100, output_tokens=200, parallel=3)
    batch = measure_work(workload([50 * MB], head=7 * MB), options).decode
    context = 100 + 200 / 2
    assert batch.context == context
    assert batch.read_bytes.tolist() == [50 * MB + 3 * context * 2 * (64 + 64), 7 * MB]
    assert batch.flops.tolist() == [3 * (200.0 * MB + 1000 * context), 3 * 14.0 * MB]
    assert (batch.tokens, batch.outputs, batch.times) == (3, 3, 1)


def test_a_window_ends_what_is_looked_back_on() -> None:
    """A sliding window bounds both the cells read and the operations of attention."""
    windowed = Block(
        weight_bytes={"F16": 10}, attention_flops=2.0, kv=KvShape(k_width=1, v_width=1, window=16)
    )
    options = PlanOptions(prompt_tokens=1000, output_tokens=2)
    batch = measure_work(workload(blocks=[windowed]), options).decode
    assert (batch.read_bytes[0], batch.flops[0]) == (10 + 16 * 4, 32.0)


def test_a_recurrent_state_is_read_whole() -> None:
    """State has one size per stream, however long the context is."""
    recurrent = Block(weight_bytes={}, kv=KvShape(state_bytes=500))
    batch = measure_work(workload(blocks=[recurrent]), PlanOptions(parallel=2)).decode
    assert batch.read_bytes[0] == 1000


@pytest.mark.parametrize(("parallel", "touched"), [(1, 0.25), (2, 0.4375), (64, 1.0)])
def test_more_streams_touch_more_experts(parallel: int, touched: float) -> None:
    """Each token picks its own experts, so that many tokens read nearly all of them."""
    routed = Block(weight_bytes={"Q4_K": 100}, expert_bytes=80, expert_share=0.25)
    batch = measure_work(workload(blocks=[routed]), PlanOptions(parallel=parallel)).decode
    assert batch.read_bytes[0] == pytest.approx(20 + 80 * touched)


def test_a_smaller_kv_type_is_read_faster() -> None:
    """Bytes per token follow the KV type: 34 bytes for 32 elements of q8_0."""
    options = PlanOptions(prompt_tokens=100, output_tokens=2, kv_type="q8_0")
    batch = measure_work(workload(blocks=[block(0)]), options).decode
    assert batch.read_bytes[0] == pytest.approx(101 * 128 * 34 / 32)


def test_work_is_told_apart_by_type() -> None:
    """Every type has its own bytes, and operations in proportion to its elements."""
    mixed = Block(weight_bytes={"Q4_K": 144 * MB, "F16": 512 * MB}, flops_per_token=8e9)
    options = PlanOptions(prompt_tokens=100, output_tokens=2, parallel=3)
    work = measure_work(workload(blocks=[mixed], head=7 * MB), options)
    kinds = work.decode.kinds
    assert kinds.names == ("F16", "Q4_K", "Q6_K")
    assert kinds.weights.tolist() == [[512 * MB, 0], [144 * MB, 0], [0, 7 * MB]]
    assert kinds.flops[:, 0].tolist() == pytest.approx([3 * 4e9, 3 * 4e9, 0])
    assert kinds.flops[:, 1].tolist() == [0, 0, 3 * 14.0 * MB]
    assert (work.decode.prefill, [batch.prefill for batch in work.prefill]) == (False, [True])


def test_experts_that_are_not_used_are_not_read() -> None:
    """The types of a routed block are read in proportion to what is read of it at all."""
    routed = Block(weight_bytes={"Q4_K": 60, "Q6_K": 40}, expert_bytes=80, expert_share=0.25)
    batch = measure_work(workload(blocks=[routed]), PlanOptions()).decode
    assert batch.kinds.weights[:, 0].tolist() == pytest.approx([24, 16])


def test_what_is_cached_is_looked_back_on_and_not_computed() -> None:
    """Tokens in the cache take no part in prefill but as context; one token is always computed."""
    options = PlanOptions(prompt_tokens=1000, cached_tokens=900)
    (batch,) = measure_work(workload(), options).prefill
    assert (batch.tokens, batch.context) == (100, 950)
    for all_ in (1000, 5000):
        asked = options.model_copy(update={"cached_tokens": all_})
        (batch,) = measure_work(workload(), asked).prefill
        assert (batch.tokens, batch.context) == (1, 999.5)


def test_memory_is_counted_for_all_logits_of_a_batch() -> None:
    """The shape of a run carries the options over, and keeps logits for a whole micro-batch."""
    shape = run_shape(PlanOptions(ctx=1000, parallel=2, kv_type="q4_0"))
    assert (shape.ctx, shape.parallel, shape.kv_type) == (1000, 2, "q4_0")
    assert shape.outputs == shape.ubatch == UBATCH
