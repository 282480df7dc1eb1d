"""Record what llama-fit-params says of models of real shapes.

Run as ``python -m tests.gguf.record_cases``: for every recipe, or for those that are named, it
writes ``tests/gguf/cases/NAME.json``, which has for each split, context length and KV type the MiB
that llama.cpp would take. Nothing is loaded, and a model's file takes no more disk than its header;
all of it takes some minutes.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hgx.core.options import KvType
from hgx.engine.fit_params import fit_params
from hgx.engine.placement import HOST
from hgx.engine.rpc_server import HOST as LOOPBACK
from hgx.engine.rpc_server import RpcOptions, RpcServer
from hgx.engine.server_arguments import ServerSpec
from hgx.gguf.workload import read_workload
from hgx.units import MIB
from tests.gguf.recipes import RECIPES
from tests.gguf.recordings import CASES, Need, Run, excepted
from tests.llama_cpp import VERSION, toolkit

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from hgx.core.workload import Workload
    from hgx.engine.binaries import Toolkit
    from hgx.engine.readback import Allocated

Way = tuple[int, KvType, int]
"""Context length, KV type, and number of conversations."""

_WAYS: Final[tuple[Way, ...]] = (
    (4096, "f16", 1),
    (4096, "q8_0", 1),
    (32768, "f16", 1),
    (32768, "q8_0", 1),
)
"""How every split is asked for."""

_ONCE: Final[Way] = (8192, "f16", 4)
"""How the last split is asked for besides."""

_MOST_WORKERS: Final = 3


def splits(layers: int) -> Generator[tuple[int, tuple[int, ...]]]:
    """Give ways to split layers, the output head counted as one: the host's, and each worker's."""
    third, half, quarter = layers // 3, layers // 2, layers // 4
    yield layers, ()
    yield 0, (layers,)
    yield third, (layers - third,)
    yield quarter, (half, layers - quarter - half)
    yield 0, (half, layers - half)
    yield 0, (quarter, half, layers - quarter - half)


def ways(workload: Workload) -> Generator[tuple[int, tuple[int, ...], int, Way]]:
    """Give every way to ask of a model, with the number of blocks whose experts are away."""
    layers = workload.n_block + 1
    *most, last = splits(layers)
    for (host, workers), way in [*product([*most, last], _WAYS), (last, _ONCE)]:
        yield host, workers, 0, way
    if not any(block.expert_bytes for block in workload.blocks):
        return
    for (host, workers), way in product([*most, last], (_WAYS[0], _WAYS[-1])):
        if not host:
            for away in (layers // 6, layers * 2 // 3):
                yield host, workers, away, way


def record(path: Path, tools: Toolkit, addresses: Sequence[str]) -> list[Run]:
    """Ask llama-fit-params of one model.

    Args:
        path: Its file.
        tools: llama.cpp's programs.
        addresses: Of as many rpc servers as any split has workers.
    """
    workload = read_workload(path)
    layers = workload.n_block + 1
    runs: list[Run] = []
    for host, workers, away, (ctx, kv_type, parallel) in ways(workload):
        names = tuple(f"RPC{number}" for number in range(len(workers)))
        spec = ServerSpec(
            model=str(path),
            alias="model",
            ctx=ctx,
            kv_type=kv_type,
            parallel=parallel,
            gpu_layers=sum(workers),
            tensor_split=workers,
            experts_away=away,
            devices=names,
            rpc=tuple(addresses[: len(workers)]),
        )
        with tempfile.NamedTemporaryFile(suffix=".log") as log:
            fitted = fit_params(tools.need("fit_params"), spec, layers, Path(log.name))
        there = [list(fitted.layers.values()).count(name) for name in names]
        if fitted.layers and there != list(workers):
            sys.exit(f"{path.stem}: llama.cpp split {there}, not {list(workers)}")
        mib = [_mib(fitted.needs[name]) for name in names]
        ours = _mib(fitted.needs[HOST])
        runs.append(Run(host, workers, ctx, kv_type, parallel, tuple(mib), ours, away))
    return runs


def _mib(need: Allocated) -> Need:
    return Need(need.weights // MIB, need.kv // MIB, need.compute // MIB)


def write(name: str, runs: Sequence[Run]) -> None:
    """Write a case, one run a line; the exceptions that were written by hand stay."""
    path = CASES / f"{name}.json"
    kept = excepted(name) if path.exists() else []
    build = VERSION.partition(".")[0]
    head = f"llama-fit-params of llama.cpp build {build}: MiB of model, context, compute"
    lines = ",\n    ".join(json.dumps(run._asdict()) for run in runs)
    text = f'{{\n  "source": {json.dumps(head)},\n  "runs": [\n    {lines}\n  ]'
    if kept:
        rows = ",\n    ".join(json.dumps(each) for each in kept)
        text += f',\n  "exceptions": [\n    {rows}\n  ]'
    path.write_text(f"{text}\n}}\n", encoding="utf-8")


def main(names: Sequence[str]) -> None:
    """Record the models that are named, or all."""
    # Left to itself, llama.cpp turns it off for some splits of hybrid models.
    os.environ["LLAMA_ARG_FLASH_ATTN"] = "on"
    tools = toolkit()
    with tempfile.TemporaryDirectory(prefix="hgx-") as text, ExitStack() as running:
        folder = Path(text)
        options = RpcOptions(devices=("CPU",), threads=1)
        servers = [
            running.enter_context(RpcServer(tools, folder / f"{number}.log", options))
            for number in range(_MOST_WORKERS)
        ]
        addresses = [f"{LOOPBACK}:{server.port}" for server in servers]
        for name in names or RECIPES:
            path = RECIPES[name](folder / f"{name}.gguf")
            write(name, record(path, tools, addresses))
            path.unlink()
            sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
