"""Devices measured with the engine: which, with what types, and what becomes of the results."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from hgx.bench import engine as bench
from hgx.bench.engine import EngineEffort
from hgx.bench.events import Failed, Progress, Result, Started, Written
from hgx.engine.base import EngineDevice
from hgx.engine.binaries import Toolkit
from hgx.errors import EngineError, ModelError, RegistryError, StorageError, Unavailable
from hgx.flows import bench_engine as flow
from hgx.flows.bench_engine import (
    EngineWays,
    EngineWish,
    bench_engine,
    engine_name,
    live_ways,
    types_of,
)
from hgx.store.home import Home
from hgx.store.registry_file import load_registry
from tests.bench.doubles import benchmark
from tests.gguf.ggufs import llama_like, write_gguf

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from hgx.bench.engine_steps import Target
    from hgx.bench.events import Event
    from hgx.bench.parent import EffortName

RATES = {"memory_total_bytes": 1000, "memory_bandwidth_bytes_per_s": 2, "compute_flops_per_s": 3}
DOCUMENT: dict[str, Any] = {
    "nodes": [{"id": "box"}, {"id": "laptop"}],
    "devices": [
        {"id": "box/cpu:0", "node": "box", "backend": "cpu"} | RATES,
        {"id": "box/cuda:0", "node": "box", "backend": "cuda", "name": "RTX 4090"} | RATES,
        {"id": "box/tflite:0", "node": "box", "backend": "tflite", "name": "Edge"} | RATES,
        {"id": "laptop/cpu:0", "node": "laptop", "backend": "cpu"} | RATES,
    ],
}
CPU = EngineDevice(name="CPU", description="the processor", kind="cpu")
CARD = EngineDevice(name="CUDA0", description="NVIDIA GeForce RTX 4090", kind="gpu")
NUMBERS = ("engine_decode_layer", "engine_prefill_layer", "engine_decode_Q4_K")


class Engine:
    """An engine that measures what a test wants, and remembers what it was asked."""

    def __init__(self, *devices: EngineDevice, fails: bool = False) -> None:
        self.devices = devices
        self.fails = fails
        self.asked: list[tuple[Target, EffortName, tuple[str, ...]]] = []

    def ways(self) -> EngineWays:
        """Return its ways."""
        return EngineWays("llama.cpp 1", self.devices, self.events)

    def events(self, target: Target, effort: EffortName, types: Sequence[str]) -> Iterator[Event]:
        """Measure a device."""
        self.asked.append((target, effort, tuple(types)))
        yield Started(subject=target.subject, names=NUMBERS)
        if self.fails:
            yield Failed(subject=target.subject, reason="it was killed")
            return
        for name in NUMBERS:
            yield Result(subject=target.subject, benchmark=benchmark(name, (0.5,) * 5))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with a registry."""
    found = Home(tmp_path / "home")
    found.create()
    found.node_file.write_text('{"id": "box"}')
    found.registry.write_text(json.dumps(DOCUMENT))
    return found


def test_results_are_rates(home: Home) -> None:
    """All devices that the engine knows are measured, and the registry has their rates."""
    engine = Engine(CPU, CARD)
    told: list[Event] = []
    registry = bench_engine(home, EngineWish(), told.append, ways=engine.ways())
    targets = [target for target, _, _ in engine.asked]
    assert [(one.subject, one.device) for one in targets] == [
        ("box/cpu:0", None),
        ("box/cuda:0", "CUDA0"),
    ]
    assert (targets[0].bytes_per_s, targets[0].flops_per_s, targets[0].room_bytes) == (2, 3, 1000)
    assert targets[0].threads >= 1
    assert load_registry(home.registry) == registry
    rates = {device.id: device.engine for device in registry.devices if device.engine}
    assert list(rates) == ["box/cpu:0", "box/cuda:0"]
    assert rates["box/cpu:0"].engine == "llama.cpp 1"
    assert rates["box/cpu:0"].decode_layer_s == 0.5
    assert isinstance(told[-1], Written)
    assert not [one for one in told if isinstance(one, Failed)]


def test_what_is_wished_for(home: Home, tmp_path: Path) -> None:
    """Only the named devices are measured, as much as wished, with the types of the model."""
    engine = Engine(CPU, CARD)
    model = llama_like(tmp_path / "x.gguf", n_block=2, n_embd=512, n_ff=1024, quant="IQ4_XS")
    wish = EngineWish(("cuda:0",), "quick", model)
    bench_engine(home, wish, lambda _: None, ways=engine.ways())
    ((target, effort, types),) = engine.asked
    assert (target.subject, effort) == ("box/cuda:0", "quick")
    assert set(types) == {"IQ4_XS", "Q6_K"}  # the output head of this model is Q6_K


