"""Measure this machine's devices with the engine, and put the results into the registry."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from hgx.bench.engine import EFFORTS, engine_events
from hgx.bench.engine_run import Runner
from hgx.bench.engine_steps import Target
from hgx.bench.events import Failed
from hgx.engine.arguments import default_threads
from hgx.engine.binaries import find_toolkit
from hgx.engine.devices import match_devices
from hgx.engine.listing import list_devices
from hgx.engine.placement import HOST
from hgx.engine.selftest import self_test
from hgx.engine.synthetic import TYPES
from hgx.errors import EngineError, Unavailable
from hgx.flows.bench import wanted_devices
from hgx.flows.bench_keep import Keeper, check_writable
from hgx.flows.engine_results import with_engine
from hgx.flows.inputs import find_registry
from hgx.gguf.workload import read_workload
from hgx.sensors.battery import power_source, read_battery
from hgx.sensors.source import MACHINE
from hgx.store.atomic import storage_error

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
    from pathlib import Path

    from hgx.bench.events import Event
    from hgx.bench.parent import EffortName
    from hgx.core.benchmark import Benchmark
    from hgx.core.registry import Device, Registry
    from hgx.engine.base import EngineDevice
    from hgx.engine.binaries import Toolkit
    from hgx.store.home import Home

_NOTABLE = 0.01
"""Part of a model's weights below which a quantisation type is not worth measuring."""


class EngineWish(NamedTuple):
    """What to measure.

    Attributes:
        devices: Ids of this machine's devices, or what follows the slash in them; all that the
            engine can use when empty.
        effort: How much.
        model: A model whose quantisation types are measured too.
        engine_dir: The folder of llama.cpp's programs, or null.
    """

    devices: tuple[str, ...] = ()
    effort: EffortName = "normal"
    model: Path | None = None
    engine_dir: Path | None = None


class EngineWays(NamedTuple):
    """How devices are measured; tests have others.

    Attributes:
        engine: Name and build of the engine.
        devices: Those that it can use.
        events: Measures a device, given the quantisation types besides the usual ones.
    """

    engine: str
    devices: Sequence[EngineDevice]
    events: Callable[[Target, EffortName, Sequence[str]], Iterator[Event]]


@contextmanager
def live_ways(home: Home, engine_dir: Path | None) -> Generator[EngineWays]:
    """Measure for real, with models in a folder of the home that is gone in the end.

    Args:
        home: Where to.
        engine_dir: The folder of llama.cpp's programs, or null.

    Raises:
        Unavailable: They are not there, or llama-bench is not among them.
        EngineError: They do not work.
        StorageError: The home cannot be written into.
    """
    toolkit = find_toolkit(engine_dir)
    toolkit.need("bench")
    power = power_source(read_battery(MACHINE), MACHINE)
    home.create()
    try:
        folder = tempfile.TemporaryDirectory(prefix="engine-", dir=home.path)
    except OSError as error:
        raise storage_error("write into", home.path, error) from error
    with folder as name:

        def events(target: Target, effort: EffortName, types: Sequence[str]) -> Iterator[Event]:
            try:
                self_test(toolkit, home, target.device or HOST)
            except EngineError as error:
                yield Failed(subject=target.subject, reason=error.message)
                return
            runner = Runner(toolkit, target, home.path / name, power)
            worker = toolkit.rpc_server is not None
            yield from engine_events(target, EFFORTS[effort], types, runner, worker=worker)

        yield EngineWays(engine_name(toolkit), list_devices(toolkit), events)


def bench_engine(
    home: Home,
    wish: EngineWish,
    emit: Callable[[Event], object],
    *,
    registry_path: Path | None = None,
    ways: EngineWays | None = None,
) -> Registry:
    """Measure one device after the other; each result is in the registry as soon as it is told.

    Args:
        home: Where the registry is if no other is given.
        wish: What to measure.
        emit: Told what happens.
        registry_path: Another registry, which must exist.
        ways: How to measure.

    Returns:
        The registry as written.

    Raises:
        RegistryError: The registry is missing or damaged, or a device is not in it.
        ModelError: The model that was named cannot be read.
        Unavailable: llama.cpp's programs are not there, or no device could be measured.
        EngineError: They do not work.
        StorageError: The registry or a model could not be written.
    """
    registry = find_registry(home, registry_path)
    path, own = registry_path or home.registry, home.node_id()
    types = types_of(wish.model) if wish.model else ()
    devices = wanted_devices(registry, own, wish.devices, path)
    check_writable(path)
    if ways is None:
        with live_ways(home, wish.engine_dir) as live:
            return _measure(Keeper(path, registry, emit), devices, wish, types, live)
    return _measure(Keeper(path, registry, emit), devices, wish, types, ways)


def types_of(model: Path) -> tuple[str, ...]:
    """Name the quantisation types that make up a notable part of a model, the largest first.

    Args:
        model: A GGUF file.

    Raises:
        ModelError: It cannot be read.
    """
    workload = read_workload(model)
    sizes: dict[str, int] = {}
    for block in (*workload.blocks, workload.output):
        for name, size in block.weight_bytes.items():
            sizes[name] = sizes.get(name, 0) + size
    least = _NOTABLE * sum(sizes.values())
    ordered = sorted(sizes, key=sizes.__getitem__, reverse=True)
    return tuple(name for name in ordered if name in TYPES and sizes[name] > least)


def engine_name(toolkit: Toolkit) -> str:
    """Name an engine and its build, as ``llama.cpp 0.6.0 build 11434``.

    Args:
        toolkit: llama.cpp's programs.
    """
    build = f"build {toolkit.build}" if toolkit.build else None
    return " ".join(word for word in ("llama.cpp", toolkit.version, build) if word)


def _measure(
    keeper: Keeper,
    devices: Sequence[Device],
    wish: EngineWish,
    types: Sequence[str],
    ways: EngineWays,
) -> Registry:
    twins = match_devices(devices, ways.devices)
    failures: list[str] = []
    for device in devices:
        twin, put = twins.get(device.id), partial(_put, device.id, ways.engine)
        if twin is None:
            reason = f"{ways.engine} cannot use it: use a build for {device.backend}"
            failures.append(reason)
            if wish.devices:  # who asked for all does not ask for what cannot be
                keeper.keep([Failed(subject=device.id, reason=reason)], put)
            continue
        events = ways.events(_target(device, twin), wish.effort, types)
        failed = keeper.keep(events, put)
        failures += [failed] if failed else []
    keeper.close()
    if len(failures) == len(devices):
        raise Unavailable("no device could be measured", f"{devices[0].id}: {failures[0]}")
    return keeper.registry


def _target(device: Device, twin: EngineDevice) -> Target:
    return Target(
        subject=device.id,
        device=None if twin.kind == "cpu" else twin.name,
        threads=default_threads(),
        bytes_per_s=device.memory_bandwidth_bytes_per_s,
        flops_per_s=device.compute_flops_per_s,
        room_bytes=device.usable_bytes,
    )


def _put(
    device_id: str, engine: str, registry: Registry, results: Mapping[str, Sequence[Benchmark]]
) -> Registry:
    """Put results of a device into the registry; unchanged where it is gone from it."""
    devices = tuple(
        with_engine(device, results[device_id], engine=engine) if device.id == device_id else device
        for device in registry.devices
    )
    return registry.model_copy(update={"devices": devices})
