"""The intermediate results of one block, beside what llama.cpp takes for them."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.gguf.scratch import Widths, block_scratch, expert_scratch, head_scratch

# Thirds of what is to come: MiB at 512 tokens, from llama-fit-params of build 11434 on a device
# behind the host, less its masks; E, Q and F are the hidden, query and feed-forward widths.
DENSE = [(16, 16, 56, 216), (7, 7, 37, 132), (5, 8, 19, 67)]


@pytest.mark.parametrize(("embd", "query", "ff", "expected"), DENSE)
def test_dense_blocks(embd: int, query: int, ff: int, expected: int) -> None:
    """For a dense block the replay comes to what llama.cpp allocates, or nearly so."""
    found = block_scratch(Widths(embd, q=query, k=2, v=2, attn=query, ff=ff, up=ff))
    assert found == pytest.approx(expected, abs=embd)


class Case(NamedTuple):
    """A block beside a plain one, and by how much it takes more."""

    changed: dict[str, int | bool]
    more: int


PLAIN = Widths(10, q=10, k=2, v=2, attn=10, ff=40, up=40)
CASES = {
    "no gate": Case({"gated": False}, -80),
    "a fused gate": Case({"gated": False, "up": 80}, 0),
    "one product for all of attention": Case({"fused": True}, 0),
    "side by side": Case({"ff_normed": False}, 0),
    "no feed-forward": Case({"ff": 0, "up": 0}, -100),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_blocks_that_differ(case: Case) -> None:
    """What a block does otherwise changes what it takes."""
    found = block_scratch(PLAIN._replace(**case.changed)) - block_scratch(PLAIN)
    assert found == pytest.approx(case.more, abs=10)


def test_experts_give_their_results_side_by_side() -> None:
    """Copies of the hidden state, one per expert that a token uses, stand there before the sum."""
    few, many = (
        block_scratch(Widths(10, expert_ff=30, expert_out=10 * used, router=8)) for used in (2, 20)
    )
    assert few < 10 + 10 + 3 * 30 + 2 * 20 + 3 * 8 < 200 < many
    weighted = Widths(10, expert_ff=30, expert_out=20, expert_in=20, router=8)
    assert block_scratch(weighted) > few


def test_logits_stand_behind_the_hidden_state() -> None:
    """That is where the last block left it, one to a few hidden states from the beginning."""
    assert 10 <= head_scratch([PLAIN] * 4) <= 40


sizes = st.integers(0, 64)
widths = st.builds(
    Widths,
    embd=st.integers(1, 64),
    q=sizes,
    k=sizes,
    v=sizes,
    attn=sizes,
    fused=st.booleans(),
    normed=st.booleans(),
    ff_normed=st.booleans(),
    ff=sizes,
    up=sizes,
    gated=st.booleans(),
    expert_ff=sizes,
    expert_out=sizes,
    expert_in=sizes,
    expert_gated=st.booleans(),
    router=sizes,
    biased=st.booleans(),
)


@given(widths)
def test_a_block_holds_its_largest_results(each: Widths) -> None:
    """It takes no less than the hidden state and its widest step."""
    taken = block_scratch(each)
    assert taken >= each.embd
    if each.expert_ff:
        assert taken >= each.expert_ff + each.expert_out
    elif each.ff:
        assert taken >= each.up * (1 + each.gated)


def test_experts_elsewhere_leave_their_results_only() -> None:
    """Beside the hidden states, a block then has what its experts gave, not what made that."""
    one = Widths(10, expert_ff=3000, expert_out=80, router=8)
    assert block_scratch(one._replace(experts_apart=True)) < 200
    assert block_scratch(one) > 3000


def test_experts_by_themselves() -> None:
    """Results find room where products stood, if they are no larger; else they come behind."""
    few, many = (
        expert_scratch(Widths(10, expert_ff=100, expert_out=10 * used)) for used in (2, 30)
    )
    assert few == 2 * 10 + 3 * 100
    assert many == 2 * 10 + 3 * 100 + 300
    assert expert_scratch(Widths(10, expert_ff=100, expert_out=20, expert_gated=False)) == 140
