"""The errors a user can meet, each with the exit code of its class.

Every error is one sentence that says what is wrong, where, and what to do. The command line
prints exactly that sentence and exits with ``exit_code``; docs/exit-codes.md lists the codes.

    HgxError                      1  something hgx did not foresee, worth a report
    |-- ModelError                3  a model file is missing, damaged or of an unknown kind
    |-- RegistryError             4  a registry file is missing, damaged or contradicts itself
    |-- Infeasible                5  no placement satisfies the constraints, or this one does not
    |-- EngineError               6  the engine did not start, stopped, or refused
    |-- Unavailable               7  a runtime, driver or package is not there
    |-- StorageError              8  a file could not be read or written: disk full, permissions
    |-- OutOfTime                 9  the time limit ended the work before there was any answer
    `-- PeerError                10  a peer did not answer, or not as an hgx node does

Wrong usage of the command line exits with 2, an interrupt with 130.
"""

from __future__ import annotations

from typing import ClassVar, Literal

PeerFault = Literal[
    "address",
    "name",
    "refused",
    "no route",
    "timeout",
    "closed",
    "not TLS",
    "not hgx",
    "version",
    "busy",
    "code",
    "unknown",
    "trust",
    "engine",
    "devices",
    "lost",
]
"""What was wrong with a peer, for programs to tell apart; the message says it in words."""


class HgxError(Exception):
    """Root of the tree: one clear sentence for the user, and an exit code.

    Args:
        message: What is wrong, where, and what to do; one line.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ModelError(HgxError):
    """A model file is missing, truncated, not GGUF, or of an architecture hgx does not know."""

    exit_code = 3


class RegistryError(HgxError):
    """A registry file is missing, not valid JSON, or contradicts itself."""

    exit_code = 4


class Infeasible(HgxError):
    """No placement satisfies the constraints, or a given placement breaks one.

    Args:
        message: One sentence: the constraint that fails, by how much, and what would cure it.
        cures: Changes, one sentence each, that would make it feasible.
    """

    exit_code = 5

    def __init__(self, message: str, cures: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.cures = cures


class EngineError(HgxError):
    """The inference engine did not start, stopped by itself, or refused a request."""

    exit_code = 6


class Unavailable(HgxError):
    """Something optional is not there: a runtime, a driver, a package.

    Args:
        reason: What is missing, as a user would recognise it.
        remedy: What to do about it, in the imperative.
    """

    exit_code = 7

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}: {remedy}")
        self.reason = reason
        self.remedy = remedy


class StorageError(HgxError):
    """A file of hgx's own could not be read or written: disk full, permissions, a stale lock."""

    exit_code = 8


class OutOfTime(HgxError):
    """The time limit ended a search before it had any answer; "impossible" was not shown."""

    exit_code = 9


class PeerError(HgxError):
    """A peer did not answer, or not as an hgx node does.

    Args:
        reason: Which peer, and what it did.
        fault: The kind of failure.
        remedy: What to do about it, in the imperative; the reason has it where it is null.
    """

    exit_code = 10

    def __init__(self, reason: str, fault: PeerFault, remedy: str | None = None) -> None:
        super().__init__(f"{reason}: {remedy}" if remedy else reason)
        self.reason = reason
        self.fault: PeerFault = fault
        self.remedy = remedy
