"""What a machine said, kept in a directory, and said again.

A recording is a directory with ``recording.json`` (the system, the output of commands, answers of
libraries) and ``files/``, the tree of the files that were read. Nothing personal is written, see
``hgx.sensors.scrub``. A recording may come from anybody: reading one leaves its directory never,
follows no link, and is bounded in size.
"""

from __future__ import annotations

import json
import os
import shlex
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast
from urllib.parse import quote, unquote

from pydantic import AwareDatetime, Field, JsonValue, ValidationError

from hgx.core.base import Strict
from hgx.errors import StorageError
from hgx.sensors.scrub import Scrubber, scrubber_of_this_machine
from hgx.sensors.source import Source, read_bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

VERSION = 1
"""Of the format that is written here."""

MIGRATIONS: Mapping[int, Callable[[dict[str, JsonValue]], dict[str, JsonValue]]] = {}
"""For each older version, what makes its document one of the next version."""

_DOCUMENT = "recording.json"
_FILES = "files"
_LARGEST_DOCUMENT_BYTES = 16 * 1024**2
_MOST_FILES = 20_000
# Characters that a name may have on every system; others, as the colon of intel-rapl:0, are quoted.
_PLAIN = " !#$&'()+,;=@[]^`{}~"
_NO_FOLLOW: int = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


class _Document(Strict):
    version: Annotated[int, Field(ge=1)] = VERSION
    system: Annotated[str, Field(min_length=1, max_length=100)]
    recorded_at: AwareDatetime | None = None
    commands: dict[str, str]
    answers: dict[str, JsonValue]


class Recorder:
    """A source that asks another one, and notes what it answers.

    Args:
        source: The one to ask.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._files: dict[str, str] = {}
        self._commands: dict[str, str] = {}
        self._answers: dict[str, JsonValue] = {}

    @property
    def system(self) -> str:
        """Name the kind of system."""
        return self._source.system

    def read(self, path: str, /) -> str | None:
        """Read a file."""
        text = self._source.read(path)
        if text is not None:
            self._files[path] = text
        return text

    def glob(self, pattern: str, /) -> tuple[str, ...]:
        """Find files; those that nobody reads are not in the recording."""
        return self._source.glob(pattern)

    def run(self, *command: str) -> str | None:
        """Run a command."""
        output = self._source.run(*command)
        if output is not None:
            self._commands[shlex.join(command)] = output
        return output

    def ask(self, name: str, call: Callable[[], JsonValue], /) -> JsonValue:
        """Ask."""
        answer = self._source.ask(name, call)
        if answer is not None:
            self._answers[name] = answer
        return answer

    def save(
        self,
        directory: Path,
        recorded_at: datetime | None = None,
        scrubber: Scrubber | None = None,
    ) -> None:
        """Write what was noted, without what is personal.

        Args:
            directory: Where to; it must be new or empty.
            recorded_at: When, with a zone; left out when absent.
            scrubber: Takes out what is personal; one that knows this machine when absent.

        Raises:
            StorageError: The directory has something in it, is not writable, or the disk is full.
        """
        scrubber = scrubber or scrubber_of_this_machine()
        document = _Document(
            system=self.system,
            recorded_at=recorded_at,
            commands={line: scrubber.text(text) for line, text in self._commands.items()},
            answers={name: scrubber.value(value) for name, value in self._answers.items()},
        )
        files = {
            scrubber.text(path): scrubber.file(path, self._files[path]) for path in self._files
        }
        try:
            directory.mkdir(parents=True, exist_ok=True)
            if any(directory.iterdir()):
                raise StorageError(f"{_shown(directory)} is not empty: choose another place")
            for path, text in sorted(files.items()):
                target = directory.joinpath(_FILES, *map(_as_name, path.split("/")))
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(text.encode(errors="replace"))
            # Last, so that what was not written to its end is no recording.
            (directory / _DOCUMENT).write_bytes(_as_json(document))
        except OSError as error:
            raise _storage_error("write", directory, error) from error


class Replay:
    """A source that answers from a recording; what is not in it is unknown.

    Args:
        directory: The recording.

    Raises:
        StorageError: It is no recording, damaged, or of a version not known here.
    """

    def __init__(self, directory: Path) -> None:
        self._document = _load(directory)
        self._files = dict(_index(directory / _FILES))
        self._places = {
            "/".join(parts[:length])
            for parts in (path.split("/") for path in self._files)
            for length in range(1, len(parts) + 1)
        }

    @property
    def system(self) -> str:
        """Name the kind of system that was recorded."""
        return self._document.system

    @property
    def recorded_at(self) -> datetime | None:
        """Say when it was recorded, if that is known."""
        return self._document.recorded_at

    def read(self, path: str, /) -> str | None:
        """Give a file's recorded text."""
        file = self._files.get(path)
        return None if file is None else read_bounded(str(file), _NO_FOLLOW)

    def glob(self, pattern: str, /) -> tuple[str, ...]:
        """Find what was recorded."""
        segments = pattern.split("/")
        return tuple(sorted(place for place in self._places if _matches(place, segments)))

    def run(self, *command: str) -> str | None:
        """Give a command's recorded output."""
        return self._document.commands.get(shlex.join(command))

    def ask(self, name: str, call: Callable[[], JsonValue], /) -> JsonValue:  # noqa: ARG002 - the protocol's
        """Give the recorded answer."""
        return self._document.answers.get(name)


