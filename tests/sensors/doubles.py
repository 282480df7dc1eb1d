"""Stand-ins for what a machine says."""

from __future__ import annotations

from fnmatch import fnmatchcase
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pydantic import JsonValue

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


class Told:
    """A source that says what it was told to; anything else is unknown.

    Args:
        files: Their text by path.
        commands: Output by command, its words with spaces between.
        answers: By name.
        system: Its kind.
    """

    def __init__(
        self,
        files: Mapping[str, str] | None = None,
        *,
        commands: Mapping[str, str] | None = None,
        answers: Mapping[str, object] | None = None,
        system: str = "Linux",
    ) -> None:
        self.files = dict(files or {})
        self.commands = dict(commands or {})
        self.answers = dict(answers or {})
        self.asked: list[str] = []
        self.system = system

    def read(self, path: str, /) -> str | None:
        """Give a file."""
        return self.files.get(path)

    def glob(self, pattern: str, /) -> tuple[str, ...]:
        """Find files and the directories they are in."""
        places = {
            "/".join(parts[:length])
            for parts in (path.split("/") for path in self.files)
            for length in range(1, len(parts) + 1)
        }
        wanted = pattern.split("/")
        return tuple(
            sorted(
                place
                for place in places
                if place.count("/") == len(wanted) - 1
                and all(map(fnmatchcase, place.split("/"), wanted))
            )
        )

    def run(self, *command: str) -> str | None:
        """Give a command's output."""
        self.asked.append(" ".join(command))
        return self.commands.get(" ".join(command))

    def ask(self, name: str, call: Callable[[], JsonValue], /) -> JsonValue:  # noqa: ARG002 - the protocol's
        """Give an answer."""
        self.asked.append(name)
        return cast("JsonValue", self.answers.get(name))


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

        def ask(card: Mapping[object, object], *arguments: int | list[int]) -> object:
            words = [tuple(word) if isinstance(word, list) else word for word in arguments]
            answer = card.get((question, *words) if words else question, NOT_SUPPORTED)
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
