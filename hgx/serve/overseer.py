"""Watches all that works for a served model, and ends it where it cannot go on.

A dead worker makes llama-server abort, a hanging one makes it wait without end; both are told with
the name of whoever is to blame.
"""

from __future__ import annotations

import time
from contextlib import suppress
from threading import Event, Thread
from typing import TYPE_CHECKING, Self

import psutil

from hgx.serve.watchdog import GPU_PATIENCE_S, PATIENCE_S, Sight, Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Protocol

    from hgx.engine.base import Engine
    from hgx.serve.team import Colleague, Team

    class Running(Engine, Protocol):
        """An engine whose process can be looked at."""

        @property
        def pid(self) -> int | None:
            """Its process id."""
            raise NotImplementedError


_LOOK_S = 0.25
_BLAME_S = 2.0
"""How long to wait, once the engine has ended, for news of a worker that made it end."""


class Overseer:
    """Looks several times a second, as long as the context lasts.

    Args:
        engine: It runs; it is stopped when it cannot go on.
        team: Who works with it; null where nobody does.
        pieces: How many pieces of answers have come; null while none is wanted.
        patience_s: For how long a processor may show no progress.
    """

    def __init__(
        self,
        engine: Running,
        team: Team | None,
        pieces: Callable[[], int | None],
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._engine = engine
        self._colleagues: tuple[Colleague, ...] = team.colleagues if team else ()
        self._own = team.own if team else ()
        self._pieces = pieces
        self._patience_s = patience_s
        self._over = Event()
        self._trouble: str | None = None
        self._thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def obituary(self) -> str:
        """Say in one sentence why the engine ended; it may take two seconds to know of workers."""
        until_s = time.monotonic() + (_BLAME_S if self._colleagues or self._own else 0.0)
        while self._trouble is None and time.monotonic() < until_s:
            self._trouble = self._lost()
            time.sleep(_LOOK_S / 5)
        return self._trouble or self._engine.obituary()

    def _watch(self) -> None:
        dog = Watchdog()
        while not self._over.wait(_LOOK_S):
            if not self._engine.alive():
                return
            trouble = self._lost() or _hanging(dog, self._pieces(), tuple(self._sights()))
            if trouble:
                self._trouble = trouble
                self._engine.stop(grace_s=0)  # it waits for somebody who does not answer
                return

    def _lost(self) -> str | None:
        for colleague in self._colleagues:
            if colleague.lease.lost is not None:
                return colleague.lease.lost.message
        for server in self._own:
            if not server.alive():
                return f"this machine's rpc server is gone: {server.obituary()}"
        return None

    def _sights(self) -> Iterator[Sight]:
        yield self._seen("llama.cpp", self._engine.pid)
        for colleague in self._colleagues:
            beat, traffic = colleague.lease.beat, colleague.lease.traffic
            yield Sight(
                colleague.name,
                beat.cpu_s or 0.0 if beat else 0.0,
                traffic.moved_bytes,
                traffic.to_tls.at_s,
                bool(beat and beat.stopped),
                GPU_PATIENCE_S if colleague.on_cards else self._patience_s,
            )
        for server in self._own:
            yield self._seen("this machine's rpc server", server.pid)

    def _seen(self, name: str, pid: int | None) -> Sight:
        """Look at a process of this machine; one that is gone has used no time."""
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            with process.oneshot():
                times, status = process.cpu_times(), process.status()
            return Sight(
                name,
                times.user + times.system,
                stopped=status == psutil.STATUS_STOPPED,
                patience_s=self._patience_s,
            )
        return Sight(name, 0.0)


def _hanging(dog: Watchdog, pieces: int | None, sights: tuple[Sight, ...]) -> str | None:
    found = dog.look(time.monotonic(), pieces, sights)
    if found is None:
        return None
    culprit, still_s = found
    how = "is suspended" if culprit.stopped else "hangs"
    return (
        f"{culprit.name} {how}: an answer is wanted, and nothing has moved for {still_s:.0f} s; "
        "see whether that machine is awake, and start the model again"
    )
