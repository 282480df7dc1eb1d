"""Connections of a server that is too slow are ended."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from hgx.net.patience import Pace, Patience

if TYPE_CHECKING:
    from collections.abc import Mapping

IMPATIENT = Pace(grace_s=0.05, bytes_per_s=1000)


class Stream:
    """A connection, as the client shows it."""

    def __init__(self, opened: socket.socket) -> None:
        self.socket = opened

    def get_extra_info(self, info: str) -> socket.socket:
        """Give the socket."""
        assert info == "socket"
        return self.socket


def connected(stream: Stream) -> Mapping[str, object]:
    """Return what a client tells when it has connected."""
    return {"return_value": stream}


def test_whoever_waits_for_it_is_woken() -> None:
    """A read that nothing comes for ends, once the server has had its time."""
    near, far = socket.socketpair()
    near.settimeout(30)
    with closing(near), closing(far), Patience(IMPATIENT) as patience:
        patience.trace("connection.connect_tcp.complete", connected(Stream(near)))
        assert near.recv(1) == b""
        assert patience.exhausted


def test_a_connection_that_comes_later_is_ended_at_once() -> None:
    """Who opens another one after that has no more time either."""
    near, far = socket.socketpair()
    near.settimeout(30)
    with closing(near), closing(far), Patience(Pace(grace_s=0)) as patience:
        patience.trace("http11.send_request_headers.started", {})
        while not patience.exhausted:
            pass
        patience.trace("connection.connect_tcp.complete", connected(Stream(near)))
        assert near.recv(1) == b""


def test_what_comes_buys_time() -> None:
    """A server that keeps the pace may take as long as that takes."""
    near, far = socket.socketpair()
    near.settimeout(0.3)
    with closing(near), closing(far), Patience(IMPATIENT) as patience:
        patience.add(10**6)
        patience.trace("connection.connect_tcp.complete", connected(Stream(near)))
        with pytest.raises(TimeoutError):
            near.recv(1)
        assert not patience.exhausted


def test_there_is_an_end_to_it() -> None:
    """However much comes, it may not take for ever."""
    near, far = socket.socketpair()
    near.settimeout(30)
    with closing(near), closing(far), Patience(IMPATIENT._replace(most_s=0.05)) as patience:
        patience.add(10**6)
        patience.trace("connection.connect_tcp.complete", connected(Stream(near)))
        assert near.recv(1) == b""


def test_a_closed_connection_is_no_concern() -> None:
    """What was closed before is passed over, and the next one ended."""
    gone = socket.socket()
    near, far = socket.socketpair()
    near.settimeout(30)
    with closing(near), closing(far), Patience(IMPATIENT) as patience:
        patience.trace("connection.connect_tcp.complete", connected(Stream(gone)))
        gone.close()
        patience.trace("connection.connect_tcp.complete", connected(Stream(near)))
        assert near.recv(1) == b""
