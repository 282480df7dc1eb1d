"""The tflite driver, on LiteRT's processor backend, and on an accelerator if there is one."""

from __future__ import annotations

import importlib
import importlib.util
import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hgx.drivers import _litert, _product, tflite
from hgx.drivers._litert import Adapter, LiteRt, Memory, adapter_in, standard_error_kept
from hgx.drivers.base import DeviceError, Driver, OutOfDeviceMemory
from hgx.drivers.tflite import TfliteDriver
from hgx.errors import Unavailable
from hgx.sensors import memory
from hgx.units import MIB
from tests.drivers.contract import DriverContract
from tests.sensors.doubles import always

if TYPE_CHECKING:
    from collections.abc import Callable

LOG = (
    "INFO: [delegate_webgpu.cc:342] Create WebGPU environment\n"
    "I0000 00:00:1795554345.785795    9534 environment.cc:532] Selected adapter: {name}, "
    "arch=gen-12, vendor=intel, backend=Vulkan, adapterType={kind}\n"
    "INFO: [delegate_webgpu.cc:363] Created a WebGPU environment.\n"
)
"""What LiteRT 2.3 writes when it finds a GPU."""


class TestTflite(DriverContract):
    """The whole contract holds for LiteRT, with two devices."""

    against = "CPU runtime"
    runtime = "ai-edge-litert"

    def create(self) -> Driver:
        """Make the driver."""
        return TfliteDriver(("cpu", "cpu"))


class TestAccelerators(DriverContract):
    """The whole contract holds for accelerators, where there are some; software counts."""

    against = "CPU runtime"
    runtime = "ai-edge-litert"
    part = "software GPU"

    def create(self) -> Driver:
        """Make the driver, or skip the test."""
        driver = TfliteDriver(software=True)
        try:
            driver.initialize()
        except Unavailable as absent:
            pytest.skip(absent.message)
        driver.shutdown()
        return driver


@pytest.fixture
def driver() -> TfliteDriver:
    """Return an initialized driver."""
    made = TfliteDriver(("cpu",))
    made.initialize()
    return made


def test_the_processor_is_no_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where LiteRT reaches nothing but the processor, the driver says so, with a remedy."""
    monkeypatch.setattr(LiteRt, "compile", fail_with(DeviceError("it is not there")))
    with pytest.raises(Unavailable) as caught:
        tflite.create().initialize()
    assert caught.value.reason == "LiteRT finds no GPU and no NPU"
    assert "Vulkan" in caught.value.remedy


def test_no_device_has_sensors(driver: TfliteDriver) -> None:
    """LiteRT tells no temperature, power or clock: they are unknown, not zero."""
    assert (driver.temperature(0), driver.power(0), driver.clock(0)) == (None, None, None)


@pytest.mark.parametrize(
    ("kind", "unified"), [("Integrated GPU", True), ("Unknown", None), ("CPU / Software", None)]
)
def test_gpus_are_named(kind: str, unified: bool | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU has the name from LiteRT's log, which also tells whether its memory is the host's."""
    driver = logged_gpu(LOG.format(name="Intel(R) UHD 770", kind=kind), monkeypatch)
    driver.initialize()
    (device,) = driver.list_devices()
    assert (device.name, device.unified_memory) == ("Intel(R) UHD 770", unified)
    assert device.memory_total_bytes == memory.read_memory().total_bytes


def test_gpus_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU of which the log is silent is a device all the same."""
    driver = logged_gpu("", monkeypatch)
    driver.initialize()
    assert driver.get_device(0).name == "GPU (LiteRT)"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("CPU / Software", "a GPU that is a program on the processor (Some)"),
        ("Discrete GPU", "a GPU with memory of its own, which its vendor's driver serves (Some)"),
    ],
)
def test_gpus_that_do_not_count(kind: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that is none, or whose memory is unknown, is a reason and no device."""
    driver = logged_gpu(LOG.format(name="Some", kind=kind), monkeypatch, software=False)
    with pytest.raises(Unavailable) as caught:
        driver.initialize()
    assert caught.value.reason == f"LiteRT finds {reason}"


def test_log_of_a_gpu() -> None:
    """The log tells name and kind of a GPU, and nothing where there is none."""
    found = adapter_in(LOG.format(name="Adreno (TM) 740, rev 1", kind="Integrated GPU"))
    assert found == Adapter("Adreno (TM) 740, rev 1", "Integrated GPU")
    assert adapter_in("ERROR: No adapters found") is None


