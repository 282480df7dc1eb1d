"""Who is let through to the engine, and when."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hgx.serve.gate import TURN_S, Gate


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    """A clock."""
    return Clock()


def test_an_open_gate_lets_all_in(clock: Clock) -> None:
    """Without limits requests go in as they come, and are counted until they end, once."""
    gate = Gate(clock)
    tickets = [gate.ticket() for _ in range(5)]
    assert all(ticket.enter() for ticket in tickets)
    assert (gate.running, gate.waiting) == (5, 0)
    assert tickets[0].enter()
    assert gate.running == 5
    tickets[0].leave()
    tickets[0].leave()
    assert gate.running == 4


def test_so_many_at_a_time_in_their_order(clock: Clock) -> None:
    """With fewer slots the others wait, and whoever has waited longest is next."""
    gate = Gate(clock)
    gate.set(1, 1.0)
    first, second, third = (gate.ticket() for _ in range(3))
    assert [one.enter() for one in (first, second, third)] == [True, False, False]
    assert gate.waiting == 2
    first.leave()
    assert not third.enter()
    assert second.enter()
    second.leave()
    assert third.enter()


def test_who_gives_up_waiting_is_in_nobodys_way(clock: Clock) -> None:
    """A client that leaves while it waits makes place for the next."""
    gate = Gate(clock)
    gate.set(1, 1.0)
    first, second, third = (gate.ticket() for _ in range(3))
    assert [one.enter() for one in (first, second, third)] == [True, False, False]
    second.leave()
    first.leave()
    assert third.enter()
    gate.ticket().leave()
    assert gate.running == 1


def test_a_pause_lets_nobody_in(clock: Clock) -> None:
    """Without any duty all wait until there is some again; what runs goes on."""
    gate = Gate(clock)
    running, ticket = gate.ticket(), gate.ticket()
    assert running.enter()
    gate.set(None, 0.0)
    clock.now_s += 1000.0
    assert not ticket.enter()
    assert gate.running == 1
    gate.set(None, 1.0)
    assert ticket.enter()


def test_work_calls_for_rest(clock: Clock) -> None:
    """After thirty seconds of work at a quarter of the time comes rest of ninety."""
    gate = Gate(clock)
    gate.set(None, 0.25)
    long, later = gate.ticket(), gate.ticket()
    assert long.enter()
    clock.now_s += 30.0
    assert not later.enter()
    long.leave()
    clock.now_s += 89.0
    assert not later.enter()
    clock.now_s += 1.1
    assert later.enter()
    assert gate.busy_s == pytest.approx(30.0)


def test_little_work_goes_on_for_a_turn(clock: Clock) -> None:
    """Short answers follow each other until rest of a turn's worth is owed."""
    gate = Gate(clock)
    gate.set(None, 0.5)
    let_in = 0
    for _ in range(50):
        ticket = gate.ticket()
        if not ticket.enter():
            ticket.leave()
            break
        let_in += 1
        clock.now_s += 0.5
        ticket.leave()
    assert let_in == TURN_S / 2 / 0.5


def test_full_duty_forgives(clock: Clock) -> None:
    """Once all work is allowed again no rest is owed any more."""
    gate = Gate(clock)
    gate.set(None, 0.1)
    ticket = gate.ticket()
    assert ticket.enter()
    clock.now_s += 100.0
    ticket.leave()
    assert not (waiting := gate.ticket()).enter()
    gate.set(None, 1.0)
    assert waiting.enter()


def test_a_clock_that_goes_back_changes_nothing(clock: Clock) -> None:
    """Time that would be negative is none."""
    gate = Gate(clock)
    gate.set(None, 0.5)
    ticket = gate.ticket()
    assert ticket.enter()
    clock.now_s -= 1000.0
    assert gate.busy_s == 0.0


@settings(max_examples=20)
@given(duty=st.floats(0.2, 0.95), answer_s=st.floats(5.0, 30.0))
def test_the_share_of_work_is_kept(duty: float, answer_s: float) -> None:
    """Of a long time with work without end, the share of work is what was set, but for a turn."""
    clock = Clock()
    gate = Gate(clock)
    gate.set(None, duty)
    begin_s = clock.now_s
    for number in range(41):
        ticket = gate.ticket()
        for _ in range(100_000):
            if ticket.enter():
                break
            clock.now_s += 0.5
        clock.now_s += answer_s if number < 40 else 0.0
        ticket.leave()
    passed_s = clock.now_s - begin_s
    slack_s = TURN_S + answer_s + 0.5 * 80
    assert abs(gate.busy_s - duty * passed_s) <= slack_s
