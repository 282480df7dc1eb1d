"""Scores: what makes a device better, and by how much."""

from __future__ import annotations

import pytest
from hypothesis import given

from hgx.planner.scores import IDLE_C, NEAR_S, UNKNOWN_THERMAL, WEIGHTS, score_devices
from tests.planner.made import MB, Case, cases, device, link, registry


@given(question=cases(devices=5))
def test_every_aspect_is_between_nothing_and_all(question: Case) -> None:
    """Aspects lie in 0..1, the total is their weighted sum, and the best device comes first."""
    scores = score_devices(question.registry, "a", 256)
    for score in scores:
        aspects = {name: getattr(score, name) for name in WEIGHTS}
        assert all(0.0 <= part <= 1.0 for part in aspects.values())
        assert score.total == pytest.approx(
            sum(WEIGHTS[name] * part for name, part in aspects.items())
        )
    assert [score.total for score in scores] == sorted((s.total for s in scores), reverse=True)
    assert {score.device for score in scores} == {one.id for one in question.registry.devices}


def test_weights_add_up_to_one() -> None:
    """So a device that is best in everything scores 1."""
    assert sum(WEIGHTS.values()) == pytest.approx(1.0)
    hot_limit = {"temperature_c": IDLE_C, "temperature_limit_c": 90.0}
    (score,) = score_devices(registry(device("a/cuda:0").model_copy(update=hot_limit)), "a", 256)
    assert score.total == pytest.approx(1.0)


def test_aspects_are_relative_to_the_largest() -> None:
    """Half the rate, half the memory, half the arithmetic: half the score each."""
    scores = score_devices(
        registry(
            device("a/cuda:0", 800 * MB, 2e11, 2e13),
            device("a/cuda:1", 800 * MB, 1e11, 1e13, free=400 * MB),
        ),
        "a",
        256,
    )
    half = scores[1]
    assert (half.device, half.compute, half.memory, half.bandwidth) == ("a/cuda:1", 0.5, 0.5, 0.5)


def test_near_devices_score_higher() -> None:
    """On the coordinator 1, on a near wire one half, out of reach 0."""
    hidden = 4.0 * 256
    near = link("a", "b", NEAR_S - 2 * hidden / 1e8, 1e8)
    scores = score_devices(
        registry(*(device(f"{node}/cuda:0") for node in "abc"), links=[near]), "a", 256
    )
    network = {score.device: score.network for score in scores}
    assert network == {"a/cuda:0": 1.0, "b/cuda:0": pytest.approx(0.5), "c/cuda:0": 0.0}


@pytest.mark.parametrize(
    ("now", "limit", "expected"),
    [
        (None, 90.0, UNKNOWN_THERMAL),
        (60.0, None, UNKNOWN_THERMAL),
        (60.0, IDLE_C, UNKNOWN_THERMAL),
        (IDLE_C, 90.0, 1.0),
        (65.0, 90.0, 0.5),
        (20.0, 90.0, 1.0),
        (95.0, 90.0, 0.0),
    ],
)
def test_cool_devices_score_higher(now: float | None, limit: float | None, expected: float) -> None:
    """The way left to the limit counts; where nothing is known, the middle."""
    warm = device("a/cuda:0").model_copy(
        update={"temperature_c": now, "temperature_limit_c": limit}
    )
    assert score_devices(registry(warm), "a", 256)[0].thermal == expected


def test_equal_totals_are_ordered_by_name() -> None:
    """The order does not depend on that of the registry."""
    devices = [device(f"{node}/cuda:0") for node in "cb"]
    scores = score_devices(registry(*devices, nodes=("a",)), "a", 256)
    assert [score.device for score in scores] == ["b/cuda:0", "c/cuda:0"]


def test_no_devices_have_no_scores() -> None:
    """A registry of nodes alone has nothing to judge."""
    assert score_devices(registry(nodes=("a",)), "a", 256) == ()


def test_devices_without_any_memory_left_score_zero_for_it() -> None:
    """Where no device has free memory, the aspect is 0 and not undefined."""
    assert score_devices(registry(device("a/cuda:0", free=0)), "a", 256)[0].memory == 0.0
