"""``hgx serve``: run a model on this machine and answer OpenAI's API, or one prompt."""

from __future__ import annotations

from typing import Annotated

import typer

from hgx.cli.options import (
    ContextOption,
    DevicesOption,
    HomeOption,
    JsonOption,
    KvTypeOption,
    ModelArgument,
    ParallelOption,
    QuietOption,
    settings,
)

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_LOOPBACK = ("127.0.0.1", "::1")


def _check_host(host: str) -> str:
    if host not in _LOOPBACK:
        msg = f"{host} is more than this machine: hgx listens on {' or '.join(_LOOPBACK)} only"
        raise typer.BadParameter(msg)
    return host


PromptOption = Annotated[
    str | None, typer.Option("--prompt", "-p", help="Answer this once, on stdout, and end.")
]
MaxTokensOption = Annotated[
    int, typer.Option("--max-tokens", min=1, help="Longest answer to --prompt, in tokens.")
]
HostOption = Annotated[str, typer.Option("--host", callback=_check_host, help="127.0.0.1 or ::1.")]
PortOption = Annotated[
    int, typer.Option("--port", min=0, max=65535, help="Port; 0 takes any free one.")
]
ThreadsOption = Annotated[
    int | None,
    typer.Option("--threads", min=1, help="CPU threads. Default: one per physical core."),
]


@app.command(short_help="Serve a model on this machine, or answer one prompt.")
def serve(
    context: typer.Context,
    model: ModelArgument,
    *,
    prompt: PromptOption = None,
    max_tokens: MaxTokensOption = 128,
    host: HostOption = "127.0.0.1",
    port: PortOption = 8080,
    ctx: ContextOption = 4096,
    parallel: ParallelOption = 1,
    kv_type: KvTypeOption = "f16",
    threads: ThreadsOption = None,
    devices: DevicesOption = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
    quiet: QuietOption = False,
) -> None:
    """Examples:

    \b
      hgx serve demo --prompt "Once upon a time"   a first answer
      hgx serve model.gguf                         OpenAI's API on 127.0.0.1:8080
      hgx serve model.gguf --ctx 8192 --parallel 2 --port 0

    Plan where the layers of a model go on this machine, run it with the embedded engine, and
    answer /v1/chat/completions, /v1/completions and /v1/models. The base URL, or the answer to
    --prompt, goes to stdout; all else to stderr.
    """
    # Imported here, so that `hgx --help` is quick: it imports this module for its first line.
    from hgx.cli.render.serve import Screen
    from hgx.serve.run import Wish, run
    from hgx.store.home import Home

    wanted = settings(context, home, quiet=quiet)
    wish = Wish(
        model=model,
        prompt=prompt,
        max_tokens=max_tokens,
        host=host,
        port=port,
        ctx=ctx,
        parallel=parallel,
        kv_type=kv_type,
        threads=threads,
        devices=devices,
    )
    status = run(wish, Home(wanted.home), Screen(as_json=as_json, quiet=wanted.quiet))
    raise typer.Exit(status)
