"""The DirectML driver, on ONNX Runtime's processor backend."""

from __future__ import annotations

import importlib
import platform
import weakref
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hgx.drivers import _onnx, _ort, _product, directml
from hgx.drivers._dxgi import Adapter
from hgx.drivers.base import DeviceError, Driver, OutOfDeviceMemory
from hgx.drivers.directml import DirectMlDriver
from hgx.errors import Unavailable
from hgx.sensors import memory
from hgx.units import GIB, MIB
from tests.drivers.contract import DriverContract
from tests.sensors.doubles import always

if TYPE_CHECKING:
    from collections.abc import Callable

onnxruntime: Any = importlib.import_module("onnxruntime")
CARDS = (
    Adapter(0, "first", GIB),
    Adapter(2, "second", 2 * GIB, 256 * MIB, unified_memory=True),
)


def made(*cards: Adapter) -> DirectMlDriver:
    """Make a driver for cards that are really the processor."""
    return DirectMlDriver(_ort.PROCESSOR, always(cards or CARDS))  # pyright: ignore[reportArgumentType] - answers anything


class TestDirectMl(DriverContract):
    """The whole contract holds for ONNX Runtime."""

    against = "CPU runtime"
    runtime = "onnxruntime"

    def create(self) -> Driver:
        """Make the driver."""
        return made()


@pytest.fixture
def driver() -> DirectMlDriver:
    """Return an initialized driver with two adapters."""
    driver = made()
    driver.initialize()
    return driver


def test_absent_elsewhere() -> None:
    """Off Windows there is no DirectML."""
    missing = directml.absent()
    assert missing is not None
    assert missing.reason == "DirectML is a part of Windows"


def test_absent_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other package with the same module does not count, and both that are needed do."""
    monkeypatch.setattr(platform, "system", always("Windows"))
    assert metadata.version("onnxruntime")
    missing = directml.absent()
    assert missing is not None
    assert missing.reason == "onnxruntime-directml is not installed"
    monkeypatch.setattr(directml, "version", always("1.24.4"))
    assert directml.absent() is None
    monkeypatch.setattr(directml, "find_spec", always(None))
    missing = directml.absent()
    assert missing is not None
    assert missing.reason == "onnx is not installed"


def test_the_right_build_is_demanded() -> None:
    """An ONNX Runtime without DirectML does not start the driver."""
    with pytest.raises(Unavailable, match=r"has no DmlExecutionProvider.*then install the latter"):
        directml.create().initialize()


def test_runtime_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken ONNX Runtime is a reason with a remedy, in one line."""

    def refuse(_: str) -> None:
        raise ImportError

    monkeypatch.setattr(_ort, "import_module", refuse)
    with pytest.raises(Unavailable, match=r"ONNX Runtime does not load \(ImportError\)"):
        made().initialize()


def no_library() -> tuple[Adapter, ...]:
    """Fail as loading a library does that is not there."""
    msg = "dxgi.dll: cannot open shared object file"
    raise OSError(msg)


@pytest.mark.parametrize(
    ("adapters", "reason"),
    [
        (no_library, "DirectX 12 was not found (dxgi.dll: cannot open shared object file)"),
        (tuple[Adapter, ...], "Windows lists no graphics adapter with DirectX 12"),
    ],
)
def test_no_adapters(adapters: Callable[[], tuple[Adapter, ...]], reason: str) -> None:
    """Without DirectX 12 or a card there is a reason with a remedy."""
    driver = DirectMlDriver(_ort.PROCESSOR, adapters)
    with pytest.raises(Unavailable) as caught:
        driver.initialize()
    assert caught.value.reason == reason


def test_devices(driver: DirectMlDriver) -> None:
    """Devices are numbered from zero whatever Windows' numbers are."""
    first, second = driver.list_devices()
    assert (first.index, first.name, first.memory_total_bytes) == (0, "first", GIB)
    assert (second.index, second.name, second.unified_memory) == (1, "second", True)
    assert driver.memory_info(0) == (GIB, None)
    assert driver.memory_info(1) == (2 * GIB, 256 * MIB)


