"""The first question to an rpc server of llama.cpp: which protocol does it speak.

A client of another protocol aborts, or counts devices wrongly, so hgx asks before llama.cpp does.
The exchange is: command 14 (one byte), the size of the question (64 bits), the question; the size
of the answer (64 bits), then one byte each for major, minor and patch, then what a transport needs.
Numbers are little-endian. A server has one client at a time: another one waits without an answer.
"""

from __future__ import annotations

import socket
import struct
import time
from typing import NamedTuple

from hgx.errors import EngineError

_COMMAND = 14
_SIZE = struct.Struct("<Q")
_QUESTIONS = (bytes(24), b"")
"""What the question holds: nothing is wanted of the transport. Old servers expect it empty."""

_ANSWER_BYTES = range(3, 257)
"""Sizes that an answer may have: 28 in protocol 7, less in old ones, perhaps more in new ones."""


class Protocol(NamedTuple):
    """Version of the protocol between llama.cpp and its rpc servers."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


def hello(host: str, port: int, timeout_s: float) -> Protocol:
    """Ask an rpc server for its protocol. Never ask one that has a client.

    Args:
        host: Its address.
        port: Its port.
        timeout_s: Longest time for all of it, in seconds.

    Raises:
        EngineError: It is not there, does not answer in time, or is no rpc server.
    """
    deadline = time.monotonic() + timeout_s
    what = f"the rpc server at {host}:{port}"
    try:
        for question in _QUESTIONS:
            if (answer := _ask(host, port, question, deadline)) is not None:
                return Protocol(*answer[:3])
    except TimeoutError as error:
        msg = f"{what} did not answer within {timeout_s:g} s: it hangs, or serves another client"
        raise EngineError(msg) from error
    except OSError as error:
        raise EngineError(f"{what} cannot be reached: {error.strerror or error}") from error
    raise EngineError(f"{what} did not answer like llama.cpp's: check what listens there")


def fits(client: Protocol, server: Protocol) -> bool:
    """Tell whether a client can use a server: same major version, and at least its minor one.

    Args:
        client: What llama-server speaks; the rpc server of the same build speaks the same.
        server: What the rpc server answered.
    """
    return client.major == server.major and client.minor >= server.minor


def _ask(host: str, port: int, question: bytes, deadline: float) -> bytes | None:
    """Ask once; null where the other end hung up or answered something else."""
    with socket.create_connection((host, port), _left_s(deadline)) as connection:
        try:
            connection.sendall(bytes([_COMMAND]) + _SIZE.pack(len(question)) + question)
            size = _SIZE.unpack(_receive(connection, _SIZE.size, deadline))[0]
            return _receive(connection, size, deadline) if size in _ANSWER_BYTES else None
        except (EOFError, ConnectionError):
            return None


def _receive(connection: socket.socket, size: int, deadline: float) -> bytes:
    """Receive exactly so many bytes; ``EOFError`` where there are fewer."""
    received = b""
    while len(received) < size:
        connection.settimeout(_left_s(deadline))
        part = connection.recv(size - len(received))
        if not part:
            raise EOFError
        received += part
    return received


def _left_s(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
