"""The ledger of served requests."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from hgx.errors import StorageError
from hgx.store import ledger as module
from hgx.store.home import Home
from hgx.store.ledger import VERSION, Ledger
from tests.planner.made import device
from tests.planner.requests import request

if TYPE_CHECKING:
    from pathlib import Path

    from hgx.core.served import ServedRequest


def served(number: int) -> ServedRequest:
    """A request that is told by the length of its answer."""
    return request([(device("a/cuda:0"), 0.01)], tpot_s=0.02, output=number)


def numbers(ledger: Ledger, newest: int = 100) -> list[int]:
    """Which requests are in the ledger."""
    return [it.output_tokens for it in ledger.requests(newest)]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A ledger in a home that is not there yet."""
    return Ledger(Home(tmp_path / "home ä#?%41"))


def test_nothing_at_first(ledger: Ledger) -> None:
    """Nothing was served, and asking makes no file."""
    assert ledger.requests() == ()
    assert not ledger.path.exists()


def test_what_was_added_is_there(ledger: Ledger) -> None:
    """Requests come back as they were, oldest first, also by another object."""
    for number in (1, 2, 3):
        ledger.add(served(number))
    again = Ledger(Home(ledger.path.parent))
    assert again.requests() == tuple(map(served, (1, 2, 3)))
    assert numbers(again, newest=2) == [2, 3]


def test_it_does_not_grow_without_end(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more requests than are kept the newest stay."""
    monkeypatch.setattr(module, "MOST_ROWS", 3)
    for number in range(7):
        ledger.add(served(number))
    assert numbers(ledger) == [4, 5, 6]


WRITERS = """
import sys
from pathlib import Path
from hgx.store.home import Home
from hgx.store.ledger import Ledger
from tests.store.test_ledger import served
for number in range(5):
    Ledger(Home(Path(sys.argv[1]))).add(served(number))
"""


def test_several_may_write(tmp_path: Path) -> None:
    """Processes that all begin with no file lose none of their requests."""
    command = [sys.executable, "-c", WRITERS, str(tmp_path)]
    children = [subprocess.Popen(command) for _ in range(3)]
    assert [child.wait(60) for child in children] == [0, 0, 0]
    assert sorted(numbers(Ledger(Home(tmp_path)))) == sorted([*range(5)] * 3)


KILLED = """
import os, signal, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("INSERT INTO served (request) SELECT request FROM served")
database.execute("BEGIN IMMEDIATE")
database.execute("INSERT INTO served (request) VALUES ('half')")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_who_is_killed_leaves_whole_rows(ledger: Ledger) -> None:
    """What was written stays, what was not finished never was, and others go on."""
    ledger.add(served(1))
    command = [sys.executable, "-c", KILLED, str(ledger.path)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert numbers(ledger) == [1, 1]
    ledger.add(served(2))
    assert numbers(ledger) == [1, 1, 2]


def test_in_use(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another program writes, reading goes on and writing says so after a while."""
    monkeypatch.setattr(module, "BUSY_S", 0.05)
    ledger.add(served(1))
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert numbers(ledger) == [1]
        with pytest.raises(StorageError, match=r"ledger\.db is in use .* over 0\.05 s: try again"):
            ledger.add(served(2))
    ledger.add(served(3))
    assert numbers(ledger) == [1, 3]


def refusals(ledger: Ledger) -> set[str]:
    """What is said when a ledger is read, and when it is written: the same."""
    said: set[str] = set()
    for use in (ledger.requests, lambda: ledger.add(served(1))):
        with pytest.raises(StorageError) as caught:
            use()
        assert "\n" not in caught.value.message
        said.add(caught.value.message)
    return said


@pytest.mark.parametrize(
    ("content", "how"),
    [
        (b"no database, and long enough to be looked at" * 9, "file is not a database"),
        (b"SQLite format 3\0" + b"\xff" * 4096, "file is not a database"),
    ],
)
def test_damaged(ledger: Ledger, content: bytes, how: str) -> None:
    """A damaged file is refused in one line that says what to do, and stays as it is."""
    ledger.path.parent.mkdir()
    ledger.path.write_bytes(content)
    (said,) = refusals(ledger)
    assert said == (
        f"{ledger.path} is damaged ({how}): put back a copy, or delete it and what was learnt "
        "from served requests with it"
    )
    assert ledger.path.read_bytes() == content


def test_damaged_inside(ledger: Ledger) -> None:
    """Pages that were overwritten are found when they are read."""
    for number in range(20):
        ledger.add(served(number))
    content = bytearray(ledger.path.read_bytes())
    content[4096:] = b"\xaa" * (len(content) - 4096)
    ledger.path.write_bytes(content)
    with pytest.raises(StorageError, match=r"ledger\.db is damaged"):
        ledger.requests()


def changed(ledger: Ledger, statement: str) -> None:
    """Let somebody else write into the file."""
    ledger.path.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as database:
        database.execute(statement)


def test_of_a_later_hgx(ledger: Ledger) -> None:
    """A file of a later version is neither read nor written."""
    ledger.add(served(1))
    changed(ledger, f"PRAGMA user_version = {VERSION + 1}")
    (said,) = refusals(ledger)
    assert f"written by a later hgx (its version is {VERSION + 1}, this hgx knows 1)" in said
    assert "upgrade hgx" in said


def test_of_something_else(ledger: Ledger) -> None:
    """A database that is no ledger is not made one."""
    changed(ledger, "CREATE TABLE bookmarks (url TEXT)")
    (said,) = refusals(ledger)
    assert "it is a database of something else" in said


def test_a_row_that_is_no_request(ledger: Ledger) -> None:
    """A row that hgx did not write is damage."""
    ledger.add(served(1))
    changed(ledger, "UPDATE served SET request = '{}'")
    with pytest.raises(StorageError, match="a request in it is none"):
        ledger.requests()


def test_an_empty_file_is_an_empty_ledger(ledger: Ledger) -> None:
    """A file that was made and never filled is as good as none."""
    ledger.path.parent.mkdir()
    ledger.path.touch()
    assert ledger.requests() == ()
    ledger.add(served(1))
    assert numbers(ledger) == [1]


def test_no_file_at_all(ledger: Ledger) -> None:
    """A directory in its place can be neither read nor written, and both are said."""
    ledger.path.mkdir(parents=True)
    said = refusals(ledger)
    assert {message.partition(str(ledger.path))[0] for message in said} == {
        "could not read ",
        "could not write ",
    }
    assert all("check its permissions" in message for message in said)


def test_a_full_disk(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no room the remedy is to make some; SQLite's word for it stands in here."""
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL

    def full(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(sqlite3, "connect", full)
    with pytest.raises(StorageError, match=r"disk is full: free some space on that disk"):
        ledger.add(served(1))
