"""The intermediate results of recurrent mixers."""

from __future__ import annotations

import pytest

from hgx.gguf.mixers import Mixer, mix
from hgx.gguf.replay import Graph
from hgx.gguf.scratch import Widths, block_scratch

# MiB at 512 tokens, from llama-fit-params of build 11434 on a device behind the host.
MEASURED = {
    "Mamba-2.8B": (Widths(5, mixer=Mixer("mamba", 10, 10)), 62),
    "Mamba-Codestral-7B": (Widths(8, mixer=Mixer("mamba2", 16, 20, 0, 4)), 108),
    "RWKV-7-World-2.9B": (Widths(5, ff=20, up=20, gated=False, mixer=Mixer("rwkv7", 5)), 91),
}


@pytest.mark.parametrize(("widths", "expected"), MEASURED.values(), ids=MEASURED)
def test_what_was_measured(widths: Widths, expected: int) -> None:
    """The replay comes to what llama.cpp allocates, within the 16 MiB that estimates may be off."""
    assert block_scratch(widths) == pytest.approx(expected, abs=16)


def test_a_short_convolution_is_small() -> None:
    """It reads three parts at once, and has few results besides."""
    graph = Graph()
    mix(graph, graph.new(4), Mixer("convolution", 4))
    assert graph.peak() == 4 * (3 + 2)


def test_one_of_no_known_order_takes_its_sum() -> None:
    """All it gives at once stands beside what it reads."""
    graph = Graph()
    mix(graph, graph.new(4), Mixer("other", 40))
    assert graph.peak() == 44
