"""What is left of a rate after a while."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hgx.thermal.decline import Decline, fit_decline
from hgx.thermal.fit import Refusal
from tests.thermal.real import DATA, MISSING, read_phones

POINTS = 10.0
"""Percentage points that a forecast of what is left may be off."""


def rates(time: np.ndarray, lasting: float, lost: float, tau_s: float) -> np.ndarray:
    """A rate that loses something over time."""
    return lasting + lost * np.exp(-time / tau_s)


def fitted(time: np.ndarray, rate: np.ndarray) -> Decline:
    """The decline, where there must be one."""
    found = fit_decline(time, rate)
    assert isinstance(found, Decline), found
    return found


@settings(max_examples=30)
@given(st.floats(5, 50), st.floats(0, 50), st.floats(5, 120), st.integers(0, 99))
def test_what_is_left_is_forecast(lasting: float, lost: float, tau_s: float, seed: int) -> None:
    """From the first half of ten minutes, through noise."""
    time = np.arange(600.0)
    rate = rates(time, lasting, lost, tau_s)
    rate = rate * (1 + 0.01 * np.random.default_rng(seed).normal(size=600))
    found = fitted(time[:300], rate[:300])
    left = rates(np.array([600.0]), lasting, lost, tau_s)[0] / rate.max()
    assert 100 * abs(found.retention(600.0) - left) < POINTS
    assert 100 * abs(found.mean_share(600.0) - rate.mean() / rate.max()) < POINTS


@settings(max_examples=30)
@given(st.floats(0, 1000), st.floats(0, 1000))
def test_less_is_left_later(one_s: float, other_s: float) -> None:
    """And on average never less than at the end."""
    time = np.arange(300.0)
    found = fitted(time, rates(time, 20.0, 20.0, 40.0))
    soon_s, late_s = sorted((one_s, other_s))
    assert found.retention(late_s) <= found.retention(soon_s) <= 1.0
    assert found.retention(late_s) - 1e-9 <= found.mean_share(late_s) <= 1.0


def test_a_steady_rate_stays() -> None:
    """Nothing is lost of it."""
    found = fitted(np.arange(100.0), np.full(100, 30.0))
    assert found.retention(3600.0) == pytest.approx(1.0, abs=0.01)
    assert found.burst_per_s == 30.0


def test_what_is_no_rate_does_not_count() -> None:
    """Unknown or negative ones."""
    time = np.arange(300.0)
    rate = rates(time, 20.0, 20.0, 40.0)
    spoilt = rate.copy()
    spoilt[::10] = np.nan
    spoilt[5::10] = -1.0
    assert fitted(time, spoilt).retention(300.0) == pytest.approx(
        fitted(time, rate).retention(300.0), abs=0.01
    )


@pytest.mark.parametrize(
    ("time", "rate", "said"),
    [
        (np.zeros(0), np.zeros(0), "too short: 0 rates in 0 s"),
        (np.arange(30.0), np.full(30, 5.0), "too short: 30 rates in 29 s"),
        (np.arange(5.0) * 60, np.full(5, 5.0), "too short: 5 rates"),
        (np.arange(100.0), np.zeros(100), "nothing was done"),
    ],
)
def test_what_tells_too_little_is_refused(time: np.ndarray, rate: np.ndarray, said: str) -> None:
    """With what to do."""
    found = fit_decline(time, rate)
    assert isinstance(found, Refusal)
    assert said in found.reason
    assert found.remedy


@pytest.mark.skipif(not DATA.is_dir(), reason=MISSING)
def test_a_real_phone_keeps_what_is_forecast() -> None:
    """Four runs of ten minutes, fitted to the first half, at their end."""
    runs = read_phones(DATA / "phone")
    assert len(runs) == 4
    for run in runs:
        end_s = float(run.time_s[-1])
        half = run.time_s < end_s / 2
        found = fitted(run.time_s[half], run.rate_per_s[half])
        left = run.rate_per_s[run.time_s > end_s - 10].mean() / run.rate_per_s.max()
        assert 100 * abs(found.retention(end_s) - left) < POINTS
