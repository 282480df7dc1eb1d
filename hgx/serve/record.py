"""Writes down what served requests took, so that plans get better and can be judged."""

from __future__ import annotations

from datetime import UTC, datetime
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Self

from hgx.core.served import Measured
from hgx.errors import StorageError
from hgx.flows.served import Answered, learn, served_request
from hgx.planner.problem import Question
from hgx.serve.once import measure

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgx.serve.launch import Launch
    from hgx.store.ledger import Ledger

_JOIN_S = 5.0


class Recorder:
    """Takes the figures of answers and writes them, in a thread, as long as the context lasts.

    Args:
        ledger: Where to.
        launch: What serves.
        tell: Told in one sentence that nothing can be written any more.
    """

    def __init__(self, ledger: Ledger, launch: Launch, tell: Callable[[str], object]) -> None:
        self._ledger = ledger
        self._plan = launch.plan
        self._question = Question(
            launch.registry,
            launch.workload,
            launch.options,
            learn(launch.registry, ledger).corrections,
        )
        self._tell = tell
        self._waiting: SimpleQueue[Answered | None] = SimpleQueue()
        self._thread = Thread(target=self._write, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Write what is still waiting."""
        self._waiting.put(None)
        self._thread.join(_JOIN_S)

    def add(self, timings: dict[str, float]) -> None:
        """Take the figures of an answer that had the engine for itself; returns at once.

        Args:
            timings: As llama.cpp gives them.
        """
        answered = answered_of(timings)
        if answered is not None:
            self._waiting.put(answered)

    def _write(self) -> None:
        while (answered := self._waiting.get()) is not None:
            try:
                self._ledger.add(served_request(self._question, self._plan, answered))
            except StorageError as error:
                self._tell(f"served requests are not written down any more: {error.message}")
                return


def answered_of(timings: dict[str, float]) -> Answered | None:
    """Read llama.cpp's figures of one answer.

    Args:
        timings: ``prompt_n`` is what of the prompt was computed, ``cache_n`` what was not.

    Returns:
        Null where they say too little.
    """
    taken = measure(timings)
    if taken is None:
        return None
    computed, cached = (int(timings.get(name, 0)) for name in ("prompt_n", "cache_n"))
    return Answered(
        at=datetime.now(UTC),
        prompt_tokens=computed + cached,
        cached_tokens=cached,
        output_tokens=int(timings.get("predicted_n", 0)),
        parallel=1,
        measured=Measured(ttft_s=taken.ttft_s or None, tpot_s=taken.tpot_s or None),
    )
