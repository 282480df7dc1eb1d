"""Forecasts looked back on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from hgx.thermal.clean import Piece, clean
from hgx.thermal.holdout import Hindsight, look_back
from tests.thermal.made import CARD, parameters, twin

if TYPE_CHECKING:
    import pytest


def back(of: Piece, from_s: float, ahead_s: float) -> Hindsight:
    """Look back so far ahead."""
    (found,) = look_back(LATE, of, from_s, [ahead_s])
    return found


LATE = parameters(CARD).model_copy(update={"power_late_s": 0.5})


def piece() -> Piece:
    """A twin's readings."""
    return clean(twin())[0][0]


def test_the_true_model_is_off_by_little_more_than_rounding() -> None:
    """And far ahead of those that know nothing of what is planned."""
    seen = back(piece(), 160.0, 30.0)
    planned, held, stays = (
        seen.rmse_c(one) for one in (seen.planned, seen.power_stays, seen.stays)
    )
    assert planned < 0.8
    assert planned < 0.2 * min(held, stays)


def test_forecasts_begin_where_they_should() -> None:
    """Since a time, and only where something came; unknown temperatures are left out."""
    found = piece()
    whole = back(found, -math.inf, 30.0)
    late = back(found, 200.0, 30.0)
    assert 0 < len(late.came) < len(whole.came) < len(found.time_s)
    assert len(back(found, 260.0, 30.0).came) == 0
    gone = found.temperature_c.copy()
    gone[found.time_s > 220] = np.nan
    fewer = back(found._replace(temperature_c=gone), 200.0, 30.0)
    assert len(fewer.came) == 0


def test_only_the_last_of_many_readings_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Following takes a moment each."""
    monkeypatch.setattr("hgx.thermal.holdout.MOST_ROWS", 300)
    assert 200 < len(back(piece(), -math.inf, 10.0).came) < 300
