"""One model on two machines that are paired, with llama.cpp's real programs."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import httpx2
import psutil
import pytest

from hgx.store.home import Home
from hgx.store.ledger import Ledger
from tests.serve.two_nodes import PROMPT, all_gone, two_nodes

if TYPE_CHECKING:
    from collections.abc import Generator

    from hgx.engine.binaries import Toolkit
    from tests.serve.two_nodes import Nodes

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def nodes(llama_cpp: Toolkit, tmp_path_factory: pytest.TempPathFactory) -> Generator[Nodes]:
    """A coordinator and a worker."""
    with two_nodes(tmp_path_factory.mktemp("nodes"), llama_cpp) as nodes:
        yield nodes


class Answer:
    """An answer that is being read, in a thread.

    Attributes:
        pieces: Its lines so far.
    """

    def __init__(self, url: str) -> None:
        self.pieces: list[str] = []
        self._thread = threading.Thread(target=self._read, args=(url,), daemon=True)
        self._thread.start()

    def _read(self, url: str) -> None:
        with (
            suppress(httpx2.TransportError),  # hgx may be killed meanwhile
            httpx2.stream("POST", f"{url}/completions", json=PROMPT, timeout=120) as answer,
        ):
            self.pieces += (line for line in answer.iter_lines() if line)

    def wait_for(self, count: int) -> None:
        """Wait until so many lines have come."""
        for _ in range(600):
            if len(self.pieces) >= count:
                return
            time.sleep(0.1)
        raise AssertionError

    def end(self) -> str:
        """Return its last line, once it has ended."""
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self.pieces[-1]


@contextmanager
def serving(nodes: Nodes) -> Generator[tuple[subprocess.Popen[str], str]]:
    """Serve on both; the process, and the URL without its route."""
    with subprocess.Popen(
        nodes.command("--port", "0", "--quiet"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=nodes.environment,
    ) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def test_an_answer_from_both(nodes: Nodes) -> None:
    """The layers are on both machines, the answer comes, and what it took is written down."""
    done = subprocess.run(
        nodes.command("--prompt", "Once upon a time", "--max-tokens", "20", "--json"),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=nodes.environment,
    )
    assert done.returncode == 0, done.stderr
    *loading, answer = map(json.loads, done.stdout.splitlines())
    assert answer["timings"]["predicted_n"] == 20
    assert {line["workers"][0]["worker"] for line in loading} == {"far"}
    (served,) = Ledger(Home(nodes.home)).requests()
    assert [stage.device for stage in served.stages] == ["near/cpu:0", "far/cpu:0"]
    assert served.measured.tpot_s


def test_a_worker_that_dies(nodes: Nodes) -> None:
    """Within five seconds clients and terminal are told who died; nothing is left behind."""
    with serving(nodes) as (process, url):
        answer = Answer(url)
        answer.wait_for(3)
        engine = psutil.Process(process.pid).children(recursive=True)
        nodes.rpc_server().kill()
        died_s = time.monotonic()
        assert "far has ended the lease, its rpc server ended" in answer.end()
        assert time.monotonic() - died_s < 5
        _, said = process.communicate(timeout=60)
        assert process.returncode == 6
        assert "far has ended the lease, its rpc server ended" in said
        assert all_gone(engine, 10)


def test_a_worker_that_hangs(nodes: Nodes) -> None:
    """Within fifteen seconds it is told who hangs, though all connections stand."""
    with serving(nodes) as (process, url):
        answer = Answer(url)
        answer.wait_for(3)
        nodes.rpc_server().suspend()
        hung_s = time.monotonic()
        assert "far is suspended" in answer.end()
        assert time.monotonic() - hung_s < 15
        process.communicate(timeout=60)
        assert process.returncode == 6


def test_a_coordinator_that_is_killed(nodes: Nodes) -> None:
    """However hgx ends, no process of the model is left, here or on the worker."""
    with serving(nodes) as (process, url):
        answer = Answer(url)
        answer.wait_for(3)
        left = [*psutil.Process(process.pid).children(recursive=True), nodes.rpc_server()]
        process.send_signal(signal.SIGKILL)
        assert all_gone(left, 10)


def test_a_second_coordinator(nodes: Nodes) -> None:
    """A worker that is lent is told with who has it; the model does not fit without it."""
    with serving(nodes) as (_, url):
        assert url
        second = subprocess.run(
            nodes.command("--prompt", "x"),
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
            env=nodes.environment,
        )
        assert second.returncode == 10
        assert "far has lent cpu:0 to near since" in second.stderr
