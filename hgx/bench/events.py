"""What happens while benchmarks run: between processes, and as lines of ``hgx bench --json``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from hgx.core.base import Identifier, Strict
from hgx.core.benchmark import Benchmark
from hgx.core.reading import Share


class Started(Strict):
    """A device, disk or link is going to be measured.

    Attributes:
        subject: What is measured: a device's id, a node's id for its disk, FROM>TO for a link.
        names: The benchmarks to come; more may follow from them.
    """

    event: Literal["started"] = "started"
    subject: Identifier
    names: tuple[str, ...]


class Progress(Strict):
    """It goes on.

    Attributes:
        name: The benchmark that runs.
        done: How much of all that was to be done with the subject.
    """

    event: Literal["progress"] = "progress"
    subject: Identifier
    name: str
    done: Share


class Result(Strict):
    """Something was measured."""

    event: Literal["result"] = "result"
    subject: Identifier
    benchmark: Benchmark


class Refused(Strict):
    """Something was measured, and says nothing; its warnings tell why."""

    event: Literal["refused"] = "refused"
    subject: Identifier
    benchmark: Benchmark


class Partial(Strict):
    """What is known of a benchmark so far; from a child to its parent only, should it crash.

    Attributes:
        refused: Whether it would be refused if it was all.
    """

    event: Literal["partial"] = "partial"
    subject: Identifier
    benchmark: Benchmark
    refused: bool


class Failed(Strict):
    """Something could not be measured.

    Attributes:
        name: The benchmark; null where it is everything that is left of the subject.
        reason: Why, and what to do.
    """

    event: Literal["failed"] = "failed"
    subject: Identifier
    name: str | None = None
    reason: str


class Written(Strict):
    """The results are in the registry.

    Attributes:
        path: Its file.
        kept: Benchmarks, SUBJECT NAME, of which the registry keeps an earlier and better result.
    """

    event: Literal["written"] = "written"
    path: str
    kept: tuple[str, ...] = ()


Event = Annotated[
    Started | Progress | Partial | Result | Refused | Failed | Written,
    Field(discriminator="event"),
]

EVENT: TypeAdapter[Event] = TypeAdapter(Event)
"""Reads an event from JSON."""
