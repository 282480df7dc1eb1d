"""From what the user wishes to a model that answers: the whole way, in order."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, NamedTuple, Protocol

from hgx.core.options import KvType, PlanOptions
from hgx.engine.binaries import find_toolkit
from hgx.engine.placement import HOST
from hgx.engine.selftest import self_test
from hgx.errors import EngineError, Unavailable
from hgx.flows.inputs import find_model, find_registry
from hgx.node.changes import Thresholds
from hgx.node.readings import Telemetry
from hgx.serve.alone import alone
from hgx.serve.cooling import Cooling, own_devices
from hgx.serve.gate import Gate
from hgx.serve.gateway import Gateway
from hgx.serve.once import ask
from hgx.serve.overseer import Overseer
from hgx.serve.record import Recorder
from hgx.serve.session import listen, serve_until_signal
from hgx.serve.together import together
from hgx.store.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from hgx.core.plan import Plan
    from hgx.core.registry import Registry
    from hgx.engine.base import Endpoint
    from hgx.engine.binaries import Toolkit
    from hgx.flows.context import Longest
    from hgx.serve.launch import Launch
    from hgx.serve.once import Answer
    from hgx.serve.session import Listener
    from hgx.serve.team import Sent
    from hgx.store.home import Home

    Loading = Callable[[float, tuple[Sent, ...]], None]
    """Told several times a second for how many seconds a model has been loaded, and what of the
    weights workers have."""

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
        longest: Asks for the longest context that fits in place of that one.
        parallel: Conversations at a time.
        kv_type: Type of the KV cache.
        threads: Threads on the CPU; one per physical core where null.
        devices: Registry to use; the home's where null.
        engine_dir: Folder of llama.cpp's programs; where null they are looked for, and without
            any the embedded engine runs the model on this machine alone.
        telemetry: Whether to read sensors, and to pause before a device gets too hot.
    """

    model: str
    prompt: str | None = None
    max_tokens: int = 128
    host: str = "127.0.0.1"
    port: int = 8080
    ctx: int = 4096
    longest: Longest | None = None
    parallel: int = 1
    kv_type: KvType = "f16"
    threads: int | None = None
    devices: Path | None = None
    engine_dir: Path | None = None
    telemetry: bool = True


class Reporter(Protocol):
    """Whoever shows the user what happens."""

    def notes(self, notes: tuple[str, ...]) -> None:
        """Show what is good to know, one sentence each."""

    def plan(self, plan: Plan) -> None:
        """Show where the layers go."""

    def loading(self, name: str) -> AbstractContextManager[Loading]:
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
        HgxError: Of the kinds that ``listen``, ``alone``, ``together``, ``Engine`` and ``ask``
            name.
    """
    ledger = Ledger(home)
    with (
        _door(wish) as listener,
        _ready(wish, home, ledger, reporter) as launch,
        _running(launch, reporter) as endpoint,
        Recorder(ledger, launch, lambda note: reporter.notes((note,))) as recorder,
    ):
        if listener is None:
            recorder.add(_answer(wish, launch, endpoint, reporter).timings)
            return 0
        with _cooled(wish, launch, home.node_id(), reporter) as gate:
            gateway = Gateway(endpoint, launch.engine.alive, recorder.add, gate)
            return _serve(launch, gateway, listener, reporter)


def _door(wish: Wish) -> AbstractContextManager[Listener | None]:
    """Open the port before anything slow; none is needed for one prompt."""
    return nullcontext() if wish.prompt is not None else listen(wish.host, wish.port)


@contextmanager
def _ready(wish: Wish, home: Home, ledger: Ledger, reporter: Reporter) -> Generator[Launch]:
    """Decide everything, with llama.cpp's programs where they are, else with the embedded engine.

    Leases of other machines' devices last as long as the context.
    """
    model = find_model(wish.model, home)
    reporter.notes(model.notes)
    options = PlanOptions(ctx=wish.ctx, parallel=wish.parallel, kv_type=wish.kv_type)
    if wish.prompt is not None:
        about = max(1, len(wish.prompt.encode()) // _BYTES_PER_TOKEN)
        options = options.model_copy(
            update={"prompt_tokens": about, "output_tokens": wish.max_tokens}
        )
    registry = find_registry(home, wish.devices)
    with ExitStack() as stack:
        toolkit = _toolkit(wish, home, registry, reporter)
        if toolkit is None:
            launch = alone(
                model,
                registry,
                home,
                options,
                ledger=ledger,
                threads=wish.threads,
                longest=wish.longest,
            )
        else:
            launch = stack.enter_context(
                together(
                    model,
                    registry,
                    home,
                    options,
                    toolkit,
                    ledger=ledger,
                    threads=wish.threads,
                    longest=wish.longest,
                )
            )
        reporter.notes(launch.notes)
        reporter.plan(launch.plan)
        yield launch


def _toolkit(wish: Wish, home: Home, registry: Registry, reporter: Reporter) -> Toolkit | None:
    """Find llama.cpp's programs that work here; without any the embedded engine has to do."""
    try:
        toolkit = find_toolkit(wish.engine_dir)
        self_test(toolkit, home, HOST)
    except (Unavailable, EngineError) as error:
        if wish.engine_dir is not None:
            raise
        peers = [node.id for node in registry.usable().nodes if node.paired]
        if peers:
            named = ", ".join(peers)
            reporter.notes((f"This machine alone, without {named}: {error.message}",))
        return None
    reporter.notes(toolkit.notes)
    return toolkit


