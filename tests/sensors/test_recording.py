"""Recordings: what a machine said, written, read, and read from anybody."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.errors import StorageError
from hgx.sensors import recording
from hgx.sensors.node import read_node
from hgx.sensors.recording import Recorder, Replay
from hgx.sensors.scrub import Scrubber
from hgx.sensors.source import LARGEST_BYTES, MACHINE
from tests.sensors.doubles import Told, write_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
PLAIN: dict[str, object] = {"version": 1, "system": "Linux", "commands": {}, "answers": {}}


def write(directory: Path, document: object) -> Path:
    """Write a recording's document."""
    directory.mkdir(parents=True, exist_ok=True)
    text = document if isinstance(document, str) else json.dumps(document)
    (directory / "recording.json").write_text(text)
    return directory


def test_round_trip(tmp_path: Path) -> None:
    """What was asked while recording is answered the same; all else is unknown."""
    source = Told(
        {"sys/a/intel-rapl:0/name": "x\n", "sys/b/name": "y\n", "proc/stat": "z\n"},
        commands={"say hello world": "hello\n"},
        answers={"memory": {"total": 5, "none": None}},
        system="Android",
    )
    recorder = Recorder(source)
    assert recorder.glob("sys/*/intel-*") == ("sys/a/intel-rapl:0",)
    assert recorder.read("sys/a/intel-rapl:0/name") == "x\n"
    assert recorder.read("sys/b/name") == "y\n"
    assert recorder.read("gone") is None
    assert recorder.run("say", "hello", "world") == "hello\n"
    assert recorder.run("gone") is None
    assert recorder.ask("memory", lambda: None) == source.answers["memory"]
    assert recorder.ask("gone", lambda: None) is None
    recorder.save(tmp_path / "new" / "one", NOON)
    names = [path.name for path in tmp_path.rglob("*")]
    assert not any(":" in name for name in names)  # which Windows would not take

    replay = Replay(tmp_path / "new" / "one")
    assert replay.system == "Android"
    assert replay.glob("sys/*") == ("sys/a", "sys/b")
    assert replay.glob("sys/*/intel-rapl:[0-9]") == ("sys/a/intel-rapl:0",)
    assert replay.glob("../*") == ()
    assert replay.read("sys/a/intel-rapl:0/name") == "x\n"
    assert replay.read("proc/stat") is None
    assert replay.read("sys/a") is None
    assert replay.run("say", "hello", "world") == "hello\n"
    assert replay.run("say", "hello world") is None
    assert replay.ask("memory", lambda: 1) == {"total": 5, "none": None}
    assert replay.ask("gone", lambda: 1) is None


def test_format(tmp_path: Path) -> None:
    """The document has a version, the system, the time if it is given, commands and answers."""
    recorder = Recorder(Told(commands={"a": "b"}, answers={"c": 1}))
    recorder.run("a")
    recorder.ask("c", lambda: 1)
    recorder.save(tmp_path / "timed", NOON)
    recorder.save(tmp_path / "timeless")
    timed, timeless = (
        json.loads((tmp_path / name / "recording.json").read_text())
        for name in ("timed", "timeless")
    )
    assert timed == PLAIN | {
        "commands": {"a": "b"},
        "answers": {"c": 1},
        "recorded_at": "2026-01-02T12:00:00Z",
    }
    assert timeless == {key: timed[key] for key in timed if key != "recorded_at"}
    assert Replay(tmp_path / "timed").system == "Linux"


def test_this_machine(tmp_path: Path) -> None:
    """Replaying this machine gives the readings that were recorded."""
    recorder = Recorder(MACHINE)
    live = read_node(recorder)
    recorder.save(tmp_path)
    replayed = read_node(Replay(tmp_path))
    assert replayed[:2] == live[:2]
    assert [reason.message for reason in replayed.missing] == [
        reason.message for reason in live.missing
    ]


