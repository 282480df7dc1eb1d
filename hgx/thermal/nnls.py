"""Least squares where no coefficient may be negative (Lawson and Hanson's active set)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_CLOSE: Final = 1e-10
"""Of a slope or coefficient, in units of its column: as good as zero."""


def nnls(gram: Floats, moment: Floats) -> Floats:
    """Minimise ``|A x - b|`` over ``x >= 0``, given the products of the columns of ``A``.

    Columns are scaled to length one, so that units do not matter. Where plain least squares have
    nothing negative they are the answer. Else a coefficient enters where the error falls the most
    with it; where a step would make others negative it ends at the first that becomes zero, which
    leaves. The error falls with every entry, so no set of coefficients comes twice and the search
    ends; the bound on it is for the arithmetic's sake.

    Args:
        gram: ``A^T A``, shape ``(m, m)``.
        moment: ``A^T b``, shape ``(m,)``.

    Returns:
        The coefficients, shape ``(m,)``; zero for a column of zeros.
    """
    length = np.sqrt(np.diag(gram))
    scale = np.where(length > 0, 1 / np.where(length > 0, length, 1.0), 0.0)
    gram, moment = gram * np.outer(scale, scale), moment * scale
    found = _solved(gram, moment, length > 0)
    if (found[length > 0] > 0).all():
        return found * scale
    found = np.zeros(len(moment))
    free = np.zeros(len(moment), bool)
    least = _CLOSE * max(float(np.abs(moment).max(initial=0.0)), 1e-300)
    for _ in range(10 * len(moment)):
        slope = np.where(free, -np.inf, moment - gram @ found)
        entering = int(slope.argmax())
        if slope[entering] <= least:
            break
        free[entering] = True
        found = _settle(gram, moment, found, free)
    return found * scale


def _settle(gram: Floats, moment: Floats, found: Floats, free: NDArray[np.bool_]) -> Floats:
    """Solve for the free coefficients; those that would be negative are freed no longer."""
    while True:
        aim = _solved(gram, moment, free)
        below = free & (aim <= 0)
        if not below.any():
            return aim
        way = found[below] / np.maximum(found[below] - aim[below], 1e-300)
        found = found + float(way.min()) * (aim - found)
        free &= found > _CLOSE * found.max(initial=0.0)
        found = np.where(free, found, 0.0)


def _solved(gram: Floats, moment: Floats, free: NDArray[np.bool_]) -> Floats:
    """Plain least squares of the free coefficients, shape ``(m,)``; the others are zero."""
    found = np.zeros(len(moment))
    at = np.flatnonzero(free)
    found[at] = np.linalg.lstsq(gram[at[:, None], at], moment[at], rcond=None)[0]
    return found
