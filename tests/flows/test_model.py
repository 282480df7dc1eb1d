"""A model is read wherever it lies."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hgx.errors import ModelError
from hgx.flows.model import read_model
from tests.gguf.ggufs import tiny_llama
from tests.net.web import Body, by_path, ranged, web

if TYPE_CHECKING:
    from pathlib import Path


def test_an_address_says_the_same_as_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the hub as on disk: only what it is called differs."""
    path = tiny_llama(tmp_path / "m.gguf")
    local = read_model(path)
    answer = ranged(Body(path.read_bytes(), local.file_bytes))
    with web(by_path({"/o/r/resolve/v1/m.gguf": answer})) as site:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{site.port}")
        name = "hf://o/r@v1/m.gguf"
        remote = read_model(name)
    assert remote == local.model_copy(update={"path": name, "files": (name,)})


def test_what_is_neither_is_refused() -> None:
    """Another scheme is named as what it is."""
    with pytest.raises(ModelError, match="begins with s3://"):
        read_model("s3://bucket/m.gguf")


def test_a_file_is_read_without_a_client_for_the_web(tmp_path: Path) -> None:
    """Importing that takes longer than reading a header does."""
    path = tiny_llama(tmp_path / "m.gguf")
    code = f"import sys, hgx; hgx.read_model({str(path)!r}); print('httpx2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"
