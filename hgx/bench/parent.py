"""A device measured in a process of its own, as its parent sees it (``hgx.bench.child``)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import ValidationError

from hgx.bench.events import EVENT, Failed, Partial, Refused, Result, Written
from hgx.errors import Unavailable
from hgx.process.child import TooLate, lines_of, python_module

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hgx.bench.events import Event
    from hgx.bench.timing import Clock
    from hgx.core.reading import PowerSource

EffortName = Literal["quick", "normal"]


class Patience(NamedTuple):
    """How long to wait for a child.

    Attributes:
        silence_s: Without any news, after which it counts as hung.
        limit_s: From its start, for everything but a sustained run; with news or not, it ends
            then.
    """

    silence_s: float
    limit_s: float


PATIENCE: dict[EffortName, Patience] = {
    # The limit is a promise; the silence covers the load of a vendor's runtime.
    "quick": Patience(8.0, 9.5),
    # Some runtimes compile for tens of seconds when a device is used for the first time.
    "normal": Patience(60.0, 90.0),
}


_AROUND_SUSTAINED_S = 6.0
"""For finding its size, its last window and its check."""


class Target(NamedTuple):
    """A device to measure.

    Attributes:
        subject: Its id in the registry.
        backend: Its backend.
        number: Its index in the registry.
        uuid: Its identity where it has one, which counts more than the number.
        power: Where its machine has its power from: to be noted, not asked again.
    """

    subject: str
    backend: str
    number: int
    uuid: str | None = None
    power: PowerSource | None = None


def device_events(
    target: Target,
    effort: EffortName,
    sustained_s: float = 0.0,
    *,
    command: Sequence[str] | None = None,
    patience: Patience | None = None,
    clock: Clock = time.monotonic,
) -> Iterator[Event]:
    """Measure a device and give what happens as it happens.

    Whatever the child does, this ends, and the last event tells what went wrong if anything did;
    before that comes what is known of benchmarks that were not done.

    Args:
        target: The device.
        effort: How much.
        sustained_s: How long the sustained run lasts; zero for none.
        command: The program that measures.
        patience: How long to wait for it.
        clock: Returns seconds.
    """
    patience = patience or PATIENCE[effort]
    limit_s = patience.limit_s + (sustained_s + _AROUND_SUSTAINED_S if sustained_s else 0)
    partial: dict[str, Partial] = {}
    try:
        with lines_of(
            command or _command(target, effort, sustained_s),
            what=f"measuring {target.subject}",
            silence_s=patience.silence_s,
            remedy=f"check the driver behind {target.backend}; what came before counts",
            deadline_s=limit_s,
            clock=clock,
        ) as lines:
            for line in lines:
                event = _parsed(line, target.subject)
                if isinstance(event, Partial):
                    partial[event.benchmark.name] = event
                    continue
                _forget(partial, event)
                yield event
    except Unavailable as failure:
        yield from map(_as_it_is, partial.values())
        reason = failure.message
        if isinstance(failure, TooLate) and effort == "quick":
            reason = f"it took longer than {limit_s:g} s: run it without --quick"
        yield Failed(subject=target.subject, reason=reason)


def _forget(partial: dict[str, Partial], event: Event) -> None:
    """Drop what was known of a benchmark that is done, or that failed."""
    match event:
        case Result(benchmark=benchmark) | Refused(benchmark=benchmark):
            partial.pop(benchmark.name, None)
        case Failed(name=str(name)):
            partial.pop(name, None)
        case _:
            pass


def _as_it_is(known: Partial) -> Event:
    kind = Refused if known.refused else Result
    return kind(subject=known.subject, benchmark=known.benchmark)


def _command(target: Target, effort: EffortName, sustained_s: float) -> Sequence[str]:
    known = {"--uuid": target.uuid, "--power": target.power}
    return python_module(
        "hgx.bench.child",
        *(target.backend, str(target.number), target.subject),
        *("--effort", effort, "--sustained", str(sustained_s)),
        *(word for option, value in known.items() if value for word in (option, value)),
    )


def _parsed(line: str, subject: str) -> Event:
    try:
        event = EVENT.validate_json(line)
    except ValidationError as error:
        raise _unusable(subject) from error
    if isinstance(event, Written) or event.subject != subject:
        raise _unusable(subject)
    return event


def _unusable(subject: str) -> Unavailable:
    return Unavailable(f"measuring {subject} gave an unusable answer", "report it")
