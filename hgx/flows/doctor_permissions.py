"""Whether this user may do what hgx needs, and others may not do what only this user should."""

from __future__ import annotations

import os
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hgx.flows.doctor_check import Check, Part, failed
from hgx.flows.doctor_drivers import AMD, NVIDIA, graphics
from hgx.flows.doctor_place import nearest_there
from hgx.net.identity import known_fingerprint, own_identity
from hgx.sensors.values import mapping
from hgx.store.atomic import is_there, shown_path, storage_error
from hgx.store.trust import trust_file, trusted_peers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import JsonValue

    from hgx.sensors.source import Source
    from hgx.store.home import Home

_READ_OR_WRITE, _READ, _WRITE = 0o066, 0o044, 0o022
"""What group and others may do, as bits of a file's mode."""

_DOORS = (
    (NVIDIA, "NVIDIA cards", ("dev/nvidiactl", "dev/nvidia[0-9]*")),
    (AMD, "AMD cards", ("dev/kfd", "dev/dri/renderD*")),
)
"""By vendor, the files through which programs use its cards."""


def permission_parts(home: Home, source: Source) -> list[Part]:
    """List the checks of this area.

    Args:
        home: Where everything is kept.
        source: The machine.
    """
    return [
        Part("permissions", "home", partial(_home, home)),
        Part("permissions", "temporary files", _temporary),
        Part("permissions", "identity", partial(_identity, home)),
        Part("permissions", "paired peers", partial(_trusted, home)),
        *(
            Part("permissions", what, partial(_doors, source, vendor, what, patterns))
            for vendor, what, patterns in _DOORS
        ),
    ]


def _home(home: Home) -> Sequence[Check]:
    place = nearest_there(home.path)
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"hgx")
    except OSError as error:
        return [failed("permissions", "home", storage_error("write in", place, error))]
    name = home.node_id()
    if place != home.path:
        found = f"{shown_path(home.path)} will be made when it is needed"
        return [Check("permissions", "home", "ok", found)]
    found = f"{shown_path(place)} can be written; this node is {name}"
    return [_open_to_others("home", place, _WRITE) or Check("permissions", "home", "ok", found)]


def _temporary() -> Sequence[Check]:
    try:
        with tempfile.TemporaryFile() as file:
            file.write(b"hgx")
        found = f"{tempfile.gettempdir()} can be written"
    except OSError as error:
        found = f"there is no place for them ({(error.strerror or str(error)).lower()})"
        remedy = "set TMPDIR, or free some space"
        return [Check("permissions", "temporary files", "fault", found, remedy)]
    return [Check("permissions", "temporary files", "ok", found)]


def _identity(home: Home) -> Sequence[Check]:
    if known_fingerprint(home) is None:
        found = "there is none yet; `hgx serve` and `hgx pair` make it"
        return [Check("permissions", "identity", "note", found)]
    identity = own_identity(home)
    found = f"certificate {identity.fingerprint[:16]}; only this user can read its key"
    unsafe = _open_to_others("identity", identity.path, _READ_OR_WRITE) or _open_to_others(
        "identity", identity.path.parent, _WRITE
    )
    return [unsafe or Check("permissions", "identity", "ok", found)]


def _trusted(home: Home) -> Sequence[Check]:
    path = trust_file(home)
    if not is_there(path):
        return []
    found = f"{len(trusted_peers(home))} in {shown_path(path)}; only this user can change them"
    unsafe = _open_to_others("paired peers", path, _WRITE)
    return [unsafe or Check("permissions", "paired peers", "ok", found)]


def _open_to_others(what: str, path: Path, forbidden: int) -> Check | None:
    """Say that other users of this machine may do with a file what they should not.

    Args:
        what: What the file is.
        path: The file or folder.
        forbidden: Bits of its mode that should not be set.
    """
    if os.name == "nt":  # it keeps permissions elsewhere
        return None
    allowed = path.stat().st_mode & forbidden
    if not allowed:
        return None
    can = "read" if not allowed & _WRITE else "change" if not allowed & _READ else "read and change"
    found = f"other users of this machine can {can} {shown_path(path)}"
    refuse = "go-rwx" if forbidden == _READ_OR_WRITE else "go-w"
    return Check("permissions", what, "fault", found, f"chmod {refuse} {shown_path(path)}")


def _doors(source: Source, vendor: str, what: str, patterns: tuple[str, ...]) -> Sequence[Check]:
    """Look at the files through which programs use the cards of a vendor, where it has any here."""
    if not graphics(source, vendor):
        return []
    found = {pattern: source.glob(pattern) for pattern in patterns}
    doors = [path for paths in found.values() for path in paths]
    missing = [f"/{pattern}" for pattern, paths in found.items() if not paths]
    if missing:
        said = f"there is a card, but no {' and no '.join(missing)}"
        remedy = "load its driver; in a container, let it use these files too"
        return [Check("permissions", what, "warning", said, remedy)]
    closed = {
        path: group for path in doors for usable, group in [_door(source, path)] if not usable
    }
    names = ", ".join(f"/{path}" for path in closed or doors)
    if not closed:
        return [Check("permissions", what, "ok", f"this user can use {names}")]
    groups = sorted({group for group in closed.values() if group and group != "root"})
    remedy = "have an administrator let this user use them"
    if groups:
        remedy = f"sudo usermod -aG {','.join(groups)} $USER, and log in again"
    return [Check("permissions", what, "fault", f"this user may not use {names}", remedy)]


def _door(source: Source, path: str) -> tuple[bool, str | None]:
    """Tell whether this user may use a device's file, and what group may."""

    def ask() -> JsonValue:
        file = Path("/", path)
        try:
            group = file.group()
        except KeyError:  # it has a number only, as in containers
            group = None
        return {"usable": os.access(file, os.R_OK | os.W_OK), "group": group}

    answer = mapping(source.ask(f"access:{path}", ask))
    group = answer.get("group")
    return answer.get("usable") is True, group if isinstance(group, str) else None
