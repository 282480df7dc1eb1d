"""Work in threads that nobody has to wait for: an interrupt ends the process at once.

The threads of ``concurrent.futures`` are waited for when the interpreter ends, whatever they wait
for themselves. These are not; only use them for work that may be cut off anywhere.
"""

from __future__ import annotations

import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Answer = TypeVar("Answer")


class Background(Generic[Answer]):
    """A call that goes on in a thread of its own.

    Args:
        call: What to do.
        gate: Lets only so many calls go on at the same time.
        done: Called, in that thread, when there is a result.
    """

    def __init__(
        self,
        call: Callable[[], Answer],
        gate: threading.Semaphore | None = None,
        done: Callable[[], object] = lambda: None,
    ) -> None:
        self._call = call
        self._gate = gate
        self._tell = done
        self._ended = threading.Event()
        self._answers: list[Answer] = []
        self._error: BaseException | None = None
        threading.Thread(target=self._run, daemon=True).start()

    def done(self) -> bool:
        """Tell whether there is a result."""
        return self._ended.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Wait for a result, at most so many seconds; tell whether there is one."""
        return self._ended.wait(timeout_s)

    def result(self) -> Answer:
        """Wait for the result, and return it or raise what the call raised."""
        self._ended.wait()
        if self._error is not None:
            raise self._error
        return self._answers[0]

    def _run(self) -> None:
        with self._gate or nullcontext():
            try:
                self._answers.append(self._call())
            except BaseException as error:  # noqa: BLE001 - whoever asks for the result gets it
                self._error = error
        self._ended.set()
        self._tell()