@contextmanager
def _running(launch: Launch, reporter: Reporter) -> Generator[Endpoint]:
    """Load the model, and check that it is where the plan has it; it is unloaded at the end."""
    engine, team = launch.engine, launch.team
    try:
        with reporter.loading(launch.alias) as show:

            def progress(seconds: float) -> None:
                if team:
                    team.check()
                show(seconds, team.sent() if team else ())

            endpoint = engine.start(progress)
        launch.loaded()
        yield endpoint
    finally:
        engine.stop()


@contextmanager
def _cooled(wish: Wish, launch: Launch, node: str, reporter: Reporter) -> Generator[Gate]:
    """Give a gate that lets requests wait before this machine's devices get too hot."""
    gate = Gate()
    if not wish.telemetry:
        yield gate
        return
    used = {stage.device for stage in launch.plan.stages}
    devices = own_devices(launch.registry.devices, used, node)
    with (
        Telemetry(node, thresholds=Thresholds().scaled(0)) as telemetry,
        Cooling(devices, wish.parallel, telemetry, gate, lambda note: reporter.notes((note,))),
    ):
        yield gate


def _answer(wish: Wish, launch: Launch, endpoint: Endpoint, reporter: Reporter) -> Answer:
    prompt, chat = wish.prompt or "", launch.workload.chat_template
    if not chat:
        reporter.notes(("The model has no chat template: it continues the text.",))
    reporter.asked(prompt, chat=chat)
    pieces = 0

    def show(text: str) -> None:
        nonlocal pieces
        pieces += 1
        reporter.piece(text)

    with Overseer(launch.engine, launch.team, lambda: pieces) as overseer:
        try:
            answer = ask(endpoint, prompt, chat=chat, max_tokens=wish.max_tokens, show=show)
        except EngineError as error:
            if launch.engine.alive():
                raise
            raise EngineError(overseer.obituary()) from error
    reporter.answered(answer, launch.plan, wish.max_tokens)
    return answer


def _serve(launch: Launch, gateway: Gateway, listener: Listener, reporter: Reporter) -> int:
    alias, chat = launch.alias, launch.workload.chat_template

    def pieces() -> int | None:
        return gateway.activity.pieces if gateway.activity.wanted else None

    with Overseer(launch.engine, launch.team, pieces) as overseer:
        gateway.obituary = overseer.obituary
        status = serve_until_signal(
            gateway,
            alias,
            listener,
            lambda: reporter.ready(f"{listener.url}/v1", alias, chat=chat),
        )
    reporter.notes(("Stopped.",))
    return status