def test_nothing_personal_is_written(tmp_path: Path) -> None:
    """Contents, outputs, answers and even names of files are scrubbed, in one and the same way."""
    source = Told(
        {"sys/alice/serial": "D86\n", "proc/self/cgroup": "0::/alice\n"},
        commands={"x": '"Serial" = "D86"\n on tower\n'},
        answers={"y": {"home": "/home/alice"}},
    )
    recorder = Recorder(source)
    for path in source.files:
        recorder.read(path)
    recorder.run("x")
    recorder.ask("y", lambda: None)
    recorder.save(tmp_path, scrubber=Scrubber({"alice", "tower"}, {"/home/alice"}))
    for path in tmp_path.rglob("*"):
        text = str(path.relative_to(tmp_path)) + (path.read_text() if path.is_file() else "")
        assert not any(word in text for word in ("alice", "tower", "D86"))
    assert Replay(tmp_path).read("proc/self/cgroup") == "0::/somebody\n"
    assert Replay(tmp_path).read("sys/somebody/serial") == "0000000000000001\n"
    assert Replay(tmp_path).run("x") == '"Serial" = "0000000000000001"\n on somebody\n'


@given(
    st.lists(
        st.text(
            st.characters(exclude_characters="/\0", exclude_categories=["Cs"]),
            min_size=1,
            max_size=20,
        ),
        min_size=1,
        max_size=3,
    )
)
def test_any_name_of_a_file(tmp_path_factory: pytest.TempPathFactory, segments: list[str]) -> None:
    """A file of any name is written inside the recording and read by its own name."""
    path = "/".join(segments)
    recorder = Recorder(Told({path: "x"}))
    recorder.read(path)
    directory = tmp_path_factory.mktemp("any")
    recorder.save(directory, scrubber=Scrubber())
    (file,) = (found for found in (directory / "files").rglob("*") if found.is_file())
    assert (directory / "files").resolve() in file.resolve().parents
    replay = Replay(directory)
    assert replay.glob("/".join("*" * len(segments))) == (path,)


def test_place_that_is_taken(tmp_path: Path) -> None:
    """A directory that has something in it is left as it is."""
    write_files(tmp_path, {"mine": "x"})
    with pytest.raises(StorageError, match="is not empty: choose another place"):
        Recorder(Told()).save(tmp_path)
    assert os.listdir(tmp_path) == ["mine"]  # noqa: PTH208 - names only
    with pytest.raises(StorageError, match=r"could not write .*mine.*choose another place"):
        Recorder(Told()).save(tmp_path / "mine")


def test_full_disk(tmp_path: Path) -> None:
    """A disk that takes no more is an error that says what to do, and leaves no recording."""
    resource = pytest.importorskip("resource", reason="limits are Unix's")
    recorder = Recorder(Told({"a": "x" * 1000}))
    recorder.read("a")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(StorageError, match=r"could not write .*: check its permissions and"):
            recorder.save(tmp_path / "new")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    with pytest.raises(StorageError, match="is no recording"):
        Replay(tmp_path / "new")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("{", "is damaged: recording.json is not JSON"),
        ("[" * 100_000, "is damaged: recording.json is not JSON"),
        ('{"version": ' + "9" * 5000 + "}", "is damaged: recording.json is not JSON"),
        ("[]", "is damaged: recording.json is not an object"),
        ({}, "is damaged: it has no version"),
        (PLAIN | {"version": True}, "is damaged: it has no version"),
        (PLAIN | {"version": 0}, "is damaged: it has no version"),
        (PLAIN | {"version": 2}, "was made by a newer hgx: upgrade hgx"),
        (PLAIN | {"system": 5}, "is damaged: system: input should be a valid string"),
        (PLAIN | {"commands": {"a\x1b[2J": 5}}, r"is damaged: commands.a\\x1b"),
        (PLAIN | {"answers": None}, "is damaged: answers"),
        (PLAIN | {"extra": 1}, "is damaged: extra"),
        ({"version": 1}, "is damaged: system: field required"),
    ],
)
def test_damaged_document(tmp_path: Path, document: object, words: str) -> None:
    """A document that is damaged or newer is one clear sentence on one line."""
    with pytest.raises(StorageError, match=words) as error:
        Replay(write(tmp_path, document))
    assert error.value.message.isprintable()


@pytest.mark.parametrize("depth", [10, 150, 300, 800, 950, 5000])
def test_nested_answers(tmp_path: Path, depth: int) -> None:
    """Answers at any depth are taken, or are one clear error."""
    text = json.dumps(PLAIN).replace(
        '"answers": {', f'"answers": {{"x": {"[" * depth}{"]" * depth}'
    )
    try:
        replay = Replay(write(tmp_path, text))
    except StorageError as error:
        assert depth > 100
        assert "is damaged" in error.message
    else:
        assert replay.ask("x", lambda: None) is not None


