"""The replay of llama.cpp's allocator."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from hgx.gguf.replay import Graph


def test_results_stand_side_by_side_until_their_last_use() -> None:
    """What is read once more is kept; what is not gives way."""
    graph = Graph()
    first = graph.new(4)
    second = graph.new(3, first)
    graph.new(2, first, second)
    assert graph.peak() == 9
    graph = Graph()
    first = graph.new(4)
    second = graph.new(3, first)
    graph.new(2, second)
    assert graph.peak() == 7


def test_a_result_takes_the_smallest_gap() -> None:
    """Of gaps that are large enough the smallest, of equal ones the last, else the end."""
    graph = Graph()
    wide, wall, narrow, end = graph.new(8), graph.new(1), graph.new(4), graph.new(1)
    graph.use(wide)
    graph.use(narrow)
    fitting = graph.new(4, wall)
    after = graph.new(9, end)
    graph.use(fitting, after, wall, end)
    assert graph.peak() == 8 + 1 + 4 + 1 + 9
    graph = Graph()
    one, wall, other, end = graph.new(4), graph.new(1), graph.new(4), graph.new(1)
    graph.use(one)
    graph.use(other)
    third = graph.new(3)
    fourth = graph.new(4, third)
    graph.use(wall, end, fourth)
    assert graph.peak() == 10


def test_what_is_done_in_place_takes_no_room() -> None:
    """It takes the place of a source of its size, unless that is needed again."""
    graph = Graph()
    first = graph.new(4)
    graph.over(4, first)
    assert graph.peak() == 4
    graph = Graph()
    first = graph.new(4)
    second = graph.over(4, first)
    graph.use(first, second)
    assert graph.peak() == 8
    graph = Graph()
    graph.over(2, graph.new(4))
    assert graph.peak() == 6


class Drawn(NamedTuple):
    """A result as it is drawn: its size, how far back its sources are, and whether in place."""

    size: int
    back: tuple[int, ...]
    in_place: bool


drawn = st.builds(
    Drawn,
    st.integers(0, 9),
    st.sets(st.integers(1, 5), max_size=3).map(tuple),
    st.booleans(),
)


@given(st.lists(drawn, min_size=1, max_size=30))
def test_no_less_than_what_is_needed_and_no_more_than_everything(steps: list[Drawn]) -> None:
    """The buffer holds what a step reads and gives, and is no larger than all results together."""
    graph = Graph()
    sizes: list[int] = []
    least = 0
    for number, (size, back, in_place) in enumerate(steps):
        sources = [number - each for each in back if each <= number]
        (graph.over if in_place else graph.new)(size, *sources)
        read = sum(sizes[source] for source in sources)
        least = max(least, read if in_place else read + size)
        sizes.append(size)
    assert least <= graph.peak() <= sum(sizes)
