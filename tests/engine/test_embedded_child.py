"""The process llama.cpp lives in, with a few lines in place of llama.cpp."""

from __future__ import annotations

import io
import json
import signal
import sys
import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hgx.engine import embedded_child
from hgx.engine.base import EngineSpec
from hgx.engine.embedded_child import Start, list_devices, main, open_server

_SPEC = EngineSpec(
    model="m.gguf",
    alias="m",
    ctx=100,
    parallel=3,
    kv_type="q8_0",
    threads=5,
    gpu_layers=4,
    tensor_split=(1, 3),
    chat_template="T",
    stop=("S",),
)


class _Server:
    def __init__(self, params: Any) -> None:
        self.params = params
        self.listening_address = "http://127.0.0.1:1"


def _library(server: object = _Server) -> Any:
    def params() -> SimpleNamespace:
        names = ("model", "cpuparams", "cpuparams_batch")
        return SimpleNamespace(**{name: SimpleNamespace() for name in names})

    info = {"description": "Some card", "memory_total": 8}
    return SimpleNamespace(
        CommonParams=params,
        Server=server,
        ggml_type=SimpleNamespace(GGML_TYPE_Q8_0=8),
        get_device_info=lambda: [
            {"name": f"X{kind}", "type": kind, **info} for kind in (0, 1, 2, 3)
        ],
    )


def _start(spec: EngineSpec = _SPEC) -> Start:
    return Start(spec=spec, api_key="secret", parent=1)


def _params(start: Start) -> Any:
    """What the engine is told for a start."""
    return cast("_Server", open_server(_library(), start)).params


def test_the_engine_gets_what_the_spec_says() -> None:
    """Each field of a spec reaches llama.cpp; the context is that of all conversations."""
    params = _params(_start())
    assert (params.model.path, params.model_alias) == ("m.gguf", {"m"})
    assert (params.n_ctx, params.n_parallel) == (300, 3)
    assert (params.cache_type_k, params.cache_type_v) == (8, 8)
    assert (params.cpuparams.n_threads, params.cpuparams_batch.n_threads) == (5, 5)
    assert (params.n_gpu_layers, params.tensor_split) == (4, [1.0, 3.0])
    assert (params.chat_template, params.antiprompt) == ("T", ["S"])


def test_the_engine_is_shut_to_all_but_hgx() -> None:
    """The engine asks for the key, allows no web page, shows none, and moves no layers."""
    params = _params(_start())
    assert params.api_keys == ["secret"]
    assert params.cors_origins == ""
    assert not (params.ui or params.fit_params or params.endpoint_slots)


def test_without_a_split_the_engine_keeps_its_own() -> None:
    """All on the CPU: no split is set, and the model's own template stays."""
    spec = EngineSpec(model="m", alias="m", kv_type="q8_0")
    params = _params(_start(spec))
    assert not hasattr(params, "tensor_split")
    assert params.chat_template == ""


def test_devices_are_listed_in_order() -> None:
    """The engine's devices come with hgx's words for their kinds."""
    kinds = [(device.name, device.kind) for device in list_devices(_library())]
    assert kinds == [("X0", "cpu"), ("X1", "gpu"), ("X2", "igpu"), ("X3", "accel")]


def _nothing(*_: object) -> None:
    pass


def _run(
    monkeypatch: pytest.MonkeyPatch, library: Any, *arguments: str
) -> tuple[int, dict[str, Any]]:
    """Run main in this process, with its pipes and its parent replaced."""
    report = io.StringIO()
    stdin = SimpleNamespace(buffer=io.BytesIO(_start().model_dump_json().encode() + b"\n"))
    monkeypatch.setattr(sys, "stdin", stdin)
    monkeypatch.setattr(embedded_child, "_report_stream", lambda: report)
    monkeypatch.setattr(embedded_child, "_library", lambda: library)
    monkeypatch.setattr(embedded_child, "die_with", _nothing)
    monkeypatch.setattr(signal, "signal", _nothing)
    monkeypatch.setattr(threading.Event, "wait", _nothing)
    return main(arguments), json.loads(report.getvalue())


def test_it_reports_where_it_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the model is loaded the parent hears the address."""
    assert _run(monkeypatch, _library()) == (0, {"url": "http://127.0.0.1:1"})


@pytest.mark.parametrize(("error", "told"), [(RuntimeError("no"), "no"), (KeyError(), "KeyError")])
def test_it_reports_failure(monkeypatch: pytest.MonkeyPatch, error: Exception, told: str) -> None:
    """Whatever the library raises, the parent hears of it."""

    def broken(_: object) -> None:
        raise error

    assert _run(monkeypatch, _library(broken)) == (1, {"failed": told})


def test_it_lists_devices_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """With --devices nothing is started."""
    status, message = _run(monkeypatch, _library(), "--devices")
    assert (status, len(message["devices"])) == (0, 4)
