"""What samples say: their middle, how far they scatter, whether to believe them. Pure."""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from hgx.core.benchmark import Conditions

if TYPE_CHECKING:
    from collections.abc import Sequence

NOISY_SPREAD = 0.1
"""Reads and products were seen to repeat within 2 % on a quiet machine: five times that has
another cause."""

REFUSED_SPREAD = 0.5
"""From here on the middle half of the samples spans half of the median: it tells nothing."""

NOISY_DRIFT = 0.1
"""A rate that moves so far during the run had not settled, or its clocks went down."""

NOISY_LOAD = 0.2
"""Others with a fifth of all processors take caches, memory and clocks from what is measured."""

FEWEST_SAMPLES = 5
"""With fewer, quartiles are single samples, and no comparison is possible (see ``compare``)."""

_FEWEST_FOR_DRIFT = 9  # three in each third


class Summary(NamedTuple):
    """What samples add up to, in their unit; ``quartiles`` are the first and the third."""

    median: float
    quartiles: tuple[float, float]
    p95: float

    @property
    def spread(self) -> float:
        """Width of the middle half of the samples, as a share of the median."""
        low, high = self.quartiles
        return (high - low) / self.median if self.median else math.inf


class Verdict(NamedTuple):
    """Whether samples are to be believed.

    Attributes:
        reasons: Why not, in words; empty where they are.
        refused: Whether they say so little that the median must not be used at all.
    """

    reasons: tuple[str, ...] = ()
    refused: bool = False

    @property
    def noisy(self) -> bool:
        """Whether the median is not to be relied on."""
        return bool(self.reasons)


def quantile(samples: Sequence[float], share: float) -> float:
    """Return the value that a share of the samples is below, between neighbours linearly.

    Args:
        samples: At least one, in any order.
        share: 0 to 1.
    """
    ordered = sorted(samples)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    # Not a weighted sum of both, which for equal neighbours may be a bit off either.
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def summarise(samples: Sequence[float]) -> Summary:
    """Return median, quartiles and 95th percentile of at least one sample."""
    first, third = (quantile(samples, share) for share in (0.25, 0.75))
    return Summary(median(samples), (first, third), quantile(samples, 0.95))


def drift(samples: Sequence[float]) -> float:
    """Return by what share the last third of the samples differs from the first.

    Returns:
        Signed, by medians; 0 where there are too few samples to tell.
    """
    if len(samples) < _FEWEST_FOR_DRIFT:
        return 0.0
    third = len(samples) // 3
    first, last = median(samples[:third]), median(samples[-third:])
    return last / first - 1 if first else math.inf


def judge(
    samples: Sequence[float], conditions: Conditions | None = None, *, steady: bool = True
) -> Verdict:
    """Say whether samples are fine, noisy or worth nothing, and why.

    Args:
        samples: At least one, in the order they were taken.
        conditions: What else was the case; unknown conditions are not held against anybody.
        steady: Whether the rate should have been the same all the time. Where its change is what
            is looked for, only samples that are too few and the load of others count.
    """
    conditions = conditions or Conditions()
    reasons: list[str] = []
    if len(samples) < FEWEST_SAMPLES:
        reasons.append(f"only {len(samples)} of at least {FEWEST_SAMPLES} samples")
    if (conditions.load or 0) > NOISY_LOAD:
        # Without the figure, which is in the conditions: people then see what results share.
        reasons.append(f"others used over {_percent(NOISY_LOAD)} of the processors")
    if not steady:
        return Verdict(tuple(reasons))
    spread, change = summarise(samples).spread, drift(samples)
    if spread > NOISY_SPREAD:
        reasons.append(f"half of the samples span {_percent(spread)} of the median")
    if abs(change) > NOISY_DRIFT:
        way = "rose" if change > 0 else "fell"
        reasons.append(f"it {way} by {_percent(abs(change))} during the run")
    if conditions.throttles:
        reasons.append(f"clocks were held down: {', '.join(conditions.throttles)}")
    return Verdict(tuple(reasons), refused=spread > REFUSED_SPREAD)


def _percent(share: float) -> str:
    return f"{share:.0%}" if share < 10 else "over 1000%"
