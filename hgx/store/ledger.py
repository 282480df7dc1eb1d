"""The ledger of served requests, predicted against measured: ``ledger.db`` in the home.

SQLite, because several servers and commands may use it at once: each request is a row of its own,
written in one step, and who comes in between waits for that step. Nothing of what was asked or
answered is in it, only how long it was and how long it took.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from pydantic import ValidationError

from hgx.core.served import ServedRequest
from hgx.errors import StorageError
from hgx.store.atomic import is_there, shown_path

if TYPE_CHECKING:
    from collections.abc import Generator

    from hgx.store.home import Home

VERSION = 1
"""Of the schema, as SQLite's ``user_version``."""

MOST_ROWS = 10_000
"""The newest are kept; a row is about a kilobyte."""

BUSY_S = 5.0
"""How long to wait for another program that writes."""

_LOW_BYTE = 0xFF
"""Part of SQLite's error codes that names the kind; the rest is detail."""


class Ledger:
    """Served requests, oldest first. Every call opens the file for itself, from any thread.

    Args:
        home: Where the file is; it is made by the first request.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self.path = home.path / "ledger.db"

    def add(self, request: ServedRequest) -> None:
        """Write a request down, and forget the oldest of more than ``MOST_ROWS``.

        Raises:
            StorageError: The file is damaged, of a later hgx, in use for too long, or not writable.
        """
        self._home.create()
        with self._open("write", create=True) as database:
            database.execute("BEGIN IMMEDIATE")
            if not self._has_table(database):
                database.execute(
                    "CREATE TABLE served (id INTEGER PRIMARY KEY, request TEXT NOT NULL)"
                )
                database.execute(f"PRAGMA user_version = {VERSION}")
            row = database.execute(
                "INSERT INTO served (request) VALUES (?)", (request.model_dump_json(),)
            ).lastrowid
            database.execute("DELETE FROM served WHERE id <= ?", ((row or 0) - MOST_ROWS,))
            database.execute("COMMIT")

    def requests(self, newest: int = MOST_ROWS) -> tuple[ServedRequest, ...]:
        """Read requests, oldest first; none where nothing was ever served.

        Args:
            newest: How many at most.

        Raises:
            StorageError: The file is damaged, of a later hgx, in use for too long, or not readable.
        """
        if not is_there(self.path):
            return ()
        with self._open("read", create=False) as database:
            if not self._has_table(database):
                return ()
            rows = database.execute(
                "SELECT request FROM served ORDER BY id DESC LIMIT ?", (newest,)
            ).fetchall()
            try:
                return tuple(ServedRequest.model_validate_json(text) for (text,) in reversed(rows))
            except ValidationError as error:
                raise self._damaged("a request in it is none") from error

    def _has_table(self, database: sqlite3.Connection) -> bool:
        """Tell whether requests were written already.

        Raises:
            StorageError: The file is of a later hgx, or not a ledger.
        """
        (version,) = database.execute("PRAGMA user_version").fetchone()
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_schema")}
        if version > VERSION:
            msg = (
                f"{shown_path(self.path)} was written by a later hgx (its version is {version}, "
                f"this hgx knows {VERSION}): upgrade hgx, or move the file away"
            )
            raise StorageError(msg)
        if "served" in tables:
            return True
        if tables:
            raise self._damaged("it is a database of something else")
        return False

    @contextmanager
    def _open(self, verb: str, *, create: bool) -> Generator[sqlite3.Connection]:
        """Open the file, and say in one sentence what goes wrong with it.

        What was begun and not committed is undone.
        """
        # Reading may have to undo what somebody who was killed had half written.
        address = f"{self.path.as_uri()}?mode={'rwc' if create else 'rw'}"
        try:
            # Without a level, transactions begin and end where this module says so.
            with closing(
                sqlite3.connect(address, timeout=BUSY_S, isolation_level=None, uri=True)
            ) as database:
                # The journal stays SQLite's own kind: one that is written ahead is switched to
                # without waiting, so that of several first writers some would fail.
                yield database
        except sqlite3.Error as error:
            raise self._fault(verb, error) from error

    def _fault(self, verb: str, error: sqlite3.Error) -> StorageError:
        name = shown_path(self.path)
        match getattr(error, "sqlite_errorcode", 0) & _LOW_BYTE:
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                msg = f"{name} is in use by another program for over {BUSY_S:g} s: try again"
                return StorageError(msg)
            case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
                return self._damaged(str(error))
            case sqlite3.SQLITE_FULL:
                remedy = "free some space on that disk"
            case _:
                remedy = "check its permissions and its directory's"
        return StorageError(f"could not {verb} {name}: {error}: {remedy}")

    def _damaged(self, how: str) -> StorageError:
        return StorageError(
            f"{shown_path(self.path)} is damaged ({how}): put back a copy, or delete it and what "
            "was learnt from served requests with it"
        )
