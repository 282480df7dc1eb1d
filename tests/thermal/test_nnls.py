"""Least squares without negative coefficients."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.thermal.nnls import nnls


def least_error(matrix: np.ndarray, target: np.ndarray) -> float:
    """The least squared error, by trying every set of coefficients that may be positive."""
    count = matrix.shape[1]
    found = [float(target @ target)]
    for some in itertools.chain(
        *(itertools.combinations(range(count), n + 1) for n in range(count))
    ):
        solved = np.linalg.lstsq(matrix[:, some], target, rcond=None)[0]
        if (solved >= 0).all():
            found.append(float(((matrix[:, some] @ solved - target) ** 2).sum()))
    return min(found)


@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_nothing_is_closer(count: int, seed: int) -> None:
    """As close as the best set of coefficients, and none is negative."""
    random = np.random.default_rng(seed)
    matrix, target = random.normal(size=(8, count)), random.normal(size=8)
    found = nnls(matrix.T @ matrix, matrix.T @ target)
    assert (found >= 0).all()
    error = float(((matrix @ found - target) ** 2).sum())
    assert error == pytest.approx(least_error(matrix, target), rel=1e-9)


@given(st.floats(1e-6, 1e6))
def test_units_do_not_matter(scale: float) -> None:
    """A column in other units has its coefficient in the inverse ones."""
    matrix = np.array([[1.0, 2.0], [0.5, 1.0], [2.0, 0.3]])
    target = np.array([3.0, 1.0, 2.0])
    usual = nnls(matrix.T @ matrix, matrix.T @ target)
    scaled = matrix * [1.0, scale]
    found = nnls(scaled.T @ scaled, scaled.T @ target)
    assert found * [1.0, scale] == pytest.approx(usual)


def test_what_says_nothing_gets_nothing() -> None:
    """A column of zeros, or a target of zeros."""
    matrix = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert nnls(matrix.T @ matrix, matrix.T @ np.array([2.0, 2.0])).tolist() == [2.0, 0.0]
    assert nnls(matrix.T @ matrix, np.zeros(2)).tolist() == [0.0, 0.0]


def test_equal_columns_share() -> None:
    """Together they are one."""
    matrix = np.ones((3, 2))
    found = nnls(matrix.T @ matrix, matrix.T @ np.full(3, 4.0))
    assert found.sum() == pytest.approx(4.0)
