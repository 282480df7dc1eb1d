"""The engine's log and the line of it that explains a failure."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from hgx.engine.log import new_log, reason
from hgx.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "0.00.001 I srv  init: ok\n0.00.005 E gguf_init: bad magic\n0.00.006 E late\n",
            "gguf_init",
        ),
        ("0.00.005 E srv    load_model: failed\n", "load_model: failed"),
        ("0.1 I a\nggml.c:12: GGML_ASSERT(x) failed\n[New LWP 7]\n", "ggml.c:12: GGML_ASSERT"),
        ("0.1 I a\nImportError: no such symbol\n", "ImportError"),
    ],
)
def test_the_line_that_explains(tmp_path: Path, text: str, expected: str) -> None:
    """The first error explains; without one, what was printed at the crash."""
    log = tmp_path / "log"
    log.write_text(text, encoding="utf-8")
    assert str(reason(log)).startswith(expected)


def test_nothing_to_explain_with(tmp_path: Path) -> None:
    """A log without errors, or a missing one, explains nothing."""
    (tmp_path / "dull").write_text("0.1 I all is well\n", encoding="utf-8")
    assert reason(tmp_path / "dull") is None
    assert reason(tmp_path / "missing") is None


def test_old_logs_go(tmp_path: Path) -> None:
    """Ten logs are kept, the newest, and the new one is among them."""
    for age in range(15):
        old = tmp_path / f"engine-{age + 1}.old.log"
        old.touch()
        os.utime(old, (age, age))
    path = new_log(tmp_path)
    left = sorted(log.name for log in tmp_path.iterdir())
    assert len(left) == 10
    assert path.name in left
    assert "engine-15.old.log" in left


def test_no_place_for_logs(tmp_path: Path) -> None:
    """A folder that cannot be made is an error that names it."""
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file"):
        new_log(tmp_path / "file")