def test_dots_are_names(tmp_path: Path) -> None:
    """A path with dots that would lead out is written inside the recording."""
    recorder = Recorder(Told({"../../a": "x"}))
    recorder.read("../../a")
    recorder.save(tmp_path / "one" / "two", scrubber=Scrubber())
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
    assert Replay(tmp_path / "one" / "two").read("../../a") == "x"


def test_no_recording(tmp_path: Path) -> None:
    """A directory without a document, or with something else of its name, is no recording."""
    for place in (tmp_path, tmp_path / "gone\x1b"):
        with pytest.raises(StorageError, match="is no recording") as error:
            Replay(place)
        assert error.value.message.isprintable()
    (tmp_path / "recording.json").mkdir()
    with pytest.raises(StorageError, match="is no recording"):
        Replay(tmp_path)


def test_document_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A document that is too large, or that the system refuses to read, is an error."""
    write(tmp_path, PLAIN)
    monkeypatch.setattr(recording, "_LARGEST_DOCUMENT_BYTES", 10)
    with pytest.raises(StorageError, match="is larger than any"):
        Replay(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(StorageError, match=r"could not read .*permission denied: check"):
        Replay(tmp_path)


def test_older_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A document of an older version is brought up to date step by step."""
    monkeypatch.setattr(recording, "VERSION", 3)

    def step(version: int, letter: str) -> Callable[[dict[str, str]], dict[str, object]]:
        return lambda old: {**old, "version": version, "system": old["system"] + letter}

    steps = {1: step(2, "x"), 2: step(3, "y")}
    monkeypatch.setattr(recording, "MIGRATIONS", steps)
    assert Replay(write(tmp_path, PLAIN)).system == "Linuxxy"


def test_links_are_not_followed(tmp_path: Path) -> None:
    """Links to elsewhere are not part of a recording, be they files, directories or all of it."""
    write_files(tmp_path / "secret", {"file": "x"})
    inside = write(tmp_path / "inside", PLAIN)
    write_files(inside / "files", {"sys/real": "y"})
    (inside / "files" / "link").symlink_to(tmp_path / "secret" / "file")
    (inside / "files" / "sys" / "up").symlink_to(tmp_path / "secret")
    replay = Replay(inside)
    assert replay.glob("*") == ("sys",)
    assert replay.glob("sys/*") == ("sys/real",)
    for path in ("link", "sys/up/file", "../recording.json", "/etc/passwd", "sys/../sys/real"):
        assert replay.read(path) is None

    outside = write(tmp_path / "outside", PLAIN)
    (outside / "files").symlink_to(tmp_path / "secret")
    assert Replay(outside).glob("*") == ()
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "recording.json").symlink_to(inside / "recording.json")
    with pytest.raises(StorageError, match="is no recording"):
        Replay(linked)


def test_link_that_appears_later(tmp_path: Path) -> None:
    """A file that became a link after the recording was opened is not followed."""
    write_files(write(tmp_path, PLAIN) / "files", {"a": "x"})
    replay = Replay(tmp_path)
    (tmp_path / "files" / "a").unlink()
    (tmp_path / "files" / "a").symlink_to(tmp_path / "recording.json")
    assert replay.read("a") is None


def test_sizes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a huge file only the beginning is read, and a huge number of files is an error."""
    write_files(write(tmp_path, PLAIN) / "files", {"a": "x" * LARGEST_BYTES, "b": ""})
    assert len(Replay(tmp_path).read("a") or "") == LARGEST_BYTES
    monkeypatch.setattr(recording, "_MOST_FILES", 1)
    with pytest.raises(StorageError, match="has more than 1 files"):
        Replay(tmp_path)


def test_names_that_lead_out(tmp_path: Path) -> None:
    """A quoted name that would lead out of the recording is only a name."""
    write_files(write(tmp_path, PLAIN) / "files", {"%2E%2E%2Fsecret": "x", "%2Fetc%2Fpasswd": "y"})
    (tmp_path / "secret").write_text("secret")
    assert Replay(tmp_path).read("../secret") == "x\n"
    assert Replay(tmp_path).read("/etc/passwd") == "y\n"
