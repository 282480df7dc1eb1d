"""Runs a model in several ways on the machine it is started on, and says how fast each is.

Reads a JSON list of ``{"name", "command", "hgx"}`` from stdin, and prints a line of JSON for each:
``{"name", "tokens_per_s", "ttft_s", "tpot_s"}``, or ``{"name", "failed"}``. A command is
llama-server's or ``hgx serve``'s. Part of ``benchmarks/cluster.py``.
"""

from __future__ import annotations

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

PROMPT = "Once upon a time there was a small boat that wanted to see the sea. "
TOKENS, REQUESTS = 24, 2
_LOADED_S, _ANSWER_S = 90.0, 120.0
_URL = re.compile(r"(?:listening on |\"url\": \")(http://127\.0\.0\.1:\d+)")


def main() -> None:
    """Do what stdin says."""
    for config in json.load(sys.stdin):
        print(json.dumps({"name": config["name"], **measured(config["command"])}), flush=True)


def measured(command: list[str]) -> dict[str, Any]:
    """Start, ask, and end; what fails is told."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("w") as output:
            process = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        try:
            url = started(process, log)
            if url is None:
                return {"failed": log.read_text(errors="replace")[-400:]}
            return asked(url)
        except OSError as error:
            return {"failed": f"{error}"}
        finally:
            process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def started(process: subprocess.Popen[bytes], log: Path) -> str | None:
    """Wait until it listens; return where."""
    end_s = time.monotonic() + _LOADED_S
    while time.monotonic() < end_s and process.poll() is None:
        if found := _URL.search(log.read_text(errors="replace")):
            return found[1]
        time.sleep(0.05)
    return None


def asked(url: str) -> dict[str, Any]:
    """Ask a few times; the first answer warms up and does not count."""
    taken: list[dict[str, float]] = []
    for number in range(REQUESTS + 1):
        body = {"prompt": f"{number} {PROMPT}", "max_tokens": TOKENS, "temperature": 0}
        body |= {"ignore_eos": True, "cache_prompt": False}
        request = urllib.request.Request(  # noqa: S310 - it is http
            f"{url}/v1/completions", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=_ANSWER_S) as answer:  # noqa: S310 - likewise
            taken.append(json.load(answer)["timings"])
    tpot = [one["predicted_ms"] / 1e3 / (one["predicted_n"] - 1) for one in taken[1:]]
    tpot_s = statistics.median(tpot)
    ttft_s = statistics.median(one["prompt_ms"] / 1e3 for one in taken[1:])
    return {"tokens_per_s": 1 / tpot_s, "tpot_s": tpot_s, "ttft_s": ttft_s}


if __name__ == "__main__":
    main()
