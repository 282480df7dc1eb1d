"""What samples say: their middle, how far they scatter, whether to believe them. Pure."""

from __future__ import annotations

import math
from itertools import accumulate, pairwise
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

NOISY_LOAD_OF_PROCESSORS = 0.1
"""Half of that where it is the processors that are measured: others take their time as well."""

REFUSED_LOAD = 0.4
"""From here on a result is mostly about the others: products were seen at a thirtieth."""

_USUAL = frozenset({"power cap"})
"""Why clocks are held down on a good day: a card at its limit is what there will be at work."""

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


def between_rounds(samples: Sequence[float], rounds: Sequence[int]) -> float:
    """Return how far the medians of rounds are apart, as a share of the median.

    Args:
        samples: Of all rounds, one round after the other.
        rounds: How many of them each round gave.
    """
    ends = list(accumulate(rounds, initial=0))
    middles = [median(samples[a:b]) for a, b in pairwise(ends)]
    middle = median(samples)
    return (max(middles) - min(middles)) / middle if middles and middle else 0.0


def judge(
    samples: Sequence[float],
    conditions: Conditions | None = None,
    *,
    steady: bool = True,
    noisy_load: float = NOISY_LOAD,
    rounds: Sequence[int] = (),
) -> Verdict:
    """Say whether samples are fine, noisy or worth nothing, and why.

    Args:
        samples: At least one, in the order they were taken.
        conditions: What else was the case; unknown conditions are not held against anybody.
        steady: Whether the rate should have been the same all the time. Where its change is what
            is looked for, only samples that are too few and the load of others count.
        noisy_load: The load of others from which on it counts.
        rounds: How many of the samples each round gave, where there were rounds.
    """
    conditions = conditions or Conditions()
    reasons: list[str] = []
    if len(samples) < FEWEST_SAMPLES:
        reasons.append(f"only {len(samples)} of at least {FEWEST_SAMPLES} samples")
    load = conditions.load or 0
    refused = load > REFUSED_LOAD
    if load > noisy_load:
        # Without the figure, which is in the conditions: people then see what results share.
        limit = REFUSED_LOAD if refused else noisy_load
        reasons.append(f"others used over {_percent(limit)} of the processors")
    if not steady:
        return Verdict(tuple(reasons), refused)
    spread, change = summarise(samples).spread, drift(samples)
    if spread > NOISY_SPREAD:
        reasons.append(f"half of the samples span {_percent(spread)} of the median")
    if (apart := between_rounds(samples, rounds)) > NOISY_SPREAD:
        reasons.append(f"rounds differ by {_percent(apart)}")
    if abs(change) > NOISY_DRIFT:
        way = "rose" if change > 0 else "fell"
        reasons.append(f"it {way} by {_percent(abs(change))} during the run")
    if unusual := [why for why in conditions.throttles or () if why not in _USUAL]:
        reasons.append(f"clocks were held down: {', '.join(unusual)}")
    return Verdict(tuple(reasons), refused or spread > REFUSED_SPREAD)


def _percent(share: float) -> str:
    return f"{share:.0%}" if share < 10 else "over 1000%"
