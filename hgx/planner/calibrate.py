"""What served requests teach: how many times as long as predicted each device really takes.

A request took ``y``; without the wire, its devices were predicted to take ``p[d]``, the rest ``r``.
Looked for are factors ``f[d]``, one per device and set of rates, with

    log y  =  log (r + sum_d f[d] p[d])  +  noise

in the logarithm because times scatter by shares of themselves, and so that factors stay positive.
Every factor is drawn towards 1 as much as one observation of scatter ``PRIOR`` would: what the
requests do not tell stays as predicted. A request that scatters more than most counts less
(Huber), one of long ago too. Steps of Gauss and Newton find the answer.
"""

from __future__ import annotations

from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hgx.core.served import rates_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from hgx.core.registry import Registry
    from hgx.core.served import ServedRequest

    Floats = NDArray[np.float64]
    Key = tuple[str, str]
    """A device's id and ``rates_key``: under other rates it is another device."""

LEAST_REQUESTS = 3
"""Of fewer, nothing is learnt about a device."""

LEAST_PROMPT, LEAST_OUTPUT = 32, 8
"""Tokens: what is shorter tells of the server's overhead, not of the devices."""

HALF_LIFE_S = 7 * 24 * 3600.0
OLD_WEIGHT = 0.1
"""A request counts half after a week, and never less than this: else the newest would stand
alone after a pause."""

PRIOR = 0.5
"""Scatter of factors, as a logarithm: most devices are within 1.65 times their prediction."""

SCATTER = 0.03
"""Least scatter of times: a few equal ones are no proof that there is none."""

HUBER = 1.345
"""Scatters beyond which a request counts less: 95% as good as least squares without outliers."""

SCATTER_OF_MEDIAN = 1.4826
"""Standard deviation by the median deviation, of normal noise."""

STEPS = 50
LONGEST_STEP, FARTHEST, CLOSE = 1.0, 5.0, 1e-6
"""Of factors as logarithms: the longest step, where to begin at most, and when to be content."""


class Factor(NamedTuple):
    """How many times as long as predicted something takes.

    Attributes:
        value: 1 where nothing is known.
        error: Standard error of the value.
        requests: Served requests it rests on.
    """

    value: float = 1.0
    error: float = 0.0
    requests: int = 0


class Correction(NamedTuple):
    """What was learnt of one device."""

    decode: Factor = Factor()
    prefill: Factor = Factor()


NEUTRAL = Correction()
NO_CORRECTIONS: Mapping[str, Correction] = MappingProxyType({})


class _Row(NamedTuple):
    """One request: seconds predicted per device, what it took, and how much it counts."""

    parts: dict[Key, float]
    rest: float
    measured: float
    weight: float


class _Observed(NamedTuple):
    """Requests as arrays.

    Attributes:
        parts: Seconds predicted, shape ``(requests, devices)``.
        rest: Seconds that no factor applies to, shape ``(requests,)``, as the others.
        took: Seconds measured.
        weight: What each request counts, in 0..1.
    """

    parts: Floats
    rest: Floats
    took: Floats
    weight: Floats


def calibrate(registry: Registry, requests: Sequence[ServedRequest]) -> dict[str, Correction]:
    """Learn from served requests what the predictions for a registry's devices lack.

    Args:
        registry: Devices; what was learnt under other rates than theirs is not applied.
        requests: In any order.

    Returns:
        Corrections by id of device, of those devices that enough requests used.
    """
    decode = _fit(list(_decode_rows(requests)))
    prefill = _fit(list(_prefill_rows(requests)))
    keys = {device.id: (device.id, rates_key(device)) for device in registry.devices}
    return {
        name: Correction(decode.get(key, Factor()), prefill.get(key, Factor()))
        for name, key in keys.items()
        if key in decode or key in prefill
    }


def _decode_rows(requests: Sequence[ServedRequest]) -> Iterator[_Row]:
    for request, weight in _weighed(requests):
        took = request.measured.tpot_s
        if took is not None and request.output_tokens >= LEAST_OUTPUT:
            parts = ((stage.device, stage.rates, stage.decode_s) for stage in request.stages)
            yield _row(parts, request.predicted.tpot_s, took, weight)


