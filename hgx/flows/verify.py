"""Predicted against measured: what the ledger of served requests adds up to."""

from __future__ import annotations

from statistics import median, quantiles
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hgx.core.served import ServedRequest

    Pair = tuple[float, float]
    """Seconds expected, and seconds measured."""


class Quantity(NamedTuple):
    """One kind of time over several requests.

    Attributes:
        requests: How many it was measured of.
        predicted_s: Median of what was promised.
        measured_s: Median of what it took.
        ratio: Median of measured over promised.
        quartiles: First and third of the errors, which are that ratio less 1.
    """

    requests: int
    predicted_s: float
    measured_s: float
    ratio: float
    quartiles: tuple[float, float]


class Group(NamedTuple):
    """The requests of one model with one placement.

    Attributes:
        model: Its name.
        architecture: As its header says.
        file_bytes: Size of its files.
        placement: Device, first and last block of each stage.
        requests: How many.
        ttft: Time to first token; null where none was measured.
        tpot: Time per output token, likewise.
    """

    model: str
    architecture: str
    file_bytes: int
    placement: tuple[tuple[str, int, int], ...]
    requests: int
    ttft: Quantity | None
    tpot: Quantity | None


class Error(NamedTuple):
    """How far predicted tokens/s were off, as a share of the measured, without its sign."""

    requests: int
    median: float
    p90: float


class Verification(NamedTuple):
    """All of a ledger.

    Attributes:
        groups: By model and placement, the one that served last at the end.
        promised: Error of what users were told; null where nothing was measured.
        uncorrected: The same without the corrections of the time.
    """

    groups: tuple[Group, ...]
    promised: Error | None
    uncorrected: Error | None


def verify(requests: Sequence[ServedRequest]) -> Verification:
    """Compare what was predicted of requests with what they took; pure.

    Args:
        requests: Oldest first, as the ledger returns them.
    """
    groups: dict[object, list[ServedRequest]] = {}
    for request in requests:
        key = (request.model, request.architecture, request.file_bytes, _placement(request))
        groups[key] = groups.pop(key, [])
        groups[key].append(request)
    return Verification(
        groups=tuple(_group(members) for members in groups.values()),
        promised=_error(_tpot(requests)),
        uncorrected=_error(
            [(it.predicted.tpot_s, it.measured.tpot_s) for it in requests if it.measured.tpot_s]
        ),
    )


def _placement(request: ServedRequest) -> tuple[tuple[str, int, int], ...]:
    return tuple((it.device, it.first_block, it.last_block) for it in request.stages)


def _group(requests: Sequence[ServedRequest]) -> Group:
    last = requests[-1]
    return Group(
        model=last.model,
        architecture=last.architecture,
        file_bytes=last.file_bytes,
        placement=_placement(last),
        requests=len(requests),
        ttft=_quantity(_ttft(requests)),
        tpot=_quantity(_tpot(requests)),
    )


def _ttft(requests: Iterable[ServedRequest]) -> list[Pair]:
    return [(it.promised.ttft_s, it.measured.ttft_s) for it in requests if it.measured.ttft_s]


def _tpot(requests: Iterable[ServedRequest]) -> list[Pair]:
    return [(it.promised.tpot_s, it.measured.tpot_s) for it in requests if it.measured.tpot_s]


def _quantity(pairs: Sequence[Pair]) -> Quantity | None:
    if not pairs:
        return None
    ratios = [measured / expected for expected, measured in pairs]
    cuts = _cuts(ratios, 4)
    return Quantity(
        requests=len(pairs),
        predicted_s=median(expected for expected, _ in pairs),
        measured_s=median(measured for _, measured in pairs),
        ratio=median(ratios),
        quartiles=(cuts[0] - 1, cuts[2] - 1),
    )


def _error(pairs: Iterable[Pair]) -> Error | None:
    """Tokens/s are off by as much as seconds are, the other way round."""
    errors = [abs(measured / expected - 1) for expected, measured in pairs]
    return Error(len(errors), median(errors), _cuts(errors, 10)[8]) if errors else None


def _cuts(values: Sequence[float], parts: int) -> list[float]:
    """Cut values into equal parts, the extremes included; a single value is all of its cuts."""
    if len(values) == 1:
        return [values[0]] * (parts - 1)
    return quantiles(values, n=parts, method="inclusive")
