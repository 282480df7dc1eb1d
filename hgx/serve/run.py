"""From what the user wishes to a model that answers: the whole way, in order."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, NamedTuple, Protocol

from hgx.core.options import KvType, PlanOptions
from hgx.engine.embedded import EmbeddedEngine
from hgx.flows.inputs import find_model, find_registry
from hgx.serve.once import ask
from hgx.serve.prepare import prepare
from hgx.serve.session import listen, serve_until_signal

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from hgx.core.plan import Plan
    from hgx.engine.base import Endpoint, Engine, Progress
    from hgx.serve.once import Answer
    from hgx.serve.prepare import Prepared
    from hgx.serve.session import Listener
    from hgx.store.home import Home

_BYTES_PER_TOKEN = 4
"""Of English text, roughly; good enough to predict how long a prompt takes."""


class Wish(NamedTuple):
    """What the user wants run, and how.

    Attributes:
        model: A path, or ``demo``.
        prompt: Answer this once; serve until a signal where null.
        max_tokens: Longest answer to the prompt.
        host: Loopback address to listen on.
        port: Port to listen on; 0 for any.
        ctx: Context length of one conversation, in tokens.
        parallel: Conversations at a time.
        kv_type: Type of the KV cache.
        threads: Threads on the CPU; one per physical core where null.
        devices: Registry to use; the home's where null.
    """

    model: str
    prompt: str | None = None
    max_tokens: int = 128
    host: str = "127.0.0.1"
    port: int = 8080
    ctx: int = 4096
    parallel: int = 1
    kv_type: KvType = "f16"
    threads: int | None = None
    devices: Path | None = None


class Reporter(Protocol):
    """Whoever shows the user what happens."""

    def notes(self, notes: tuple[str, ...]) -> None:
        """Show what is good to know, one sentence each."""

    def plan(self, plan: Plan) -> None:
        """Show where the layers go."""

    def loading(self, name: str) -> AbstractContextManager[Progress]:
        """Show that the model is being loaded, as long as the context lasts."""
        raise NotImplementedError

    def ready(self, url: str, model_id: str, *, chat: bool) -> None:
        """Show where requests are answered."""

    def asked(self, prompt: str, *, chat: bool) -> None:
        """Show what was asked, before the answer."""

    def piece(self, text: str) -> None:
        """Show a piece of the answer."""

    def answered(self, answer: Answer, plan: Plan, max_tokens: int) -> None:
        """Show what the answer as a whole was like."""


def run(wish: Wish, home: Home, reporter: Reporter) -> int:
    """Serve a model until a signal comes, or answer one prompt.

    Args:
        wish: What to do.
        home: Where everything is kept.
        reporter: Shows what happens.

    Returns:
        The exit status: 0, or 130 after an interrupt.

    Raises:
        HgxError: Of the kinds that ``listen``, ``prepare``, ``Engine`` and ``ask`` name.
    """
    with _door(wish) as listener:
        prepared = _prepare(wish, home, reporter)
        engine = EmbeddedEngine(prepared.spec, home.logs)
        try:
            with reporter.loading(prepared.spec.alias) as progress:
                endpoint = engine.start(progress)
            if listener is None:
                _answer(wish, prepared, endpoint, reporter)
                return 0
            return _serve(prepared, engine, endpoint, listener, reporter)
        finally:
            engine.stop()


def _door(wish: Wish) -> AbstractContextManager[Listener | None]:
    """Open the port before anything slow; none is needed for one prompt."""
    return nullcontext() if wish.prompt is not None else listen(wish.host, wish.port)


def _prepare(wish: Wish, home: Home, reporter: Reporter) -> Prepared:
    model = find_model(wish.model, home)
    reporter.notes(model.notes)
    options = PlanOptions(ctx=wish.ctx, parallel=wish.parallel, kv_type=wish.kv_type)
    if wish.prompt is not None:
        about = max(1, len(wish.prompt.encode()) // _BYTES_PER_TOKEN)
        options = options.model_copy(
            update={"prompt_tokens": about, "output_tokens": wish.max_tokens}
        )
    registry = find_registry(home, wish.devices)
    prepared = prepare(model, registry, home.node_id(), options, threads=wish.threads)
    reporter.notes(prepared.left_out)
    reporter.plan(prepared.plan)
    return prepared


def _answer(wish: Wish, prepared: Prepared, endpoint: Endpoint, reporter: Reporter) -> None:
    prompt, chat = wish.prompt or "", prepared.workload.chat_template
    if not chat:
        reporter.notes(("The model has no chat template: it continues the text.",))
    reporter.asked(prompt, chat=chat)
    answer = ask(endpoint, prompt, chat=chat, max_tokens=wish.max_tokens, show=reporter.piece)
    reporter.answered(answer, prepared.plan, wish.max_tokens)


def _serve(
    prepared: Prepared, engine: Engine, endpoint: Endpoint, listener: Listener, reporter: Reporter
) -> int:
    alias, chat = prepared.spec.alias, prepared.workload.chat_template
    status = serve_until_signal(
        engine,
        endpoint,
        alias,
        listener,
        lambda: reporter.ready(f"{listener.url}/v1", alias, chat=chat),
    )
    reporter.notes(("Stopped.",))
    return status