def test_lost_adapter() -> None:
    """An adapter that is gone since has an unknown amount free."""
    lists = iter([CARDS, ()])
    driver = DirectMlDriver(_ort.PROCESSOR, lambda: next(lists))
    driver.initialize()
    assert driver.memory_info(1) == (2 * GIB, None)


def test_windows_number_is_used(driver: DirectMlDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session runs on Windows' number of the adapter, as DirectML's documentation demands."""
    started: list[tuple[object, ...]] = []
    session = onnxruntime.InferenceSession

    def start(model: bytes, options: Any, **arguments: Any) -> object:
        mode = options.execution_mode
        started.append((arguments["providers"], options.enable_mem_pattern, mode.name))
        return session(model, options, **arguments)

    monkeypatch.setattr(onnxruntime, "InferenceSession", start)
    driver.allocate(1, 4)
    driver.allocate(1, 4)
    provider = (_ort.PROCESSOR, {"device_id": "2"})
    assert started == [([provider], False, "ORT_SEQUENTIAL")]


def test_memory_runs_out(driver: DirectMlDriver) -> None:
    """What is reserved counts where Windows does not say what is free."""
    with pytest.raises(OutOfDeviceMemory, match=r"directml:1 has 256(\.0)? MiB of memory left"):
        driver.allocate(1, 257 * MIB)
    small = made(Adapter(0, "small", 100))
    small.initialize()
    buffer = small.allocate(0, 60)
    with pytest.raises(OutOfDeviceMemory, match="directml:0 has 40 B of memory left"):
        small.allocate(0, 41)
    small.deallocate(buffer)
    small.allocate(0, 41)


@pytest.mark.parametrize(("unified", "refused"), [(False, False), (None, True), (True, True)])
def test_memory_of_the_host_runs_out(
    monkeypatch: pytest.MonkeyPatch, *, unified: bool | None, refused: bool
) -> None:
    """What is made on the host needs room there, twice that where the adapter shares it."""
    monkeypatch.setattr(memory, "read_memory", always(memory.HostMemory(GIB, 5 * MIB)))
    driver = made(Adapter(0, "card", GIB, GIB, unified_memory=unified))
    driver.initialize()
    driver.allocate(0, 2 * MIB)
    for ask in (
        lambda: driver.read_bandwidth(0, 3 * MIB),
        lambda: driver.matmul(0, "float32", 512),  # 3 MiB on each side
    ):
        if refused:
            with pytest.raises(OutOfDeviceMemory, match="this machine has 5 MiB"), ask():
                pass
        else:
            with ask() as kernel:
                kernel.run()
                kernel.check()


@pytest.mark.parametrize("sizes", [(8, 8), (8, 12)])
@pytest.mark.parametrize("indices", [(0, 0), (0, 1)])
def test_copies(driver: DirectMlDriver, sizes: tuple[int, int], indices: tuple[int, int]) -> None:
    """Copies on an adapter and by way of the host give the same bytes."""
    source, target = (driver.allocate(*each) for each in zip(indices, sizes, strict=True))
    driver.copy_to_device(b"12345678", source)
    driver.copy_to_device(b"x" * sizes[1], target)
    driver.copy_device_to_device(source, target)
    driver.copy_to_device(b"y" * 8, source)
    assert driver.copy_from_device(target) == b"12345678" + b"x" * (sizes[1] - 8)


def test_bytes_are_taken_at_once(driver: DirectMlDriver) -> None:
    """What is done to the host's bytes after a copy does not change the buffer."""
    buffer, content = driver.allocate(0, 4), bytearray(b"abcd")
    driver.copy_to_device(content, buffer)  # pyright: ignore[reportArgumentType] - like bytes, but they can change
    content[:] = b"xxxx"
    assert driver.copy_from_device(buffer) == b"abcd"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("BFCArena: Failed to allocate memory for requested buffer", OutOfDeviceMemory),
        ("DmlCommittedResourceAllocator.cpp(22): 8007000E Not enough memory", OutOfDeviceMemory),
        ("887A0005 The GPU device instance has been suspended.\nmore", DeviceError),
    ],
)
def test_failures_are_translated(
    driver: DirectMlDriver, monkeypatch: pytest.MonkeyPatch, text: str, kind: type[DeviceError]
) -> None:
    """A failure is told in one line, and one of memory is told apart from others."""
    buffer = driver.allocate(0, 4)

    def fail(*_: object) -> None:
        raise RuntimeError(text)

    monkeypatch.setattr(_ort.OrtAdapter, "_run", fail)
    with driver.read_bandwidth(0, MIB) as kernel:
        for call in (
            lambda: driver.allocate(0, 4),
            lambda: driver.copy_to_device(b"abcd", buffer),
            lambda: driver.copy_from_device(buffer),
            lambda: driver.copy_device_to_device(buffer, buffer),
            kernel.run,
        ):
            with pytest.raises(kind) as caught:
                call()
            assert type(caught.value) is kind
            assert "\n" not in caught.value.message


