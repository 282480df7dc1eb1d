"""What served requests teach."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.planner.calibrate import HALF_LIFE_S, LEAST_REQUESTS, Correction, calibrate
from tests.planner.made import device, registry
from tests.planner.requests import request

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hgx.core.registry import Device
    from hgx.core.served import ServedRequest

CARD, CPU, FAR = (device(name) for name in ("a/cuda:0", "a/cpu:0", "b/cuda:0"))
KNOWN = registry(CARD, CPU, FAR)
FACTORS = st.floats(0.4, 2.5)


def served(
    factors: Mapping[str, float], count: int, noise: float, seed: int
) -> Iterator[ServedRequest]:
    """Requests of a world where devices take so many times as long; all placements occur."""
    draw = random.Random(seed)  # noqa: S311 - noise, not secrets
    devices = [one for one in (CARD, CPU, FAR) if one.id in factors]
    for at in range(count):
        used = [one for which, one in enumerate(devices) if (at % 7 + 1) >> which & 1] or devices
        parts = [(one, draw.uniform(0.01, 0.03)) for one in used]
        rest = draw.uniform(0.0, 0.005)
        took = rest + sum(factors[one.id] * seconds for one, seconds in parts)
        scattered = took * math.exp(draw.gauss(0.0, noise))
        yield request(parts, rest_s=rest, tpot_s=scattered, ttft_s=10 * scattered)


def decode(requests: Sequence[ServedRequest], one: Device = CARD) -> float:
    """The factor by which a device's decode is corrected."""
    return calibrate(KNOWN, requests).get(one.id, Correction()).decode.value


@given(factors=st.tuples(FACTORS, FACTORS, FACTORS), seed=st.integers(0, 10**6))
def test_true_factors_are_found(factors: tuple[float, float, float], seed: int) -> None:
    """From requests of several placements and 4% of noise, every device's factor is recovered."""
    true = dict(zip((CARD.id, CPU.id, FAR.id), factors, strict=True))
    found = calibrate(KNOWN, list(served(true, 70, 0.04, seed)))
    for name, factor in true.items():
        for learnt in found[name]:
            assert learnt.value == pytest.approx(factor, rel=0.15)
            assert abs(learnt.value - factor) < 6 * learnt.error
            assert learnt.requests == 40


@given(factor=FACTORS, seed=st.integers(0, 10**6), absurd=st.sampled_from((1e-6, 0.01, 100, 1e9)))
def test_one_absurd_request_hardly_matters(factor: float, seed: int, absurd: float) -> None:
    """A request that took a hundred times as long, or none at all, moves the factor little."""
    good = list(served({CARD.id: factor}, 8, 0.02, seed))
    bad = request([(CARD, 0.02)], tpot_s=0.02 * absurd)
    assert decode([*good, bad]) == pytest.approx(decode(good), rel=0.05)


@given(factor=FACTORS, seed=st.integers(0, 10**6))
def test_the_order_of_requests_does_not_matter(factor: float, seed: int) -> None:
    """A ledger read backwards teaches the same."""
    requests = list(served({CARD.id: factor, CPU.id: 1.0}, 12, 0.1, seed))
    assert decode(requests) == pytest.approx(decode(requests[::-1]))


def test_nothing_is_learnt_of_nothing() -> None:
    """Without requests, and with fewer than three of a device, there are no corrections."""
    one = request([(CARD, 0.02)], tpot_s=0.04, ttft_s=0.3)
    assert calibrate(KNOWN, []) == {}
    assert calibrate(KNOWN, [one] * (LEAST_REQUESTS - 1)) == {}
    assert calibrate(KNOWN, [one] * LEAST_REQUESTS).keys() == {CARD.id}


def test_a_device_with_few_requests_is_taken_at_its_word() -> None:
    """Its seconds count as predicted in what other devices are learnt from."""
    alone = [request([(CARD, 0.02)], tpot_s=0.03)] * 4
    together = [request([(CARD, 0.02), (CPU, 0.02)], tpot_s=0.03 + 0.02)] * 2
    found = calibrate(KNOWN, [*alone, *together])
    assert found.keys() == {CARD.id}
    assert found[CARD.id].decode.value == pytest.approx(1.5, rel=0.01)


def test_other_rates_are_another_device() -> None:
    """What was learnt before a device was measured anew is not applied to its new rates."""
    slow = CARD.model_copy(update={"memory_bandwidth_bytes_per_s": 5e10})
    requests = [request([(slow, 0.04), (CPU, 0.01)], tpot_s=0.02 + 0.02)] * 9
    requests += [request([(CPU, 0.01)], tpot_s=0.02)] * 9
    found = calibrate(KNOWN, requests)
    assert found.keys() == {CPU.id}
    assert found[CPU.id].decode.value == pytest.approx(2.0, rel=0.02)


def test_the_wire_is_no_devices_fault() -> None:
    """Seconds that were predicted for the wire are taken off before devices are judged."""
    requests = [request([(CARD, 0.01)], rest_s=0.09, tpot_s=0.11)] * 20
    assert decode(requests) == pytest.approx(2.0, rel=0.1)


def test_short_requests_tell_nothing() -> None:
    """Few tokens of an answer or a prompt, or most of it cached, are not learnt from."""
    assert calibrate(KNOWN, [request([(CARD, 0.02)], tpot_s=0.06, output=7)] * 9) == {}
    short = [request([(CARD, 0.02)], tpot_s=None, ttft_s=0.6, prompt=31)] * 9
    cached = [request([(CARD, 0.02)], tpot_s=None, ttft_s=0.6, prompt=100, cached=69)] * 9
    assert calibrate(KNOWN, [*short, *cached]) == {}


def test_phases_are_corrected_apart() -> None:
    """A prompt that took twice as long says nothing of the tokens after it."""
    found = calibrate(KNOWN, [request([(CARD, 0.02)], tpot_s=None, ttft_s=0.4)] * 9)
    assert found[CARD.id].prefill.value == pytest.approx(2.0, rel=0.01)
    assert found[CARD.id].decode == Correction().decode


def test_what_is_recent_counts_more() -> None:
    """After a change, the requests since then prevail over as many from weeks before."""
    old = [request([(CARD, 0.02)], tpot_s=0.02, age_s=6 * HALF_LIFE_S)] * 10
    new = [request([(CARD, 0.02)], tpot_s=0.03)] * 10
    assert decode([*old, *new]) > 1.4
    assert decode([*old, new[0]]) < 1.25  # one alone may be an accident


def test_the_error_tells_how_sure_it_is() -> None:
    """More requests make the factor surer, and scatter makes it less sure."""

    def error(count: int, noise: float) -> float:
        requests = list(served({CARD.id: 1.5}, count, noise, 1))
        return calibrate(KNOWN, requests)[CARD.id].decode.error

    assert error(256, 0.05) < error(16, 0.05) / 2
    assert error(256, 0.2) > 2 * error(256, 0.05)
