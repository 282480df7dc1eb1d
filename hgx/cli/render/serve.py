"""What ``hgx serve`` shows: progress, the join line, the answer and its figures."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hgx.cli.render.console import plain, stderr, stdout
from hgx.cli.render.loading import Bars
from hgx.cli.render.plan import print_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from hgx.core.plan import Plan
    from hgx.serve.once import Answer
    from hgx.serve.run import Loading
    from hgx.serve.team import Sent

_HELLO = '"messages": [{"role": "user", "content": "Hello"}]'
_ONCE = '"prompt": "Once upon a time", "max_tokens": 64'


class Screen:
    """Results on stdout, all else on stderr (see ``hgx.serve.run.Reporter``).

    Args:
        as_json: Whether results are JSON: one object, at the end of the answer or when ready.
        quiet: Whether to leave out all but results.
    """

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self._as_json = as_json
        self._quiet = quiet
        self._out = stdout()
        self._err = stderr()

    def notes(self, notes: tuple[str, ...]) -> None:
        """Print one dim line per note."""
        for note in () if self._quiet else notes:
            self._err.print(plain(note), style="dim", soft_wrap=True)

    def plan(self, plan: Plan) -> None:
        """Print the plan's table."""
        if not self._quiet:
            print_plan(plan, self._err)

    @contextmanager
    def loading(self, name: str) -> Generator[Loading]:
        """Show the seconds, and a bar for each worker; one plain line without a terminal.

        As JSON there is a line per second while weights go to workers.
        """
        if self._as_json:
            yield _Lines(self._print_json)
            return
        text = f"Loading {plain(name)}"
        if self._quiet or not self._err.is_terminal:
            if not self._quiet:
                self._err.print(text)
            yield _no_show
            return
        with Bars(self._err, text) as bars:
            yield bars

    def ready(self, url: str, model_id: str, *, chat: bool) -> None:
        """Print the base URL on stdout, and around it how to use it."""
        if self._as_json:
            self._print_json({"url": url, "model": model_id})
            return
        if self._quiet:
            self._write(f"{url}\n")
            return
        self._err.print(f"{plain(model_id)} is served at (Ctrl+C stops it):")
        self._write(f"{url}\n")
        route, body = ("/chat/completions", _HELLO) if chat else ("/completions", _ONCE)
        curl = f"curl {url}{route} -H 'Content-Type: application/json' -d '{{{body}}}'"
        self._err.print(f"  {curl}", soft_wrap=True)
        self._err.print(f'  openai.OpenAI(base_url="{url}", api_key="none")', soft_wrap=True)

    def asked(self, prompt: str, *, chat: bool) -> None:
        """Repeat a text that is to be continued, where a person reads both together."""
        together = self._out.is_terminal and self._err.is_terminal
        if together and not (chat or self._as_json or self._quiet):
            self._err.print(_safe(prompt), end="", style="bold", soft_wrap=True)

    def piece(self, text: str) -> None:
        """Print a piece of the answer at once: as it is into a file, made safe on a terminal."""
        if not self._as_json:
            self._write(_safe(text) if self._out.is_terminal else text)

    def answered(self, answer: Answer, plan: Plan, max_tokens: int) -> None:
        """End the answer; print its figures, measured against predicted."""
        if self._as_json:
            predicted = plan.predicted and plan.predicted.model_dump()
            self._print_json(
                {"model": plan.model.path, **answer.model_dump(), "predicted": predicted}
            )
            return
        self._write("\n")
        if not self._quiet:
            line = figures(answer, plan, max_tokens)
            self._err.print(line, style="dim", soft_wrap=True)

    def _print_json(self, result: object) -> None:
        self._write(json.dumps(result) + "\n")

    def _write(self, text: str) -> None:
        self._out.file.write(text)
        self._out.file.flush()


def _no_show(seconds: float, sent: tuple[Sent, ...]) -> None:
    """Show nothing: there is no terminal."""
    del seconds, sent


class _Lines:
    """Says as JSON how far the weights of workers have got, once a second."""

    def __init__(self, say: Callable[[object], None]) -> None:
        self._say = say
        self._next_s = 0.0

    def __call__(self, seconds: float, sent: tuple[Sent, ...]) -> None:
        if sent and seconds >= self._next_s:
            self._next_s = seconds + 1
            workers = [one._asdict() for one in sent]
            self._say({"event": "loading", "seconds": round(seconds, 1), "workers": workers})


def figures(answer: Answer, plan: Plan, max_tokens: int) -> str:
    """Say in one line how fast an answer came, and how fast the plan said it would.

    Args:
        answer: What came.
        plan: What was promised.
        max_tokens: Where the answer had to end.
    """
    measured, predicted = answer.measured, plan.predicted
    if measured is None:
        return "the engine measured nothing"
    rate = f"{1 / measured.tpot_s:.1f} tokens/s, " if measured.tpot_s else ""
    line = f"measured {rate}first token after {measured.ttft_s:.2f} s"
    if predicted is not None:
        line += f" (predicted {predicted.tokens_per_s:.1f} tokens/s, {predicted.ttft_s:.2f} s)"
    if answer.finish_reason == "length":
        line += f"; ended by --max-tokens {max_tokens}"
    return line


def _safe(text: str) -> str:
    return "".join(letter if letter in "\n\t" else plain(letter) for letter in text)