def test_what_the_engine_lacks(home: Home) -> None:
    """A device that it cannot use is told of only where it was named; alone, it is an error."""
    engine = Engine(CPU)
    told: list[Event] = []
    bench_engine(home, EngineWish(("cpu:0", "tflite:0")), told.append, ways=engine.ways())
    (failed,) = [one for one in told if isinstance(one, Failed)]
    assert failed.subject == "box/tflite:0"
    assert failed.reason == "llama.cpp 1 cannot use it: use a build for tflite"
    with pytest.raises(Unavailable, match="no device could be measured: box/cuda:0: llama"):
        bench_engine(home, EngineWish(("cuda:0",)), told.append, ways=engine.ways())
    with pytest.raises(RegistryError, match="device of laptop"):
        bench_engine(home, EngineWish(("laptop/cpu:0",)), told.append, ways=engine.ways())


def test_nothing_comes_of_it(home: Home) -> None:
    """Where no device could be measured, the reason is the error, and the registry as it was."""
    before = home.registry.read_bytes()
    with pytest.raises(Unavailable, match="it was killed"):
        bench_engine(home, EngineWish(), lambda _: None, ways=Engine(CPU, fails=True).ways())
    assert home.registry.read_bytes() == before


def test_types_of_a_model(tmp_path: Path) -> None:
    """Types are named by how much of the model they are, what is hardly any left out."""
    tensors = [
        ("token_embd.weight", (256, 1000), "F16"),
        ("blk.0.ffn_up.weight", (256, 4096), "Q4_K"),
        ("blk.0.ffn_down.weight", (4096, 256), "Q6_K"),
        ("blk.0.ffn_norm.weight", (256,), "F32"),
        ("output.weight", (256, 1000), "Q8_0"),
    ]
    meta = {
        "general.architecture": "llama",
        "llama.block_count": 1,
        "llama.embedding_length": 256,
        "llama.attention.head_count": 4,
        "llama.feed_forward_length": 4096,
    }
    path = write_gguf(tmp_path / "x.gguf", meta, tensors)
    assert types_of(path) == ("Q6_K", "Q4_K", "Q8_0")
    with pytest.raises(ModelError):
        types_of(tmp_path / "none.gguf")


def test_name_of_the_engine(tmp_path: Path) -> None:
    """It has the version and the build as far as they are known."""

    def toolkit(version: str | None, build: int | None) -> Toolkit:
        return Toolkit(tmp_path, None, None, None, version, build, None, "PATH")

    assert engine_name(toolkit("0.6.0", 11434)) == "llama.cpp 0.6.0 build 11434"
    assert engine_name(toolkit(None, 4567)) == "llama.cpp build 4567"
    assert engine_name(toolkit(None, None)) == "llama.cpp"


class TestReal:
    """With the real programs."""

    def test_a_quick_run(
        self, llama_cpp: Toolkit, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The processor is measured in every step, here and behind an rpc server; nothing stays."""
        monkeypatch.setitem(bench.EFFORTS, "quick", EngineEffort(1, 1, ("Q8_0",)))
        told: list[Event] = []
        wish = EngineWish(("cpu:0",), "quick", engine_dir=llama_cpp.server.parent)
        try:
            bench_engine(home, wish, told.append)
        except Unavailable as error:  # all was refused, as it is on a busy machine
            assert "nothing came of it" not in error.message
        steps = {one.name for one in told if isinstance(one, Progress)}
        assert steps >= {"engine_few", "engine_Q8_0", "engine_worker_Q8_0", "engine_deep"}
        assert not [one for one in told if isinstance(one, Failed)]
        assert not [*home.path.glob("engine-*")]

    def test_it_does_not_work(
        self, llama_cpp: Toolkit, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A build that fails the self-test is not measured."""

        def broken(*_: object, **__: object) -> None:
            msg = "llama.cpp does not work here"
            raise EngineError(msg)

        monkeypatch.setattr(flow, "self_test", broken)
        wish = EngineWish(("cpu:0",), "quick", engine_dir=llama_cpp.server.parent)
        with pytest.raises(Unavailable, match="does not work here"):
            bench_engine(home, wish, lambda _: None)

    def test_programs_that_are_missing(
        self, llama_cpp: Toolkit, home: Home, tmp_path: Path
    ) -> None:
        """Without programs, or without llama-bench, it says what to install."""
        empty = tmp_path / "empty"
        empty.mkdir()
        with pytest.raises(Unavailable, match="no llama-server"):
            bench_engine(home, EngineWish(engine_dir=empty), lambda _: None)
        (empty / "llama-server").write_text(f'#!/bin/sh\nexec {llama_cpp.server} "$@"\n')
        (empty / "llama-server").chmod(0o755)
        with pytest.raises(Unavailable, match="no llama-bench"):
            bench_engine(home, EngineWish(engine_dir=empty), lambda _: None)

    def test_no_place_for_models(self, llama_cpp: Toolkit, tmp_path: Path) -> None:
        """A home that cannot be written into is a storage error."""
        (tmp_path / "file").touch()
        with (
            pytest.raises(StorageError),
            live_ways(Home(tmp_path / "file"), llama_cpp.server.parent),
        ):
            pytest.fail("there is no place")