def test_memory_of_the_host_that_is_not_given(
    driver: DirectMlDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory that is free but not given is an error of memory too."""

    def refuse(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(np, "zeros", refuse)
    with pytest.raises(OutOfDeviceMemory):
        driver.allocate(0, 1)


def test_another_provider_does_not_stand_in(
    driver: DirectMlDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that runs on something else than was asked for is refused."""
    session = onnxruntime.InferenceSession
    monkeypatch.setattr(session, "get_providers", always(["AzureExecutionProvider"]))
    with pytest.raises(DeviceError, match="directml:0 does not start"):
        driver.allocate(0, 4)


@pytest.mark.parametrize(("size", "work"), [(1, 4), (64, 64), (MIB + 3, MIB)])
def test_what_is_read(driver: DirectMlDriver, size: int, work: int) -> None:
    """Whole rows are read, and at least one number."""
    with driver.read_bandwidth(1, size) as kernel:
        kernel.run()
        kernel.check()
    assert kernel.work == work


def test_wrong_sum_is_not_a_measurement(
    driver: DirectMlDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory that reads wrong is an error, not a rate."""
    monkeypatch.setattr(np, "ones", np.zeros)
    with driver.read_bandwidth(0, MIB) as kernel:
        kernel.run()
        with pytest.raises(DeviceError, match="directml:0 read wrong numbers"):
            kernel.check()


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_wrong_product_is_not_a_measurement(
    driver: DirectMlDriver, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    """An adapter that multiplies wrong is an error, not a rate."""
    onnx: Any = importlib.import_module("onnx")
    model = onnx.load_from_string(_onnx.multiplying(dtype, 64))
    model.graph.node[0].op_type = "Mul"
    monkeypatch.setattr(_onnx, "multiplying", always(model.SerializeToString()))
    with driver.matmul(0, dtype, 64) as kernel:
        kernel.run()
        with pytest.raises(DeviceError, match="directml:0 computed a wrong product"):
            kernel.check()


def test_models_are_valid() -> None:
    """Models satisfy ONNX's own checker, in a version that every DirectML knows."""
    onnx: Any = importlib.import_module("onnx")
    for model in (_onnx.copying(), _onnx.summing(3, 5), _onnx.multiplying("float16", 7)):
        onnx.checker.check_model(model, full_check=True)
        read = onnx.load_from_string(model)
        assert (read.ir_version, [each.version for each in read.opset_import]) == (8, [13])


def test_memory_of_a_kernel_is_given_back(
    driver: DirectMlDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the context ends its arrays are free, though somebody still holds the kernel."""
    arrays: list[weakref.ref[object]] = []
    factor = _product.factor

    def remember(side: int, seed: int) -> object:
        made = factor(side, seed)
        arrays.append(weakref.ref(made))
        return made

    monkeypatch.setattr(_product, "factor", remember)
    with driver.matmul(0, "float32", 8) as kernel:
        kernel.run()
    assert kernel.work
    assert [array() for array in arrays] == [None, None]