def _prefill_rows(requests: Sequence[ServedRequest]) -> Iterator[_Row]:
    for request, weight in _weighed(requests):
        took = request.measured.ttft_s
        if took is not None and request.fresh_tokens >= LEAST_PROMPT:
            parts = ((stage.device, stage.rates, stage.prefill_s) for stage in request.stages)
            yield _row(parts, request.predicted.ttft_s, took, weight)


def _weighed(requests: Sequence[ServedRequest]) -> Iterator[tuple[ServedRequest, float]]:
    """Requests with what they count by their age, 1 for the newest."""
    newest = max((request.at for request in requests), default=None)
    for request in requests:
        age_s = (newest - request.at).total_seconds() if newest else 0.0
        yield request, max(OLD_WEIGHT, 0.5 ** (age_s / HALF_LIFE_S))


def _row(
    parts: Iterable[tuple[str, str, float]], predicted: float, took: float, weight: float
) -> _Row:
    by_key = {(device, rates): seconds for device, rates, seconds in parts if seconds > 0}
    return _Row(by_key, max(0.0, predicted - sum(by_key.values())), took, weight)


def _fit(rows: Sequence[_Row]) -> dict[Key, Factor]:
    """Find the factors of all devices that enough requests used; the others' are 1."""
    counts = Counter(key for row in rows for key in row.parts)
    keys = sorted(key for key, count in counts.items() if count >= LEAST_REQUESTS)
    rows = [row for row in rows if not row.parts.keys().isdisjoint(keys)]
    if not keys:
        return {}
    parts = np.array([[row.parts.get(key, 0.0) for key in keys] for row in rows])
    rest = np.array([row.rest + sum(row.parts.values()) for row in rows]) - parts.sum(axis=1)
    took = np.array([row.measured for row in rows])
    weight = np.array([row.weight for row in rows])
    value, error = _solve(_Observed(parts, np.maximum(rest, 0.0), took, weight))
    return {
        key: Factor(float(value[at]), float(error[at]), counts[key]) for at, key in enumerate(keys)
    }


def _solve(observed: _Observed) -> tuple[Floats, Floats]:
    """Find factors, and their standard errors; both of shape ``(devices,)``."""
    parts, rest, took, weight = observed
    # The scatter about a common factor is the robust one to begin with.
    common = _median(np.log(took / (parts.sum(axis=1) + rest)), weight)
    log = np.zeros(parts.shape[1]) + min(max(common, -FARTHEST), FARTHEST)
    for _ in range(STEPS):
        step = _step(log, observed)[0]
        log = log + step
        if np.abs(step).max() < CLOSE:
            break
    value: Floats = np.exp(log)
    return value, value * np.sqrt(np.diag(_step(log, observed)[1]))


def _step(log: Floats, observed: _Observed) -> tuple[Floats, Floats]:
    """Step from logarithms of factors to better ones; also the covariance of those."""
    parts, rest, took, weight = observed
    seconds = parts * np.exp(log)
    total = seconds.sum(axis=1) + rest
    off = np.log(took / total)
    slope = seconds / total[:, None]
    scatter = max(SCATTER, SCATTER_OF_MEDIAN * _median(np.abs(off), weight))
    trust = weight * np.minimum(1.0, HUBER * scatter / np.maximum(np.abs(off), 1e-12))
    weighed: Floats = slope.T * (trust / scatter**2)
    precision: Floats = weighed @ slope + np.eye(len(log)) / PRIOR**2
    spread = np.linalg.inv(precision).astype(np.float64)
    step = spread @ (weighed @ off - log / PRIOR**2)
    return np.clip(step, -LONGEST_STEP, LONGEST_STEP), spread


def _median(values: Floats, weight: Floats) -> float:
    """The median where each value counts as often as its weight says."""
    order = np.argsort(values)
    upto: Floats = np.cumsum(weight[order])
    middle = order[(upto < upto[-1] / 2).sum()]
    return float(values[middle])
