"""Where tokens are drawn, and what that takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.planner.cost import Wire
from hgx.planner.evaluate import evaluate
from hgx.planner.sampling import COORDINATOR_S, CPU_S, SAMPLE_BYTES, choose_sampling
from tests.planner.made import device, link, options, registry, workload


def test_a_quick_link_is_used() -> None:
    """Logits of a large vocabulary cross 10 Gbit/s sooner than a CPU sorts them."""
    sampling = choose_sampling(Wire(1e-4, 1.2e9, 1.2e9), "cpu", 262_144)
    assert not sampling.on_device
    assert sampling.extra_s == pytest.approx(4 * 262_144 / 1.2e9)


def test_a_slow_link_is_spared() -> None:
    """Over 1 Gbit/s a CPU had better draw the token itself."""
    sampling = choose_sampling(Wire(1e-4, 1e9, 1.2e8), "cpu", 262_144)
    assert sampling.on_device
    expected = 3e-4 + SAMPLE_BYTES / 1.2e8 + (CPU_S - COORDINATOR_S) * 262_144
    assert sampling.extra_s == pytest.approx(expected)


def test_a_far_device_is_asked_once() -> None:
    """A small vocabulary crosses sooner than several questions do."""
    assert choose_sampling(Wire(1e-4, 1e8, 1e8), "cuda", 32_000).on_device
    assert not choose_sampling(Wire(1e-2, 1e8, 1e8), "cuda", 32_000).on_device


@given(
    rate=st.floats(1e4, 1e12),
    backend=st.sampled_from(["cpu", "cuda"]),
    n_vocab=st.integers(1, 1_000_000),
)
def test_a_quicker_link_is_never_worse(rate: float, backend: str, n_vocab: int) -> None:
    """With the rate, the time falls, and the device is not asked to draw what it was spared."""
    slow, quick = (choose_sampling(Wire(1e-4, r, r), backend, n_vocab) for r in (rate, 2 * rate))
    assert quick.extra_s <= slow.extra_s
    assert slow.on_device or not quick.on_device


@pytest.mark.parametrize(("rate", "drawn_there"), [(1e7, True), (1e10, False)])
def test_the_plan_says_it(rate: float, drawn_there: bool) -> None:
    """A plan whose output head is away says who draws, and counts it."""
    model = workload(n_vocab=100_000)
    away = registry(device("a/cpu:0"), device("b/cpu:0"), links=[link("a", "b", 1e-6, rate)])
    plan = evaluate(away, model, [("b/cpu:0", 0, 3)], options())
    assert plan.backend_sampling is drawn_there
    alone = evaluate(away, model, [("a/cpu:0", 0, 3)], options())
    assert not alone.backend_sampling
