"""Factors of a product worth timing, and what tells a right product from a wrong one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hgx.drivers.base import DeviceError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TOLERANCES = {"float32": 1e-3, "float16": 0.1, "bfloat16": 0.1}
# In parts of the result's size. Hardware that adds up in half precision is a few parts in a
# hundred off on large matrices; a wrong product is off by as much as the result itself.


def factor(side: int, seed: int) -> NDArray[np.float32]:
    """Make a square matrix of numbers between -1 and 1.

    Signs are mixed so that sums stay small: half precision ends at 65504, and loses small terms
    beside large sums.
    """
    numbers = np.random.default_rng(seed).random((side, side), np.float32)
    # In place: drivers check that there is room for what they need, and that is no more than this.
    numbers *= 2
    numbers -= 1
    return numbers


def check(where: str, dtype: str, found: NDArray[np.float32], known: NDArray[np.float32]) -> None:
    """Compare what a device computed with what is known in another way.

    Args:
        where: The device, for the message.
        dtype: What it computed in.
        found: What it found; for a product, its sums over rows (Freivalds' check).
        known: The same, computed by numpy.

    Raises:
        DeviceError: They differ by more than the type's rounding.
    """
    size = float(np.sqrt(np.mean(np.square(known))))
    # Written so that a result that is not a number fails as well.
    if not np.abs(found - known).max() <= _TOLERANCES[dtype] * size:
        msg = f"{where} computed a wrong product: test the machine, and update its driver"
        raise DeviceError(msg)
