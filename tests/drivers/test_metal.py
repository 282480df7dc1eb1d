"""The Metal driver, on MLX's processor backend; the neural engine, as far as it is built here."""

from __future__ import annotations

import gc
import importlib
import platform
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hgx.drivers import _coreml, _mlx, _product, metal
from hgx.drivers._mlx import Mlx
from hgx.drivers.base import DeviceError, Driver, OutOfDeviceMemory
from hgx.drivers.metal import MetalDriver
from hgx.errors import Unavailable
from hgx.sensors import memory
from hgx.units import GIB, MIB
from tests.drivers.contract import DriverContract
from tests.sensors.doubles import always

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from hgx.drivers._coreml import Program

mx: Any = importlib.import_module("mlx.core")


@contextmanager
def stand_in(weights: Sequence[NDArray[np.float16]], rows: int) -> Generator[Program]:
    """Do with numpy what a program of Core ML does."""

    def program(x: NDArray[np.float16]) -> NDArray[np.float16]:
        assert x.shape == (rows, len(weights[0]))
        return reduce(_layer, weights, x)

    yield program


def _layer(x: NDArray[np.float16], layer: NDArray[np.float16]) -> NDArray[np.float16]:
    return (x.astype(np.float32) @ layer.astype(np.float32)).astype(np.float16)


class TestMetal(DriverContract):
    """The whole contract holds for MLX."""

    against = "CPU runtime"
    runtime = "mlx"

    def create(self) -> Driver:
        """Make the driver."""
        return MetalDriver("cpu")


class TestMetalWithNeuralEngine(DriverContract):
    """The whole contract holds with the neural engine beside the GPU."""

    against = "stand-in"
    runtime = "coremltools"
    part = "neural engine"

    def create(self) -> Driver:
        """Make the driver."""
        return MetalDriver("cpu", stand_in)


@pytest.fixture
def driver() -> MetalDriver:
    """Return an initialized driver with both devices."""
    gc.collect()  # so that MLX counts no array of an earlier test's driver
    made = MetalDriver("cpu", stand_in)
    made.initialize()
    return made


@pytest.fixture
def on_a_mac(monkeypatch: pytest.MonkeyPatch) -> None:
    """Say that this is a Mac with an Apple chip."""
    monkeypatch.setattr(platform, "system", always("Darwin"))
    monkeypatch.setattr(platform, "machine", always("arm64"))


def test_absent_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Off macOS, and on older Macs, there is no Metal, and nothing is loaded to tell so."""
    for system, machine in (("Linux", "arm64"), ("Darwin", "x86_64")):
        monkeypatch.setattr(platform, "system", always(system))
        monkeypatch.setattr(platform, "machine", always(machine))
        missing = metal.absent()
        assert missing is not None
        assert missing.reason == "Metal is there on Apple's own chips only"


@pytest.mark.usefixtures("on_a_mac")
def test_absent_on_a_mac(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a Mac it is there unless MLX is missing; without coremltools it has the GPU alone."""
    mlx = Mlx("cpu")
    mlx.has_metal = True
    monkeypatch.setattr(metal, "Mlx", always(mlx))
    assert metal.absent() is None
    assert names(metal.create()) == [mlx.name(), "Apple Neural Engine"]
    monkeypatch.setattr(metal, "find_spec", always(None))
    monkeypatch.setattr(_coreml, "find_spec", always(None))
    missing = metal.absent()
    assert missing is not None
    assert missing.remedy == "pip install 'hgx-toolkit[metal]'"
    assert names(metal.create()) == [mlx.name()]


def names(driver: MetalDriver) -> list[str]:
    """Start a driver and name its devices."""
    driver.initialize()
    return [device.name for device in driver.list_devices()]


def test_metal_is_demanded() -> None:
    """Without a real GPU the driver does not start, unless it is told to use the processor."""
    assert not mx.metal.is_available()
    with pytest.raises(Unavailable, match="MLX finds no Metal here"):
        metal.create().initialize()


def test_mlx_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken MLX is a reason with a remedy, in one line."""

    def refuse(_: str) -> None:
        msg = "dlopen failed\nno such file"
        raise ImportError(msg)

    monkeypatch.setattr(_mlx, "import_module", refuse)
    with pytest.raises(Unavailable, match=r"MLX does not load \(dlopen failed\)"):
        MetalDriver("cpu").initialize()


def test_devices(driver: MetalDriver) -> None:
    """Both devices share the machine's memory with the host."""
    gpu, neural = driver.list_devices()
    assert gpu.name == mx.device_info(mx.cpu)["device_name"]
    assert neural.name == "Apple Neural Engine"
    assert gpu.unified_memory
    assert neural.unified_memory
    assert neural.memory_total_bytes == memory.read_memory().total_bytes
    assert driver.matmul_types(1) == ("float16",)


