"""Who is to blame when a served model cannot go on; processes of this machine, invented workers."""

from __future__ import annotations

import subprocess
import sys
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import psutil
import pytest

from hgx.errors import PeerError
from hgx.net.lease_lines import Beat
from hgx.net.relay import Flow, Traffic
from hgx.serve import overseer as module
from hgx.serve.overseer import Overseer
from hgx.serve.team import Colleague, Team

if TYPE_CHECKING:
    from collections.abc import Generator

    from hgx.engine.base import Endpoint, Progress


PATIENCE_S = 0.5


class Engine:
    """A process that only sleeps, in the place of llama.cpp."""

    def __init__(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        self.stopped_with: float | None = None

    @property
    def pid(self) -> int | None:
        """Its process id."""
        return self.process.pid

    def start(self, progress: Progress | None = None) -> Endpoint:
        """Never called."""
        raise NotImplementedError

    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    def obituary(self) -> str:
        """Say that it ended."""
        return "the engine is no more"

    def stop(self, grace_s: float = 3.0) -> None:
        """End it."""
        self.stopped_with = grace_s
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Generator[Engine]:
    """An engine that runs, and little patience with bad news."""
    monkeypatch.setattr(module, "_BLAME_S", 0.2)
    engine = Engine()
    try:
        yield engine
    finally:
        engine.stop()


def team_of(*leases: object, own: tuple[object, ...] = ()) -> Team:
    """Make a team of invented leases."""
    colleagues = tuple(Colleague("far", cast("Any", lease), 1, on_cards=True) for lease in leases)
    return cast("Team", SimpleNamespace(colleagues=colleagues, own=own))


def lease(**fields: object) -> SimpleNamespace:
    """Make a lease that lives, unless fields say otherwise."""
    known: dict[str, object] = {"lost": None, "beat": None, "traffic": Traffic()}
    return SimpleNamespace(**known | fields)


def ended(engine: Engine) -> bool:
    """Whether the engine is stopped soon."""
    for _ in range(200):
        if not engine.alive():
            return True
        time.sleep(0.05)
    return False


def test_a_lost_worker(engine: Engine) -> None:
    """The engine is ended at once, and the worker named."""
    one = lease()
    with Overseer(engine, team_of(one), lambda: None) as overseer:
        time.sleep(0.6)
        assert engine.alive()
        one.lost = PeerError("far is gone", "lost", "look for it")
        assert ended(engine)
        assert overseer.obituary() == "far is gone: look for it"
    assert engine.stopped_with == 0


def test_the_news_comes_after_the_end(engine: Engine) -> None:
    """An engine that ended because a worker did is told as the worker's end."""
    with Overseer(engine, team_of(lease(lost=PeerError("far is gone", "lost"))), lambda: None):
        pass
    overseer = Overseer(engine, team_of(lease(lost=PeerError("far is gone", "lost"))), lambda: None)
    assert overseer.obituary() == "far is gone"
    assert Overseer(engine, None, lambda: None).obituary() == "the engine is no more"


def test_an_engine_that_hangs(engine: Engine) -> None:
    """Without workers it is the engine itself that hangs."""
    with Overseer(engine, None, lambda: 3, PATIENCE_S) as overseer:
        assert ended(engine)
    assert overseer.obituary().startswith("llama.cpp hangs: an answer is wanted")


def test_an_engine_that_is_suspended(engine: Engine) -> None:
    """The system's word for it is told."""
    psutil.Process(engine.pid).suspend()
    with Overseer(engine, None, lambda: 3, PATIENCE_S) as overseer:
        assert ended(engine)
    assert overseer.obituary().startswith("llama.cpp is suspended")


def test_nobody_waits(engine: Engine) -> None:
    """An engine that nobody asks may rest."""
    with Overseer(engine, None, lambda: None):
        time.sleep(1.5)
        assert engine.alive()


def test_a_worker_on_cards_gets_more_time(engine: Engine) -> None:
    """A card may compute while its process sleeps."""
    traffic = Traffic(to_tls=Flow(5, at_s=time.monotonic()))
    beat = Beat(beat=1, cpu_s=1.0, stopped=False)
    team = team_of(lease(beat=beat, traffic=traffic))
    with Overseer(engine, team, lambda: 3, PATIENCE_S):
        time.sleep(1.5)
        assert engine.alive()


def test_the_own_rpc_server_is_gone(engine: Engine) -> None:
    """This machine's own rpc server is watched, too."""
    gone = SimpleNamespace(alive=lambda: False, obituary=lambda: "it was killed", pid=engine.pid)
    with Overseer(engine, team_of(own=(gone,)), lambda: None) as overseer:
        assert ended(engine)
    assert overseer.obituary() == "this machine's rpc server is gone: it was killed"
