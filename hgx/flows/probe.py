"""What a backend sees, asked in a process of its own (``hgx.flows.probe_child``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from hgx.core.base import Bytes, PositiveBytes, Strict
from hgx.core.benchmark import Benchmark
from hgx.errors import Unavailable
from hgx.process.child import lines_of, python_module

if TYPE_CHECKING:
    from collections.abc import Sequence

SILENCE_S = 10.0
"""A vendor's library that says nothing for so long counts as hung. The first call after a start of
the machine may load a kernel driver, which takes seconds where there are several cards."""

_CHILD = "hgx.flows.probe_child"

Answer = TypeVar("Answer", bound=Strict)


class Seen(Strict):
    """A device as its driver sees it; fields as in ``hgx.drivers.base.DeviceInfo``."""

    index: int
    name: str
    memory_total_bytes: PositiveBytes
    memory_free_bytes: Bytes | None = None
    unified_memory: bool | None = None
    uuid: str | None = None
    fallback: bool = False
    temperature_c: float | None = None


class Missing(Strict):
    """An ``Unavailable`` on its way between processes."""

    reason: str
    remedy: str


class Probe(Strict):
    """What came of looking through one backend.

    Attributes:
        devices: In the order of their index.
        missing: Why there are none, as the driver says; null where there are.
        crashed: Whether that is because its library hung or crashed, so that nothing is known.
    """

    devices: tuple[Seen, ...] = ()
    missing: Missing | None = None
    crashed: bool = False


class Quick(Strict):
    """Quick benchmarks of one device, or why there are none."""

    benchmarks: tuple[Benchmark, ...] = ()
    problem: str | None = None


def probe(
    backend: str, *, silence_s: float = SILENCE_S, command: Sequence[str] | None = None
) -> Probe:
    """Look for the devices of a backend; whatever its library does, an answer comes in time.

    Args:
        backend: Its name.
        silence_s: Seconds after which it counts as hung.
        command: The program that looks.
    """
    try:
        return _ask(Probe, f"{backend}: looking for devices", backend, command, silence_s)
    except Unavailable as failure:
        missing = Missing(reason=failure.reason, remedy=failure.remedy)
        return Probe(missing=missing, crashed=True)


def quick_benchmarks(
    backend: str, index: int, *, silence_s: float = SILENCE_S, command: Sequence[str] | None = None
) -> Quick:
    """Measure a device for about half a second.

    Args:
        backend: Name of its backend.
        index: Its index there.
        silence_s: Seconds after which it counts as hung.
        command: The program that measures.
    """
    command = command or python_module(_CHILD, backend, str(index))
    try:
        return _ask(Quick, f"{backend}:{index}: measuring it", backend, command, silence_s)
    except Unavailable as failure:
        return Quick(problem=failure.message)


def _ask(
    kind: type[Answer], what: str, backend: str, command: Sequence[str] | None, silence_s: float
) -> Answer:
    command = command or python_module(_CHILD, backend)
    remedy = f"check the driver behind {backend}; everything else works without it"
    with lines_of(command, what=what, silence_s=silence_s, remedy=remedy) as lines:
        # What becomes of the process after its answer is nobody's business: libraries of GPUs
        # like to crash when they are unloaded.
        answer = next(lines, "")
    try:
        return kind.model_validate_json(answer)
    except ValueError:  # pydantic's errors are of that kind too
        raise Unavailable(f"{what} gave no usable answer", remedy) from None