def test_standard_error_comes_back(capfd: pytest.CaptureFixture[str]) -> None:
    """What is written to standard error is kept for a while, and then goes where it went before."""
    os.write(2, b"before ")
    with standard_error_kept() as written:
        os.write(2, b"between")
        assert written() == "between"
    os.write(2, b"after")
    assert capfd.readouterr().err == "before after"


@pytest.mark.parametrize(
    ("installed", "reason"),
    [
        ({"ai_edge_litert", "tflite_runtime"}, None),
        ({"ai_edge_litert"}, None),
        ({"tflite_runtime"}, "tflite_runtime, which is, reaches no accelerator"),
        (set[str](), "LiteRT is not installed"),
    ],
)
def test_packages(installed: set[str], reason: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver needs LiteRT, and says why its predecessor does not do."""
    spec = importlib.util.find_spec("json")

    def find(name: str) -> object:
        return spec if name in installed else None

    monkeypatch.setattr(tflite, "find_spec", find)
    absent = tflite.absent()
    assert (absent is None) == (reason is None)
    if absent is not None and reason is not None:
        assert reason in absent.reason


def test_a_broken_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    """A LiteRT that does not load is not there, and the reason is one line."""
    monkeypatch.setattr(_litert, "import_module", fail_with(ImportError("no\nlibLiteRt.so")))
    with pytest.raises(Unavailable, match=r"LiteRT does not load: no libLiteRt\.so"):
        TfliteDriver(("cpu",)).initialize()


def test_parts_on_the_processor(driver: TfliteDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that an accelerator leaves to the processor in part is refused."""
    library: Any = importlib.import_module("ai_edge_litert.compiled_model")
    monkeypatch.setattr(library.CompiledModel, "is_fully_accelerated", always(value=False))
    with pytest.raises(OutOfDeviceMemory, match="would run on the processor"):
        driver.allocate(0, 1)


def test_memory_that_loses_what_is_written(
    driver: TfliteDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory that a GPU promised and does not have is noticed when it is reserved."""
    monkeypatch.setattr(Memory, "read", always(np.zeros(1, np.uint8)))
    with pytest.raises(OutOfDeviceMemory, match=r"does not take 1 MiB .*loses what is written"):
        driver.allocate(0, MIB)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("ERROR: [tensor_buffer.cc:1133]\n└ Failed to lock.", "LiteRT failed: Failed to lock."),
        ("", "LiteRT failed: it does not say why"),
    ],
)
def test_failures_in_one_line(said: str, told: str) -> None:
    """What LiteRT says in several lines is told as the last one."""
    lost = SimpleNamespace(read=fail_with(RuntimeError(said)))
    with pytest.raises(DeviceError) as caught:
        Memory(lost).read(1)
    assert caught.value.message == told


def test_wrong_sums_are_no_measurement(
    driver: TfliteDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory that reads wrong is an error, not a rate."""
    with driver.read_bandwidth(0, MIB) as kernel:
        kernel.run()
        monkeypatch.setattr(_litert.Work, "result", always(np.zeros(1, "f4")))
        with pytest.raises(DeviceError, match="read wrong numbers"):
            kernel.check()


def test_wrong_products_are_no_measurement(
    driver: TfliteDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An accelerator that multiplies wrong is an error, not a rate."""
    monkeypatch.setattr(_product, "_TOLERANCES", {"float32": -1.0})
    with driver.matmul(0, "float32", 8) as kernel:
        kernel.run()
        with pytest.raises(DeviceError, match="wrong product"):
            kernel.check()


def fail_with(error: Exception) -> Callable[..., object]:
    """Make a function that raises."""

    def fail(*_: object, **__: object) -> object:
        raise error

    return fail


def logged_gpu(log: str, monkeypatch: pytest.MonkeyPatch, *, software: bool = True) -> TfliteDriver:
    """Make a driver whose GPU is the processor, found with a log of one."""
    compile_really = LiteRt.compile

    def on_the_processor(self: LiteRt, model: bytes, _: str) -> _litert.Model:
        os.write(2, log.encode())
        return compile_really(self, model, "cpu")

    monkeypatch.setattr(LiteRt, "compile", on_the_processor)
    return TfliteDriver(("gpu",), software=software)
