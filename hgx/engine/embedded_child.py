"""The process that llama.cpp lives in: ``python -m hgx.engine.embedded_child``.

It reads one line of JSON from stdin (a ``Start``), loads the model, and writes one line of JSON to
stdout: ``{"url": ...}`` or ``{"failed": ...}``. Everything llama.cpp prints goes to stderr. With
``--devices`` it lists the engine's devices instead. Only here is xllamacpp imported.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from hgx.core.base import Strict
from hgx.engine.base import EngineDevice, EngineSpec
from hgx.process.lifeline import die_with

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

_KINDS = {0: "cpu", 1: "gpu", 2: "igpu"}
"""``ggml_backend_dev_type``; everything else helps the CPU and holds no layers."""


class Start(Strict):
    """What the parent says first: what to run, the key to ask for, and who the parent is."""

    spec: EngineSpec
    api_key: str
    parent: int


class _Server(Protocol):
    listening_address: str


class _Library(Protocol):
    """The part of xllamacpp that is used; the package has no types of its own."""

    CommonParams: Any
    Server: Any
    ggml_type: Any

    def get_device_info(self) -> list[dict[str, Any]]: ...


def main(arguments: Sequence[str]) -> int:
    """Serve until the parent is gone or a signal comes.

    Returns:
        1 when the model could not be loaded; else it does not return before the process ends.
    """
    report = _report_stream()
    if "--devices" in arguments:
        _say(report, {"devices": [device.model_dump() for device in list_devices(_library())]})
        return 0
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for hgx, which then ends us
    start = Start.model_validate_json(sys.stdin.buffer.readline())
    die_with(start.parent, sys.stdin.buffer)
    try:
        server = open_server(_library(), start)
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent must hear of it
        _say(report, {"failed": f"{error}" or type(error).__name__})
        return 1
    _say(report, {"url": server.listening_address})
    threading.Event().wait()  # llama.cpp serves from threads of its own
    return 0


def open_server(library: _Library, start: Start) -> _Server:
    """Load the model and open llama.cpp's HTTP server on a random loopback port.

    Args:
        library: The module xllamacpp.
        start: What to run.

    Raises:
        RuntimeError: llama.cpp refused; it printed the reason.
    """
    spec = start.spec
    params = library.CommonParams()
    params.model.path = spec.model
    params.model_alias = {spec.alias}
    params.n_ctx = spec.ctx * spec.parallel
    params.n_parallel = spec.parallel
    params.cache_type_k = params.cache_type_v = _kv_type(library, spec.kv_type)
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = spec.threads
    params.n_gpu_layers = spec.gpu_layers
    if spec.tensor_split:
        params.tensor_split = [float(layers) for layers in spec.tensor_split]
    params.fit_params = False  # the plan has decided; llama.cpp must not move layers silently
    params.chat_template = spec.chat_template or ""
    params.antiprompt = list(spec.stop)
    params.api_keys = [start.api_key]
    params.cors_origins = ""
    params.endpoint_slots = False
    params.ui = False
    return cast("_Server", library.Server(params))


def list_devices(library: _Library) -> list[EngineDevice]:
    """List the devices this build of llama.cpp can use, in its own order."""
    return [
        EngineDevice(
            name=info["name"],
            description=info["description"],
            kind=_KINDS.get(int(info["type"]), "accel"),
            memory_total_bytes=info["memory_total"],
        )
        for info in library.get_device_info()
    ]


def _kv_type(library: _Library, kv_type: str) -> object:
    return getattr(library.ggml_type, f"GGML_TYPE_{kv_type.upper()}")


def _library() -> _Library:
    return cast("_Library", cast("object", import_module("xllamacpp")))


def _report_stream() -> TextIO:
    """Keep stdout for the report alone: what C code prints there goes to stderr from now on."""
    report = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return report


def _say(report: TextIO, message: object) -> None:
    report.write(json.dumps(message) + "\n")
    report.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
