"""``hgx bench --verify``, as a user runs it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from hgx.cli.main import run
from hgx.core.served import Expected
from hgx.store.home import Home
from hgx.store.ledger import Ledger
from tests.planner.made import device
from tests.planner.requests import request

if TYPE_CHECKING:
    from pathlib import Path

CARD, CPU = device("a/cuda:0"), device("b/cpu:0")


@pytest.fixture(autouse=True)
def no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what the tester's own terminal says."""
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home where two models were served, one of a hostile name."""
    ledger = Ledger(Home(tmp_path))
    for took in (0.009, 0.010, 0.011, 0.012, 0.013):
        one = request([(CARD, 0.009)], rest_s=0.001, tpot_s=took, ttft_s=0.2)
        told = Expected(ttft_s=0.1, tpot_s=0.0111)
        ledger.add(one.model_copy(update={"promised": told}))
    ledger.add(request([(CARD, 0.01), (CPU, 0.01)], tpot_s=0.02, model="\x1b[31mred"))
    return tmp_path


def test_tables(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each model and placement has a table, and the end says how far off all were."""
    assert run(["bench", "--verify", "--home", str(home)]) == 0
    out, err = capsys.readouterr()
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[:9] == [
        "a model (llama, 229 MiB) on a/cuda:0 0-0",
        "TIME REQUESTS PREDICTED MEASURED RATIO MIDDLE HALF OF ERRORS",
        "per token 5 11.1 ms 11 ms 0.99 -10% to +8%",
        "first token 5 100 ms 200 ms 2.00 +100% to +100%",
        "",
        r"\x1b[31mred (llama, 229 MiB) on a/cuda:0 0-0, b/cpu:0 1-1",
        "TIME REQUESTS PREDICTED MEASURED RATIO MIDDLE HALF OF ERRORS",
        "per token 1 20 ms 20 ms 1.00 +0% to +0%",
        "",
    ]
    of_all = "at the 90th percentile of 6 requests"
    assert lines[9:] == [
        f"predicted tokens/s: off by 9.0% at the median and 18.0% {of_all}",
        f"without corrections: off by 10.0% at the median and 25.0% {of_all}",
    ]
    assert err == ""


def test_json(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json each model and placement is a line, and one is for all."""
    assert run(["bench", "--verify", "--json", "--home", str(home)]) == 0
    first, second, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["placement"] == [["a/cuda:0", 0, 0]]
    assert first["tpot"]["quartiles"] == pytest.approx([0.01 / 0.0111 - 1, 0.012 / 0.0111 - 1])
    assert {"event": "verified", "model": "a model", "requests": 5}.items() <= first.items()
    assert (second["ttft"], second["tpot"]["ratio"]) == (None, 1.0)
    assert last["event"] == "verified_all"
    assert last["promised"]["requests"] == last["uncorrected"]["requests"] == 6


def test_without_requests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty ledger says what fills it, on stderr; for scripts it is a line without numbers."""
    assert run(["bench", "--verify", "--home", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "serve a model with `hgx serve MODEL`" in err
    assert run(["bench", "--verify", "--json", "--home", str(tmp_path)]) == 0
    line = json.loads(capsys.readouterr().out)
    assert line == {"event": "verified_all", "promised": None, "uncorrected": None}


def test_first_tokens_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where no answer had two tokens, nothing is said of tokens per second."""
    Ledger(Home(tmp_path)).add(request([(CARD, 0.01)], tpot_s=None, ttft_s=0.1))
    assert run(["bench", "--verify", "--home", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "first token" in out
    assert "per token" not in out
    assert "tokens/s" not in out


def test_damaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A ledger that cannot be read is one line and the exit code of storage."""
    (tmp_path / "ledger.db").write_bytes(b"no database" * 99)
    assert run(["bench", "--verify", "--home", str(tmp_path)]) == 8
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "delete it" in err
