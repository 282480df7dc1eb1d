"""How fast the network to a peer is: round trips, and bandwidth both ways."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import TYPE_CHECKING, NamedTuple, Protocol

from hgx.bench.outcome import outcome
from hgx.errors import PeerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hgx.bench.device import Tools
    from hgx.bench.outcome import Outcome
    from hgx.core.benchmark import Benchmark

STREAMS = (1, 4)
"""One stream may be held back by its window or by one core; four seldom are."""

_TRIAL_BYTES = 4 * 1024**2
_UP_TO_SPEED = 0.9  # of the median of the second half
_FEWEST_WINDOWS = 2
_ENOUGH_WINDOWS = 51
_MOST_TRANSFERS = 30  # a peer ends a transfer when it likes


class Peer(Protocol):
    """What is needed of a peer's client; calls may come from several threads at a time."""

    def tcp_handshakes(self, count: int) -> list[float]:
        """Connect so many times; return the seconds each took."""
        ...

    def download(self, size_bytes: int) -> list[float]:
        """Receive so many bytes or less; return the bytes per second of each 0.1 s."""
        ...

    def upload(self, size_bytes: int) -> list[float]:
        """Send so many bytes or less; return the bytes per second of each 0.1 s, as they came."""
        ...


class LinkEffort(NamedTuple):
    """How long to measure a link.

    Attributes:
        seconds: Of each direction and number of streams.
        handshakes: At least 51, so that a 95th percentile is not the luck of two.
    """

    seconds: float
    handshakes: int


QUICK = LinkEffort(1.0, 51)
NORMAL = LinkEffort(3.0, 201)


def round_trip(peer: Peer, effort: LinkEffort, tools: Tools) -> Outcome:
    """Time TCP handshakes: the operating system of the peer answers them, so nothing else counts.

    Round trips scatter by nature, over radio above all: that is what the 95th percentile tells,
    and it is not held against the median.

    Args:
        peer: The other side.
        effort: How many.
        tools: Time and conditions.

    Raises:
        PeerError: It was not reached.
    """
    began, watch = tools.now(), tools.watch()
    peer.tcp_handshakes(2)  # names and routes are known after that
    return outcome(
        "rtt",
        "s",
        peer.tcp_handshakes(effort.handshakes),
        method=f"{effort.handshakes} TCP handshakes",
        measured_at=began,
        conditions=watch.conditions(),
        tail=True,
        steady=False,
    )


def bandwidth(
    transfer: Callable[[int], list[float]], streams: int, effort: LinkEffort, tools: Tools
) -> Outcome:
    """Time a transfer in one direction.

    Args:
        transfer: ``download`` or ``upload`` of a peer.
        streams: How many connections carry it at the same time.
        effort: How long.
        tools: Time and conditions.

    Raises:
        PeerError: It broke off, or the peer takes no more streams.
    """
    began, watch = tools.now(), tools.watch()
    ends = tools.clock() + effort.seconds
    rates: list[float] = []
    size = _TRIAL_BYTES
    with ThreadPoolExecutor(streams) as pool:
        for number in range(_MOST_TRANSFERS):
            found = without_slow_start(summed(list(pool.map(transfer, [size] * streams))))
            if not found:
                raise PeerError("nothing arrived", "not hgx", "see whether it runs the same hgx")
            left = ends - tools.clock()
            if number or left <= 0:  # the first tells how large the others have to be
                rates += found
            if left <= 0 or len(rates) >= _ENOUGH_WINDOWS:
                break
            size = max(_TRIAL_BYTES, int(max(found) * left / streams))
    return outcome(
        name_of(streams),
        "bytes_per_s",
        rates,
        method=f"{streams} TLS at a time, windows of 0.1 s without slow start",
        measured_at=began,
        conditions=watch.conditions(),
    )


def name_of(streams: int) -> str:
    """Return what the benchmark of so many streams is called."""
    return f"bandwidth_{streams}_stream{'s' if streams > 1 else ''}"


def best_bandwidth(found: Sequence[Benchmark]) -> Benchmark | None:
    """Return the quickest of several benchmarks, or null where there is none."""
    return max(found, key=lambda benchmark: benchmark.median, default=None)


def summed(streams: Sequence[Sequence[float]]) -> list[float]:
    """Add up the rates of streams that ran at the same time, window by window.

    Args:
        streams: Rates per window, one list per stream.

    Returns:
        As long as the shortest: what came after that was not carried by all of them.
    """
    return [sum(window) for window in zip(*streams, strict=False)]


def without_slow_start(rates: Sequence[float]) -> list[float]:
    """Drop the windows in which TCP was still feeling its way, and the last, which may be cut off.

    Args:
        rates: Per window.

    Returns:
        What follows the first window that is nearly as quick as the second half; all that there
        is where there are only one or two.
    """
    if len(rates) <= _FEWEST_WINDOWS:
        return list(rates)
    whole = rates[:-1]
    usual = median(whole[len(whole) // 2 :])
    first = next(i for i, rate in enumerate(whole) if rate >= _UP_TO_SPEED * usual)
    # The window itself began before that speed was reached.
    return list(whole[min(first + 1, len(whole) - 1) :])
