"""``--ctx max``: the longest context that fits, and the next one does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hgx.flows.context import LIMIT, Chosen, Longest, choose_context
from hgx.planner.solve import solve
from tests.planner.made import MB, block, device, link, options, registry, workload

if TYPE_CHECKING:
    from hgx.core.options import PlanOptions
    from hgx.core.registry import Registry
    from hgx.core.workload import Workload

FREE = options(coordinator=None)


def model(n_ctx_train: int | None = 65536, width: int = 1024) -> Workload:
    """A model of 210 MB, and 4 KiB per block and token unless told otherwise."""
    return workload(blocks=[block(kv_width=width)] * 4, n_ctx_train=n_ctx_train)


def fits(known: Registry, asked: PlanOptions, ctx: int, of: Workload) -> bool:
    """Whether a plan is found for a context."""
    return solve(known, of, asked.model_copy(update={"ctx": ctx}), this_node="a").status != (
        "infeasible"
    )


@settings(max_examples=30)
@given(
    sizes=st.lists(st.integers(80, 700), min_size=1, max_size=3),
    width=st.sampled_from((256, 1024)),
    parallel=st.sampled_from((1, 3)),
    kv_type=st.sampled_from(("f16", "q8_0")),
)
def test_it_fits_and_the_next_does_not(
    sizes: list[int], width: int, parallel: int, kv_type: str
) -> None:
    """Whatever the devices, up to what the model was trained for."""
    devices = [device(f"{n}/cuda:0", s * MB) for n, s in zip("abc", sizes, strict=False)]
    known, of = registry(*devices), model(16384, width)
    asked = FREE.model_copy(update={"parallel": parallel, "kv_type": kv_type})
    assume(fits(known, asked, 256, of))
    found = choose_context(of, known, asked, "a", Longest())
    ctx = found.options.ctx
    assert found.options == asked.model_copy(update={"ctx": ctx})
    assert ctx % 256 == 0
    assert fits(known, asked, ctx, of)
    if ctx == 16384:
        assert found.notes == ("context 16384: all that the model was trained for",)
    else:
        assert found.notes == (f"context {ctx}: the longest that fits",)
        assert not fits(known, asked, ctx + 256, of)


@pytest.mark.parametrize(
    ("trained", "most", "ctx", "note"),
    [
        (1000, None, 768, "all that the model was trained for"),
        (100, None, 100, "all that the model was trained for"),
        (1000, 5000, 4864, "all that was asked for"),
        (8192, 512, 512, "all that was asked for"),
        (None, None, LIMIT, "the model does not say how long a context it was trained for"),
    ],
)
def test_where_there_is_room_the_limit_is_another(
    trained: int | None, most: int | None, ctx: int, note: str
) -> None:
    """What the model was trained for, what the user asks for instead, or a million."""
    known = registry(device("a/cuda:0", 10**6 * MB))
    found = choose_context(model(trained), known, FREE, "a", Longest(most))
    assert found == Chosen(FREE.model_copy(update={"ctx": ctx}), (f"context {ctx}: {note}",))


def test_without_the_wish_nothing_changes() -> None:
    """The options are those that were given."""
    known = registry(device("a/cuda:0"))
    assert choose_context(model(), known, FREE, "a", None) == Chosen(FREE)


def test_where_nothing_fits_the_shortest_is_left_to_the_plan() -> None:
    """It is the plan that says why."""
    known = registry(device("a/cuda:0", 100 * MB))
    asked = FREE.model_copy(update={"ctx": 4096})
    found = choose_context(model(), known, asked, "a", Longest())
    assert found == Chosen(asked.model_copy(update={"ctx": 256}))


def test_weights_on_the_disk_are_the_last_resort() -> None:
    """Where no context leaves room for the weights, it is one for which they need not be there."""
    known = registry(device("a/cpu:0", 200 * MB), ram={"a": 200 * MB})
    node = known.nodes[0].model_copy(update={"disk_read_bytes_per_s": 1e9})
    known = known.model_copy(update={"nodes": (node,)})
    found = choose_context(model(), known, FREE, "a", Longest())
    ctx = found.options.ctx
    assert found.notes == (
        f"context {ctx}: the longest that fits, with weights that are read from the disk",
    )
    assert fits(known, FREE, ctx, model())
    assert not fits(known, FREE, ctx + 256, model())
    pinned = choose_context(model(), known, FREE, "a", Longest(), placement=[("a/cpu:0", 0, 3)])
    assert pinned == found


def test_a_placement_that_is_given_is_kept() -> None:
    """The longest context for it is no longer than the longest of all."""
    known = registry(device("a/cuda:0", 400 * MB), device("a/cuda:1", 300 * MB))
    pins = [("a/cuda:1", 0, 2), ("a/cuda:0", 3, 3)]
    pinned = choose_context(model(), known, FREE, "a", Longest(), placement=pins)
    free = choose_context(model(), known, FREE, "a", Longest())
    assert 256 < pinned.options.ctx < free.options.ctx


def test_paired_nodes_without_a_measured_link_count() -> None:
    """As they do for a plan."""
    known = registry(device("a/cuda:0", 150 * MB), device("b/cuda:0", 400 * MB), links=[])
    nodes = [n.model_copy(update={"paired": n.id == "b" or None}) for n in known.nodes]
    known = known.model_copy(update={"nodes": tuple(nodes)})
    linked = known.model_copy(update={"links": (link("a", "b"),)})
    found = choose_context(model(), known, FREE, "a", Longest())
    assert found.notes
    assert found == choose_context(model(), linked, FREE, "a", Longest())


class Clock:
    """A clock that goes on by a second whenever it is looked at."""

    now = 0.0

    def __call__(self) -> float:
        """Tell the time."""
        self.now += 1.0
        return self.now


def test_what_could_not_be_tried_in_time_is_said() -> None:
    """A longer one may fit then; nobody claims that none does."""
    sizes = (60, 90, 40)
    of = workload(
        blocks=[block(size * MB, kv_width=256) for size in sizes],
        head=MB,
        embedding=MB,
        n_ctx_train=65536,
    )
    memory = {"b/cuda:0": 105, "c/cuda:0": 75, "d/cuda:0": 55}
    known = registry(*(device(name, size * MB) for name, size in memory.items()), nodes=("a",))
    roomy = device("e/cuda:0", 215 * MB)
    known = registry(*known.devices, roomy, nodes=("a",))
    asked = FREE.model_copy(update={"timeout_s": 1.0})
    found = choose_context(of, known, asked, "a", Longest(), clock=Clock())
    ctx = found.options.ctx
    assert found.notes == (
        f"context {ctx}: the longest that fits of those that could be tried in time",
    )
    assert fits(known, FREE, ctx, of)
