"""What crosses between two devices of a pipeline."""

from __future__ import annotations

import pytest

from hgx.gguf.crossing import Crossing, crossings
from hgx.gguf.mixers import Mixer
from hgx.gguf.scratch import Widths

ATTENTION = Widths(4, q=4, k=4, v=4, attn=4)
UNNORMED = ATTENTION._replace(normed=False)
MAMBA = Widths(4, mixer=Mixer("mamba", 8, 8, 1))
MAMBA2 = Widths(4, mixer=Mixer("mamba2", 8, 12, 1))
BOTH = MAMBA2._replace(attn=4)
RWKV7 = Widths(4, ff=16, mixer=Mixer("rwkv7", 4))
CONVOLUTION = Widths(4, mixer=Mixer("convolution", 4))
DENSE = Widths(4, ff=16)
EXPERTS = MAMBA._replace(expert_ff=8)

# As the scheduler of build 11434 splits models of these kinds.
CASES = {
    "a norm": ([ATTENTION, ATTENTION], Crossing(4)),
    "no norm": ([UNNORMED, UNNORMED], Crossing()),
    "mamba": ([MAMBA, MAMBA], Crossing(4 + 16, 8)),
    "mamba2": ([MAMBA2, MAMBA2], Crossing(4 + 21, 8)),
    "rwkv7": ([RWKV7, RWKV7], Crossing(4 + 12, 4)),
    "attention begins": ([MAMBA2, ATTENTION], Crossing(4)),
    "attention ended": ([ATTENTION, MAMBA2], Crossing(4)),
    "attention beside it begins": ([BOTH, BOTH], Crossing(4)),
    "experts ended": ([EXPERTS, MAMBA], Crossing(4)),
    "short convolutions": ([CONVOLUTION, CONVOLUTION], Crossing(4)),
    "a feed-forward": ([DENSE, DENSE], Crossing(4)),
}


@pytest.mark.parametrize(("blocks", "expected"), CASES.values(), ids=CASES)
def test_what_crosses(blocks: list[Widths], expected: Crossing) -> None:
    """The norm of the next block, and what is left to do of a mixer; behind the last, nothing."""
    assert crossings(blocks) == (expected, Crossing())


def test_a_mixer_is_finished_however_far_back_it_is() -> None:
    """Blocks of a feed-forward alone finish nothing, and begin nothing."""
    assert crossings([MAMBA2, DENSE, DENSE, MAMBA2])[:3] == (Crossing(4 + 21, 8),) * 3
