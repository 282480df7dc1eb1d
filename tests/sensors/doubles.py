"""Stand-ins for what a machine says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

NOT_SUPPORTED, GPU_IS_LOST = 3, 15


def always(value: object) -> Callable[..., object]:
    """Make a function that returns the value, whatever it is given."""

    def answer(*_: object, **__: object) -> object:
        return value

    return answer


def write_files(root: Path, files: Mapping[str, str]) -> None:
    """Make files below a root, each ending a line."""
    for name, content in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content + "\n")


class FakeNvmlError(Exception):
    """An NVML error with its code, as pynvml has them."""

    def __init__(self, value: int) -> None:
        super().__init__(value)
        self.value = value

    def __str__(self) -> str:
        return f"code {self.value}"


class FakeNvml:
    """Answers like pynvml, from recordings.

    Args:
        cards: Per card the answers by name of the question, after ``nvmlDeviceGet``; with
            arguments as (name, argument, ...). An error code stands for the whole card when the
            recording is a number. Anything not recorded is not supported.
        start: Error code that starting fails with.
        count: Error code that counting fails with.
    """

    NVMLError = FakeNvmlError

    def __init__(
        self,
        cards: tuple[Mapping[object, object] | int, ...] = (),
        *,
        start: int | None = None,
        count: int | None = None,
    ) -> None:
        self.cards = cards
        self.start = start
        self.count = count
        self.running = 0

    def nvmlInit(self) -> None:  # noqa: N802 - the library's name
        """Start, or fail as recorded."""
        if self.start is not None:
            raise FakeNvmlError(self.start)
        self.running += 1

    def nvmlShutdown(self) -> None:  # noqa: N802 - the library's name
        """Stop."""
        self.running -= 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802 - the library's name
        """Count cards, or fail as recorded."""
        if self.count is not None:
            raise FakeNvmlError(self.count)
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index: int, /) -> object:  # noqa: N802 - the library's name
        """Open a card, or fail as recorded."""
        card = self.cards[index]
        if isinstance(card, int):
            raise FakeNvmlError(card)
        return card

    def __getattr__(self, name: str) -> Callable[..., object]:
        question = name.removeprefix("nvmlDeviceGet")
        if question == "EnforcedPowerLimit":
            raise AttributeError(name)  # as if pynvml were older than this question

        def ask(card: Mapping[object, object], *arguments: int) -> object:
            answer = card.get((question, *arguments) if arguments else question, NOT_SUPPORTED)
            if isinstance(answer, FakeNvmlError):
                raise answer
            if answer is NOT_SUPPORTED:
                raise FakeNvmlError(NOT_SUPPORTED)
            return answer

        return ask


H200: Mapping[object, object] = {
    "Name": "NVIDIA H200",
    "UUID": "GPU-00000000-1111-2222-3333-444444444444",
    "MemoryInfo": SimpleNamespace(
        total=143771 * 1024**2, free=143000 * 1024**2, used=771 * 1024**2
    ),
    ("Temperature", 0): 31,
    ("TemperatureThreshold", 0): 92,
    ("TemperatureThreshold", 1): 89,
    "PowerUsage": 76500,
    ("ClockInfo", 1): 345,
    ("ClockInfo", 2): 3201,
    ("MaxClockInfo", 1): 1980,
    ("MaxClockInfo", 2): 3201,
    "UtilizationRates": SimpleNamespace(gpu=50, memory=7),
    "CurrentClocksThrottleReasons": 0x24,
    "MemoryBusWidth": 6144,
    "NumGpuCores": 16896,
}
"""What an H200 answers; the UUID is invented."""

GB10: Mapping[object, object] = {
    "Name": b"NVIDIA GB10",
    "UUID": "GPU-99999999-1111-2222-3333-444444444444",
    ("Temperature", 0): 0,
    ("MaxClockInfo", 1): 3003,
    "MemoryBusWidth": 0,
    "NumGpuCores": 6144,
    "CurrentClocksThrottleReasons": 0,
}
"""A part that shares the host's memory: it answers "not supported" to most questions."""
