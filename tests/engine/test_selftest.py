"""The self-test: with the real programs, and with some that do not work."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import psutil
import pytest

from hgx.engine import selftest as module
from hgx.engine.selftest import one_token, self_test
from hgx.errors import EngineError, StorageError
from hgx.store.home import Home

if TYPE_CHECKING:
    from hgx.engine.binaries import Toolkit


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home of its own."""
    return Home(tmp_path / "home")


def children() -> set[int]:
    """Processes that this one has started, and theirs."""
    return {child.pid for child in psutil.Process().children(recursive=True)}


def script(tmp_path: Path, name: str, text: str) -> Path:
    """Write a shell script in the place of a program."""
    path = tmp_path / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def fine(*_: Any, **__: Any) -> None:
    """Pass the test without a program."""


def never(*_: Any, **__: Any) -> None:
    """Do not let the test be run."""
    pytest.fail("it was tested before")


class TestReal:
    """With the real programs."""

    def test_it_works_and_costs_once(
        self, llama_cpp: Toolkit, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The first time leaves no process behind; the second time nothing is started."""
        before = children()
        passed = self_test(llama_cpp, home)
        assert passed.device == "CPU"
        assert children() <= before
        monkeypatch.setattr(module, "one_token", never)
        assert self_test(llama_cpp, home) == passed

    def test_other_programs_are_tested_anew(
        self, llama_cpp: Toolkit, home: Home, tmp_path: Path
    ) -> None:
        """What one build passed says nothing of another, or of another device."""
        self_test(llama_cpp, home)
        broken = script(tmp_path, "llama-server", "exit 1")
        with pytest.raises(EngineError):
            self_test(replace(llama_cpp, server=broken), home)
        with pytest.raises(EngineError, match="on CUDA7: "):
            self_test(llama_cpp, home, "CUDA7")

    def test_without_an_rpc_server(self, llama_cpp: Toolkit) -> None:
        """The server alone is tested where there is no more."""
        one_token(replace(llama_cpp, rpc_server=None))

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("kill -ILL $$", r"rpc server did not start: it was killed \(SIGILL\)"),
            ("echo error: no libx.so >&2; exit 127", "status 127, saying 'error: no libx.so'"),
        ],
    )
    def test_the_rpc_server_does_not_work(
        self, llama_cpp: Toolkit, tmp_path: Path, text: str, words: str
    ) -> None:
        """It says which folder, how it ended, and what to do; not where a log was."""
        broken = replace(llama_cpp, rpc_server=script(tmp_path, "ggml-rpc-server", text))
        with pytest.raises(EngineError, match=words) as raised:
            one_token(broken)
        assert raised.value.message.startswith(f"llama.cpp in {llama_cpp.server.parent} does not")
        assert raised.value.message.endswith("named with --engine-dir or HGX_LLAMA_CPP")
        assert "log" not in raised.value.message

    def test_the_server_does_not_work(self, llama_cpp: Toolkit, tmp_path: Path) -> None:
        """The same of the server, and its rpc server is gone as well."""
        before = children()
        broken = replace(llama_cpp, server=script(tmp_path, "llama-server", "kill -ILL $$"))
        with pytest.raises(EngineError, match=r"it was killed \(SIGILL\)"):
            one_token(broken)
        assert children() <= before

    def test_it_hangs(self, llama_cpp: Toolkit, tmp_path: Path) -> None:
        """At the limit everything is ended."""
        before = children()
        broken = replace(llama_cpp, server=script(tmp_path, "llama-server", "sleep 60 & wait"))
        with pytest.raises(EngineError, match="it made no token in time"):
            one_token(broken, limit_s=2.0)
        assert children() <= before


class TestAnswers:
    """With the real programs, and answers that are not theirs."""

    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            (httpx2.Response(500, text="no"), "answered with status 500 and no token"),
            (httpx2.Response(200, json={"content": ""}), "answered with status 200 and no token"),
            (
                httpx2.Response(200, json={"completion_probabilities": [{"logprob": None}]}),
                "computes what is no number",
            ),
            (httpx2.ReadTimeout("late"), "made no token in time"),
            (httpx2.ReadError("gone"), r"did not answer \(gone\)"),
        ],
    )
    def test_no_token(
        self,
        llama_cpp: Toolkit,
        monkeypatch: pytest.MonkeyPatch,
        answer: httpx2.Response | Exception,
        words: str,
    ) -> None:
        """Whatever comes instead of a token is told."""

        def post(*_: Any, **__: Any) -> httpx2.Response:
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(httpx2.Client, "post", post)
        with pytest.raises(EngineError, match=words):
            one_token(replace(llama_cpp, rpc_server=None))


def test_what_passed_is_bounded(
    llama_cpp: Toolkit, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old results go; a damaged file counts as none."""
    monkeypatch.setattr(module, "one_token", fine)
    for number in range(30):
        self_test(llama_cpp, home, f"CUDA{number}")
    file = home.path / "selftest.json"
    assert file.read_text().count("T") == 20
    file.write_text("[]")
    self_test(llama_cpp, home)
    assert file.read_text().count("T") == 1


def test_no_place(llama_cpp: Toolkit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home or a temporary folder that cannot be written to is a storage error."""
    (tmp_path / "file").touch()
    monkeypatch.setattr(module, "one_token", fine)
    with pytest.raises(StorageError):
        self_test(llama_cpp, Home(tmp_path / "file"))
    with pytest.raises(StorageError, match="nowhere"):
        self_test(replace(llama_cpp, server=Path("/nowhere")), Home(tmp_path))
    monkeypatch.undo()
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(StorageError):
        one_token(llama_cpp)