def _load(directory: Path) -> _Document:
    place = _shown(directory)
    content = _content(directory / _DOCUMENT)
    damaged = f"the recording {place} is damaged"
    try:
        found: object = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise StorageError(f"{damaged}: {_DOCUMENT} is not JSON: record it again") from error
    if not isinstance(found, dict):
        raise StorageError(f"{damaged}: {_DOCUMENT} is not an object: record it again")
    document = _migrated(cast("dict[str, JsonValue]", found), place)
    try:
        return _Document.model_validate_json(json.dumps(document))
    except (ValidationError, RecursionError) as error:
        what = _fault(error) if isinstance(error, ValidationError) else "it is nested too deeply"
        raise StorageError(f"{damaged}: {what}: record it again") from error


def _fault(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(map(str, first["loc"])) or _DOCUMENT
    return f"{ascii(where)[1:-1]}: {first['msg'].lower()}"


def _content(file: Path) -> bytes:
    """Read the document itself, if it is a plain file of a sensible size."""
    place = _shown(file.parent)
    if not file.is_file() or file.is_symlink():
        raise StorageError(
            f"{place} is no recording: it has no {_DOCUMENT}: "
            "give a directory that hgx discover --record wrote"
        )
    try:
        with file.open("rb") as opened:
            content = opened.read(_LARGEST_DOCUMENT_BYTES + 1)
    except OSError as error:
        raise _storage_error("read", file, error) from error
    if len(content) > _LARGEST_DOCUMENT_BYTES:
        raise StorageError(f"the recording {place} is damaged: {_DOCUMENT} is larger than any")
    return content


def _migrated(document: dict[str, JsonValue], place: str) -> dict[str, JsonValue]:
    version = document.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise StorageError(f"the recording {place} is damaged: it has no version: record it again")
    if version > VERSION:
        raise StorageError(f"the recording {place} was made by a newer hgx: upgrade hgx")
    for older in range(version, VERSION):
        document = MIGRATIONS[older](document)
    return document


def _index(root: Path) -> Iterator[tuple[str, Path]]:
    """Find the plain files below a directory, by the path they were recorded from."""
    if root.is_symlink():
        return
    count = 0
    for directory, _, names in os.walk(root, followlinks=False):
        for name in names:
            count += 1
            if count > _MOST_FILES:
                raise StorageError(
                    f"the recording {_shown(root.parent)} has more than {_MOST_FILES} files: "
                    "that is none of hgx's"
                )
            file = Path(directory, name)
            if file.is_file() and not file.is_symlink():
                yield "/".join(map(unquote, file.relative_to(root).parts)), file


def _matches(place: str, segments: list[str]) -> bool:
    parts = place.split("/")
    return len(parts) == len(segments) and all(map(fnmatchcase, parts, segments))


def _as_name(segment: str) -> str:
    """Write a path's segment as a name that every system can have; dots alone name no file."""
    if set(segment) <= {"."}:
        return segment.replace(".", "%2E")
    return quote(segment, safe=_PLAIN, errors="replace")


def _as_json(document: _Document) -> bytes:
    found = document.model_dump(mode="json")
    if document.recorded_at is None:
        del found["recorded_at"]
    return json.dumps(found, indent=1, sort_keys=True).encode() + b"\n"


def _storage_error(verb: str, path: Path, error: OSError) -> StorageError:
    reason = (error.strerror or str(error)).lower()
    return StorageError(
        f"could not {verb} {_shown(path)}: {reason}: "
        "check its permissions and the space left there, or choose another place"
    )


def _shown(path: Path) -> str:
    text = str(path)
    return text if text.isprintable() else ascii(text)
