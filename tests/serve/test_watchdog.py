"""Who hangs, judged by progress alone."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from hgx.serve.watchdog import PATIENCE_S, Sight, Watchdog

ENGINE = Sight("llama-server", 5.0)
NEAR, FAR = Sight("near", 1.0, 10, asked_at_s=1.0), Sight("far", 2.0, 20, asked_at_s=2.0)


def verdicts(*looks: tuple[float, int | None, list[Sight]]) -> list[str | None]:
    """Show a watchdog one thing after the other."""
    dog = Watchdog()
    found = [dog.look(now_s, pieces, sights) for now_s, pieces, sights in looks]
    return [verdict and verdict[0].name for verdict in found]


def test_the_one_that_was_asked_last_hangs() -> None:
    """Where nothing moves, it is the worker that was sent something last."""
    sights = [ENGINE, NEAR, FAR]
    assert verdicts((0, 3, sights), (9.9, 3, sights), (10, 3, sights)) == [None, None, "far"]


def test_a_suspended_one_hangs() -> None:
    """Where the system says that one is suspended, it is that one."""
    sights = [ENGINE, NEAR._replace(stopped=True), FAR]
    assert verdicts((0, 3, sights), (10, 3, sights)) == [None, "near"]


def test_the_engine_hangs() -> None:
    """Without workers, or none that was sent anything, it is the engine."""
    sights = [ENGINE, NEAR._replace(asked_at_s=None)]
    assert verdicts((0, 0, sights), (10, 0, sights)) == [None, "llama-server"]


def test_nothing_is_wanted() -> None:
    """An engine that nobody asks may rest; time counts from the question on."""
    assert verdicts((0, None, [ENGINE]), (99, None, [ENGINE]), (100, 0, [ENGINE])) == [None] * 3
    looks = [(0.0, None, [ENGINE]), (50.0, 0, [ENGINE]), (61.0, 0, [ENGINE])]
    assert verdicts(*looks) == [None, None, "llama-server"]


def test_more_patience() -> None:
    """A worker whose card computes without its processor is given longer."""
    slow = FAR._replace(patience_s=60.0)
    sights = [ENGINE, NEAR, slow]
    assert verdicts((0, 3, sights), (59, 3, sights), (60, 3, sights)) == [None, None, "far"]


def test_waking_now_and_then_is_no_progress() -> None:
    """Who waits uses a little processor time, too; who computes uses more."""
    looks = [(float(second), 0, [ENGINE._replace(cpu_s=second / 100)]) for second in range(13)]
    assert verdicts(*looks)[10] == "llama-server"
    busy = [(float(second), 0, [ENGINE._replace(cpu_s=second / 20)]) for second in range(13)]
    assert verdicts(*busy) == [None] * 13


@given(st.lists(st.tuples(st.floats(0.1, 9.9), st.integers(0, 3)), min_size=1, max_size=30))
def test_whoever_gets_on_does_not_hang(steps: list[tuple[float, int]]) -> None:
    """As long as a piece, a byte or a moment of processor time comes in time, nobody hangs."""
    dog, now_s, pieces = Watchdog(), 0.0, 0
    far, engine = FAR, ENGINE
    for wait_s, what in steps:
        now_s += wait_s
        pieces += what == 0
        far = far._replace(cpu_s=far.cpu_s + (what == 1), moved_bytes=far.moved_bytes + (what == 2))
        engine = engine._replace(cpu_s=engine.cpu_s + (what == 3))
        assert dog.look(now_s, pieces, [engine, NEAR, far]) is None


@given(st.lists(st.floats(0, 30), min_size=2, max_size=30).map(sorted))
def test_a_hang_is_noticed_at_the_first_look_after_the_limit(times: list[float]) -> None:
    """However seldom it looks, it tells at the first look at which the limit is over."""
    dog = Watchdog()
    found = [dog.look(now_s, 0, [ENGINE]) for now_s in times]
    assert found[0] is None
    for verdict, (_, now_s) in zip(found[1:], pairwise(times), strict=True):
        assert (verdict is not None) == (now_s - times[0] >= PATIENCE_S)