def test_memory_of_a_gpu(driver: MetalDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU has what Apple recommends to use, less what MLX uses already."""
    information = {
        "device_name": "Apple M2 Max",
        "memory_size": 64 * GIB,
        "max_recommended_working_set_size": 16 * MIB,
    }
    monkeypatch.setattr(mx, "device_info", always(information))
    used = mx.get_active_memory()
    device = driver.get_device(0)
    assert (device.name, device.memory_total_bytes) == ("Apple M2 Max", 16 * MIB)
    buffer = driver.allocate(0, 10 * MIB)
    assert driver.memory_info(0) == (16 * MIB, 6 * MIB - used)
    with pytest.raises(OutOfDeviceMemory, match="metal:0 has"):
        driver.allocate(0, 10 * MIB)
    driver.deallocate(buffer)
    assert driver.memory_info(0) == (16 * MIB, 16 * MIB - used)


def test_memory_is_given_back(driver: MetalDriver) -> None:
    """Freed buffers, finished work and a shutdown leave nothing behind in MLX."""
    used = mx.get_active_memory()
    driver.deallocate(driver.allocate(0, MIB))
    assert (mx.get_active_memory(), mx.get_cache_memory()) == (used, 0)
    with driver.read_bandwidth(0, MIB) as reading, driver.matmul(0, "float32", 8) as multiplying:
        reading.run()
        multiplying.run()
    assert (mx.get_active_memory(), mx.get_cache_memory()) == (used, 0)
    driver.allocate(0, MIB)
    driver.shutdown()
    assert (mx.get_active_memory(), mx.get_cache_memory()) == (used, 0)


def test_other_threads(driver: MetalDriver) -> None:
    """What one thread began another goes on with; MLX keeps a queue for each."""
    buffer = driver.allocate(0, 4)
    with ThreadPoolExecutor(1) as pool, driver.matmul(0, "float16", 64) as kernel:
        for step in (kernel.run, kernel.check):
            pool.submit(step).result()
        pool.submit(driver.copy_to_device, b"abcd", buffer).result()
    assert driver.copy_from_device(buffer) == b"abcd"


def test_buffers_are_memory_of_mlx(driver: MetalDriver) -> None:
    """A buffer is MLX's memory, written in place: no copy makes another array."""
    used = mx.get_active_memory()
    buffer = driver.allocate(0, 3 * MIB + 5)
    reserved = mx.get_active_memory()
    assert 3 * MIB + 5 <= reserved - used < 4 * MIB
    for offset in range(100):
        driver.copy_to_device(b"x", buffer, 3 * MIB + offset % 5)
    assert mx.get_active_memory() == reserved
    assert driver.copy_from_device(buffer, offset_bytes=3 * MIB) == b"xxxxx"


@pytest.mark.parametrize("index", [0, 1])
def test_memory_that_is_not_given(
    driver: MetalDriver, monkeypatch: pytest.MonkeyPatch, index: int
) -> None:
    """Memory that is free but refused is an error of memory too."""

    def refuse(*_: object) -> None:
        msg = "[malloc] Unable to allocate 1 bytes."
        raise RuntimeError(msg)

    monkeypatch.setattr(mx, "eval", refuse)
    monkeypatch.setattr(np, "full", refuse)
    with pytest.raises(OutOfDeviceMemory):
        driver.allocate(index, 1)


def test_wrong_sum_is_not_a_measurement(
    driver: MetalDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory that reads wrong is an error, not a rate."""
    with driver.read_bandwidth(0, MIB) as kernel:
        monkeypatch.setattr(mx, "sum", always(mx.zeros(4)))
        kernel.run()
        with pytest.raises(DeviceError, match="metal:0 read wrong numbers"):
            kernel.check()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("wrong", [float("nan"), 2.0])
def test_wrong_product_is_not_a_measurement(
    driver: MetalDriver, monkeypatch: pytest.MonkeyPatch, dtype: str, wrong: float
) -> None:
    """A product that is wrong, or no number, is an error, not a rate."""
    multiply = mx.matmul

    def badly(left: object, right: object) -> object:
        return multiply(left, right) * wrong

    monkeypatch.setattr(mx, "matmul", badly)
    with driver.matmul(0, dtype, 64) as kernel:
        kernel.run()
        with pytest.raises(DeviceError, match="metal:0 computed a wrong product"):
            kernel.check()


def test_factors_are_neither_one_sided_nor_equal() -> None:
    """Factors hold numbers of both signs, and differ by seed."""
    left, right = _product.factor(64, 1), _product.factor(64, 2)
    assert -1 <= left.min() < -0.9
    assert 0.9 < left.max() < 1
    assert not np.array_equal(left, right)


@pytest.mark.parametrize(
    ("size", "layers", "side"), [(1, 1, 1), (64, 1, 5), (MIB + 3, 1, 724), (5 * 2048**2, 2, 1024)]
)
def test_reading_on_the_neural_engine(
    driver: MetalDriver, monkeypatch: pytest.MonkeyPatch, size: int, layers: int, side: int
) -> None:
    """A vector goes through layers that hold about as much as was asked for."""
    if layers > 1:
        monkeypatch.setattr(_coreml, "_SIDE", 1024)
        size = layers * 2 * 1024**2 + 5
    with driver.read_bandwidth(1, size) as kernel:
        kernel.run()
        kernel.check()
    assert kernel.work == layers * 2 * side**2
    assert "Core ML" in kernel.method


def test_multiplying_on_the_neural_engine(driver: MetalDriver) -> None:
    """The neural engine multiplies float16 and nothing else."""
    with driver.matmul(1, "float16", 64) as kernel:
        kernel.run()
        kernel.check()
    assert kernel.work == 2 * 64**3
    with pytest.raises(DeviceError, match=r"metal:1 does not multiply float32.*float16"):
        driver.matmul(1, "float32", 8).__enter__()


def test_wrong_products_of_the_neural_engine() -> None:
    """What the neural engine computes wrong is an error in both kernels."""

    @contextmanager
    def wrong(weights: Sequence[NDArray[np.float16]], rows: int) -> Generator[Program]:
        with stand_in(weights, rows) as program:
            yield lambda x: -program(x)

    for kernel_of in (
        lambda: _coreml.read_kernel("metal:1", 2048, wrong),
        lambda: _coreml.matmul_kernel("metal:1", 16, wrong),
    ):
        with kernel_of() as kernel:
            kernel.run()
            with pytest.raises(DeviceError, match="metal:1 computed a wrong product"):
                kernel.check()


tidied_late = pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")
"""coremltools leaves a temporary directory of its own to the garbage collector."""


@tidied_late
@pytest.mark.parametrize("layers", [1, 3])
def test_programs_for_core_ml(
    capsys: pytest.CaptureFixture[str], layers: int, tmp_path: Path
) -> None:
    """Layers really become a program of Core ML in float16, without a word on the console."""
    weights = [np.full((32, 32), layer, np.float16) for layer in range(layers)]
    model = _coreml.convert(weights, 2, tmp_path / "product.mlpackage")
    specification: Any = vars(model)["_spec"]
    (function,) = specification.mlProgram.functions.values()
    (block,) = function.block_specializations.values()
    operations = [operation.type for operation in block.operations]
    assert operations.count("matmul") == layers
    (given,), (result,) = specification.description.input, specification.description.output
    assert (given.name, list(given.type.multiArrayType.shape)) == ("x", [2, 32])
    assert (result.name, list(result.type.multiArrayType.shape)) == ("product", [2, 32])
    for array in (given.type.multiArrayType, result.type.multiArrayType):
        assert array.dataType == array.FLOAT16
    assert capsys.readouterr().err == ""


@tidied_late
@pytest.mark.skipif(platform.system() == "Darwin", reason="there it works")
def test_core_ml_runs_on_macs_only() -> None:
    """A program is made and gone again; running it elsewhere is refused by coremltools."""
    with (
        _coreml.compiled([np.eye(4, dtype=np.float16)], 1) as program,
        pytest.raises(Exception, match="only supported on macOS"),
    ):
        program(np.ones((1, 4), np.float16))


class Doubling:
    """A model that doubles."""

    def predict(self, data: dict[str, NDArray[np.float16]]) -> dict[str, NDArray[np.float16]]:
        """Answer as a model of coremltools does."""
        return {"product": data["x"] * np.float16(2)}


def test_prediction_is_taken_by_name() -> None:
    """The program's input and output are those of the model."""
    ones = np.ones(2, np.float16)
    assert np.array_equal(_coreml.predict(Doubling(), ones), ones + ones)
