"""The registry on disk: read with care, changed under a lock, replaced whole.

Readers take no lock: the file is replaced in one step, so what they open is complete.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from filelock import FileLock, Timeout
from pydantic import ValidationError

from hgx.core.registry import Registry
from hgx.errors import RegistryError, StorageError
from hgx.store.atomic import is_there, shown_path, storage_error, write_atomically
from hgx.store.registry_faults import explain
from hgx.units import MIB

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from pydantic import JsonValue

LARGEST_BYTES = 64 * MIB
"""A registry of this size describes some hundred thousand devices: more is a mistaken file."""

DEEPEST = 64
"""Levels of nesting; unknown fields are kept, and all that is kept must be writable again."""

LOCK_TIMEOUT_S = 10.0
_LONGEST_NUMBER = 19  # digits of 2**63


def load_registry(path: str | os.PathLike[str]) -> Registry:
    """Read a registry.

    Args:
        path: A JSON file as docs describe it; written by ``hgx discover`` or by hand.

    Raises:
        RegistryError: One line: the file, the place in it, what is wrong and what to do.
    """
    file = Path(path)
    return parse_registry(_read(file), shown_path(file))


def known_registry(path: Path) -> Registry:
    """Read a registry; an empty one where there is no file yet.

    Raises:
        RegistryError: As for ``load_registry``.
        StorageError: It cannot be told whether there is one.
    """
    return load_registry(path) if is_there(path) else Registry()


def parse_registry(data: bytes, source: str) -> Registry:
    """Check the content of a registry file.

    Args:
        data: UTF-8 JSON, with or without a byte order mark.
        source: What to call it in an error, such as its path.

    Raises:
        RegistryError: As for ``load_registry``.
    """
    try:
        text = data.decode("utf-8-sig")
        document = _parse_json(text)
    except UnicodeDecodeError as error:
        msg = f"{source} is not UTF-8 text (at byte {error.start}): save it as UTF-8"
        raise RegistryError(msg) from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        msg = f"{source} is not valid JSON at {place}: {error.msg.lower()}: correct it there"
        raise RegistryError(msg) from error
    except RecursionError as error:
        raise RegistryError(_too_deep(source)) from error
    except ValueError as error:
        msg = f"{source} is not a registry: {error}: correct it"
        raise RegistryError(msg) from error
    if _depth_exceeds(document, DEEPEST):
        raise RegistryError(_too_deep(source))
    try:
        # From text, because only there a strict tuple may be written as a JSON array.
        return Registry.model_validate_json(text)
    except ValidationError as error:
        raise RegistryError(f"{source}: {explain(error, document)}") from error


def registry_text(registry: Registry, *, ascii_only: bool = False) -> str:
    """Write a registry as JSON: what was given and nothing else, unknown fields included.

    Args:
        registry: The document.
        ascii_only: Whether to escape all other characters, for streams of any encoding.
    """
    fields = registry.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return json.dumps({"version": 1, **fields}, indent=2, ensure_ascii=ascii_only) + "\n"


def update_registry(path: Path, change: Callable[[Registry], Registry]) -> Registry:
    """Read, change and write a registry while nobody else can.

    Args:
        path: The file; an empty registry where it does not exist. Its directory must exist.
        change: Makes the new registry from the old one; quick, because others wait.

    Returns:
        The registry as written.

    Raises:
        RegistryError: The file is damaged; it stays as it is.
        StorageError: Disk full, no permission, or locked by another for over 10 s; the file
            stays as it is.
    """
    target = path.resolve()
    if not (is_there(target.parent) and target.parent.is_dir()):
        msg = f"{shown_path(target.parent)} is not a directory: create it, or choose another place"
        raise StorageError(msg)
    lock = FileLock(target.with_name(f"{target.name}.lock"), timeout=LOCK_TIMEOUT_S)
    try:
        with lock:
            new = change(known_registry(target))
            write_atomically(target, _readable(registry_text(new), target))
            return new
    except Timeout as error:
        msg = f"{shown_path(path)} is being changed by another hgx: wait for it to end, or stop it"
        raise StorageError(msg) from error
    except OSError as error:
        raise storage_error("lock", path, error) from error


def _readable(text: str, path: Path) -> str:
    """Return a text that can be read again, or refuse to write it."""
    if len(text.encode()) > LARGEST_BYTES:
        msg = f"{shown_path(path)} would get larger than {LARGEST_BYTES // MIB} MiB: remove nodes"
        raise StorageError(msg)
    return text


def _read(path: Path) -> bytes:
    name = shown_path(path)
    try:
        if path.is_dir():
            msg = f"{name} is a directory: give the registry file in it"
            raise RegistryError(msg)
        with path.open("rb") as file:
            data = file.read(LARGEST_BYTES + 1)
    except FileNotFoundError as error:
        msg = f"{name} does not exist: run `hgx discover` to write a registry, or check the path"
        raise RegistryError(msg) from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = error.strerror if isinstance(error, OSError) else None
        msg = f"{name} could not be read: {(reason or str(error)).lower()}: check its permissions"
        raise RegistryError(msg) from error
    if len(data) > LARGEST_BYTES:
        msg = f"{name} is larger than {LARGEST_BYTES // MIB} MiB: this is no registry, choose one"
        raise RegistryError(msg)
    return data


def _parse_json(text: str) -> JsonValue:
    return json.loads(
        text,
        parse_constant=_refuse_constant,
        parse_float=_finite,
        parse_int=_short_enough,
        object_pairs_hook=_without_duplicates,
    )


def _refuse_constant(name: str) -> NoReturn:
    msg = f"{name} is not a number that JSON has"
    raise ValueError(msg)


def _finite(digits: str) -> float:
    value = float(digits)
    if value in {float("inf"), float("-inf")}:
        _refuse_constant(digits[:40])
    return value


def _short_enough(digits: str) -> int:
    if len(digits.lstrip("-")) > _LONGEST_NUMBER:
        msg = f"a whole number of {len(digits)} digits, {digits[:8]}…, is too large"
        raise ValueError(msg)
    return int(digits)


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        msg = f"the field {json.dumps(twice)[:80]} is given twice in one object"
        raise ValueError(msg)
    return fields


def _depth_exceeds(document: JsonValue, limit: int) -> bool:
    level = [document]
    for _ in range(limit):
        level = [child for value in level for child in _children(value)]
        if not level:
            return False
    return True


def _children(value: JsonValue) -> list[JsonValue]:
    match value:
        case dict():
            return [*value.values()]
        case list():
            return [*value]
        case _:
            return []


def _too_deep(source: str) -> str:
    return f"{source} is nested more than {DEEPEST} levels deep: this is no registry, choose one"
