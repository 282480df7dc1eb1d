"""Does this llama.cpp work here: one token of an invented model, before a node is trusted with it.

A build may be made for another processor, or lack a library that it loads late; then it says its
version and dies of the first product. The model has two blocks: the first one is computed by
llama-server itself, the second one and the output head by the rpc server, where there is one.
Whatever passed is written down by the programs' paths, sizes and times, and not tested again.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import httpx2
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from hgx.engine.llama_cpp import LlamaCppEngine
from hgx.engine.placement import HOST
from hgx.engine.rpc_server import HOST as LOOPBACK
from hgx.engine.rpc_server import RpcOptions, RpcServer
from hgx.engine.server_arguments import ServerSpec
from hgx.engine.synthetic import NOT_ASCII, Shape, write_model
from hgx.errors import EngineError
from hgx.store.atomic import storage_error, write_atomically

if TYPE_CHECKING:
    from hgx.engine.base import Endpoint
    from hgx.engine.binaries import Toolkit
    from hgx.store.home import Home

LIMIT_S: Final = 60.0
"""Longest time for all of it, in seconds."""

_SHAPE: Final = Shape(n_block=2, n_embd=256, n_ff=256, n_head=2, n_head_kv=1)
_TYPE: Final = "Q4_K"
"""Common in models, and on a CPU done by kernels that only some processors can run."""

_KEPT = 20
"""Results that are kept: some builds, some devices each."""

_KNOWN: Final = TypeAdapter(dict[str, str])
"""When which programs passed; see ``_key``."""

_ANOTHER = "use another build of llama.cpp, named with --engine-dir or HGX_LLAMA_CPP"


class Passed(NamedTuple):
    """A self-test that went well.

    Attributes:
        device: llama.cpp's name of the device.
        tested_at: When, in ISO 8601.
    """

    device: str
    tested_at: str


class _Likely(BaseModel):
    """A token that might have come, as far as it is read: its logarithm of probability."""

    logprob: float | None


class _Answer(BaseModel):
    """What is read of the answer."""

    completion_probabilities: tuple[_Likely, ...] = Field(min_length=1)


def self_test(
    toolkit: Toolkit, home: Home, device: str = HOST, *, limit_s: float = LIMIT_S
) -> Passed:
    """Make one token on a device, unless these programs have done so before.

    Args:
        toolkit: llama.cpp's programs.
        home: Where what passed is written down.
        device: llama.cpp's name of the device.
        limit_s: Longest time, in seconds.

    Raises:
        Unavailable: A program cannot be started.
        EngineError: It does not work, with the reason.
        StorageError: There is no place for the model or the result.
    """
    key = _key(toolkit, device)
    known = _read(home)
    if key in known:
        return Passed(device, known[key])
    one_token(toolkit, device, limit_s=limit_s)
    passed = Passed(device, datetime.now(UTC).isoformat(timespec="seconds"))
    newest = {key: passed.tested_at, **_read(home)}
    home.create()
    kept = dict(list(newest.items())[:_KEPT])
    write_atomically(_file(home), json.dumps(kept, indent=1) + "\n")
    return passed


def one_token(toolkit: Toolkit, device: str = HOST, *, limit_s: float = LIMIT_S) -> None:
    """Make one token on a device; no process and no port is left behind.

    Args:
        toolkit: llama.cpp's programs.
        device: llama.cpp's name of the device.
        limit_s: Longest time, in seconds.

    Raises:
        Unavailable: A program cannot be started.
        EngineError: It does not work, with the reason.
        StorageError: There is no place for the model.
    """
    deadline = time.monotonic() + limit_s
    try:
        with tempfile.TemporaryDirectory(prefix="hgx-") as name, ExitStack() as stack:
            folder = Path(name)
            try:
                _try(toolkit, device, folder, deadline, stack)
            except EngineError as error:  # its logs go with the folder
                reason = error.message.replace(f"{folder}", "").partition(" (log: ")[0]
                msg = f"llama.cpp in {toolkit.server.parent} does not work here on {device}: "
                raise EngineError(f"{msg}{reason}; {_ANOTHER}") from error
    except OSError as error:
        raise storage_error("write to", Path(tempfile.gettempdir()), error) from error


def _try(toolkit: Toolkit, device: str, folder: Path, deadline: float, stack: ExitStack) -> None:
    model = folder / "model.gguf"
    write_model(model, _SHAPE, _TYPE)
    devices, rpc = (() if device == HOST else (device,)), ()
    if toolkit.rpc_server is not None:
        server = RpcServer(toolkit, folder / "rpc.log", RpcOptions(devices=(device,), threads=1))
        stack.callback(server.stop)
        server.start(_left_s(deadline))
        devices, rpc = (*devices, "RPC0"), (f"{LOOPBACK}:{server.port}",)
    split = {0: (), 1: (2,), 2: (1, 2)}[len(devices)]
    spec = ServerSpec(
        model=f"{model}",
        alias="self-test",
        ctx=256,
        gpu_layers=sum(split),
        devices=devices,
        tensor_split=split,
        rpc=rpc,
    )
    engine = LlamaCppEngine(toolkit.server, spec, folder)
    stack.callback(engine.stop)

    def watch(_: float) -> None:
        _left_s(deadline)

    _ask(engine.start(watch), engine, deadline)


def _ask(endpoint: Endpoint, engine: LlamaCppEngine, deadline: float) -> None:
    """Ask for a token and look whether it is one that numbers led to."""
    # Half a character would come without its probability.
    never = [[token, False] for token in NOT_ASCII]
    question = {"prompt": [5, 6, 7], "n_predict": 1, "n_probs": 1, "logit_bias": never}
    headers = {"Authorization": f"Bearer {endpoint.api_key}"}
    url = f"{endpoint.url}/completion"
    try:
        # Not by way of a proxy: it is on this machine.
        with httpx2.Client(trust_env=False, timeout=_left_s(deadline)) as client:
            answer = client.post(url, json=question, headers=headers)
    except httpx2.TimeoutException as error:
        raise _too_late() from error
    except httpx2.TransportError as error:
        how = engine.obituary() if not engine.alive() else f"llama-server did not answer ({error})"
        raise EngineError(how) from error
    try:
        likely = _Answer.model_validate_json(answer.content).completion_probabilities[0]
    except ValidationError as error:
        msg = f"llama-server answered with status {answer.status_code} and no token"
        raise EngineError(msg) from error
    if likely.logprob is None or not math.isfinite(likely.logprob):
        raise EngineError("it computes what is no number")


def _left_s(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise _too_late()
    return left


def _too_late() -> EngineError:
    return EngineError("it made no token in time")


def _key(toolkit: Toolkit, device: str) -> str:
    """Name a device and these very programs on this very machine."""
    parts = [platform.node(), platform.processor(), device]
    for path in (toolkit.server, toolkit.rpc_server):
        if path is not None:
            try:
                stat = path.stat()
            except OSError as error:
                raise storage_error("look at", path, error) from error
            parts += [f"{path}", f"{stat.st_mtime_ns}", f"{stat.st_size}"]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _file(home: Home) -> Path:
    return home.path / "selftest.json"


def _read(home: Home) -> dict[str, str]:
    """Return what passed; nothing where the file is missing or says nothing usable."""
    try:
        return _KNOWN.validate_json(_file(home).read_bytes())
    except (OSError, ValidationError):
        return {}
