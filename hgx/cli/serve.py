"""``hgx serve``: run a model and answer OpenAI's API, or one prompt; or be a node for others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hgx.cli.options import (
    DEFAULT_CTX,
    ContextOption,
    DevicesOption,
    EngineDirOption,
    HomeOption,
    JsonOption,
    KvTypeOption,
    ParallelOption,
    QuietOption,
    check_name,
    read_context,
    settings,
)

if TYPE_CHECKING:
    from hgx.cli.options import Settings
    from hgx.flows.node import NodeWish
    from hgx.node.lender import Limits

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_LOOPBACK = ("127.0.0.1", "::1")


ModelToServe = Annotated[
    str | None,
    typer.Argument(
        metavar="[MODEL]", help="A GGUF file, or demo for the demo model; none to be a node."
    ),
]
PromptOption = Annotated[
    str | None, typer.Option("--prompt", "-p", help="Answer this once, on stdout, and end.")
]
MaxTokensOption = Annotated[
    int, typer.Option("--max-tokens", min=1, help="Longest answer to --prompt, in tokens.")
]
HostOption = Annotated[
    str | None,
    typer.Option(
        "--host",
        help="With a model 127.0.0.1, the default, or ::1. A node's address or name; 0.0.0.0 or "
        ":: for all of IPv4 or IPv6. Default: all.",
    ),
]
PortOption = Annotated[
    int | None,
    typer.Option(
        "--port",
        min=0,
        max=65535,
        help="Port; 0 takes any free one. Default: 8080, or 9474 for a node.",
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads", min=1, help="CPU threads, of a node at most. Default: one per physical core."
    ),
]


NameOption = Annotated[
    str | None,
    typer.Option("--name", help="A node's name in the network. Default: the host's name."),
]
MemoryOption = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="SIZE",
        help="Main memory that a node lends at most, such as 8GiB (Linux). Default: no limit.",
        show_default=False,
    ),
]
TelemetryOption = Annotated[
    bool,
    typer.Option(
        "--telemetry/--no-telemetry",
        help="Whether to read sensors: a node tells them, a model pauses before it gets too hot.",
    ),
]


@app.command(short_help="Serve a model, answer one prompt, or be a node for others.")
def serve(
    context: typer.Context,
    model: ModelToServe = None,
    *,
    prompt: PromptOption = None,
    max_tokens: MaxTokensOption = 128,
    host: HostOption = None,
    port: PortOption = None,
    name: NameOption = None,
    telemetry: TelemetryOption = True,
    memory: MemoryOption = None,
    ctx: ContextOption = str(DEFAULT_CTX),
    parallel: ParallelOption = 1,
    kv_type: KvTypeOption = "f16",
    threads: ThreadsOption = None,
    devices: DevicesOption = None,
    engine_dir: EngineDirOption = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
    quiet: QuietOption = False,
) -> None:
    """Examples:

    \b
      hgx serve demo --prompt "Once upon a time"   a first answer
      hgx serve model.gguf                         OpenAI's API on 127.0.0.1:8080
      hgx serve model.gguf --ctx 8192 --parallel 2 --port 0
      hgx serve                                    let others find this machine

    Plan where the layers of a model go on this machine and those paired with it, run it with
    llama.cpp's programs, or on this machine alone with the embedded engine where there are none,
    and answer /v1/chat/completions, /v1/completions and /v1/models. The base URL, or the answer
    to --prompt, goes to stdout; all else to stderr.

    Without a model this machine is a node: it is announced in the local network, tells
    `hgx discover` of other machines what devices it has, and lends these to machines that are
    paired with it (`hgx pair`), to nobody else.
    """
    wanted = settings(context, home, quiet=quiet)
    if model is None:
        _check_node_usage(prompt, name)
        node = _node_wish(name, host, port, telemetry=telemetry)._replace(
            engine_dir=engine_dir, limits=_limits(threads, memory)
        )
        raise typer.Exit(_serve_node(node, wanted, as_json=as_json))
    _check_model_usage(host, name, memory)
    tokens, longest = read_context(ctx)
    # Imported here, so that `hgx --help` is quick: it imports this module for its first line.
    from hgx.cli.render.serve import Screen
    from hgx.serve.run import Wish, run
    from hgx.store.home import Home

    wish = Wish(
        model=model,
        prompt=prompt,
        max_tokens=max_tokens,
        host=host or "127.0.0.1",
        port=8080 if port is None else port,
        ctx=tokens,
        longest=longest,
        parallel=parallel,
        kv_type=kv_type,
        threads=threads,
        devices=devices,
        engine_dir=engine_dir,
        telemetry=telemetry,
    )
    status = run(wish, Home(wanted.home), Screen(as_json=as_json, quiet=wanted.quiet))
    raise typer.Exit(status)


def _node_wish(
    name: str | None, host: str | None, port: int | None, *, telemetry: bool
) -> NodeWish:
    from hgx.flows.node import NodeWish

    wish = NodeWish(name=name, host=host, telemetry=telemetry)
    return wish if port is None else wish._replace(port=port)


def _limits(threads: int | None, memory: str | None) -> Limits:
    from hgx.node.lender import Limits
    from hgx.units import parse_bytes

    try:
        return Limits(threads, None if memory is None else parse_bytes(memory))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--memory") from error


def _serve_node(wish: NodeWish, wanted: Settings, *, as_json: bool) -> int:
    from hgx.cli.render.node import NodeScreen
    from hgx.flows.node import run_node
    from hgx.store.home import Home

    return run_node(wish, Home(wanted.home), NodeScreen(as_json=as_json, quiet=wanted.quiet))


def _check_node_usage(prompt: str | None, name: str | None) -> None:
    if prompt is not None:
        msg = "name a model that is to answer, such as demo"
        raise typer.BadParameter(msg, param_hint="--prompt")
    check_name(name)


def _check_model_usage(host: str | None, name: str | None, memory: str | None) -> None:
    if host is not None and host not in _LOOPBACK:
        msg = f"with a model hgx listens on {' or '.join(_LOOPBACK)} only, not on {host!a}"
        raise typer.BadParameter(msg, param_hint="--host")
    if name is not None:
        msg = "only a node has a name in the network: leave out the model, or the name"
        raise typer.BadParameter(msg, param_hint="--name")
    if memory is not None:
        msg = "it is for a node: leave out the model, or use --ctx to make the model smaller"
        raise typer.BadParameter(msg, param_hint="--memory")
