"""The driver of NVIDIA's cards, on recorded machines and on a real one where there is one."""

from __future__ import annotations

import os
import platform
import sys
from typing import TYPE_CHECKING

import pytest

from hgx.drivers import cuda
from hgx.drivers.base import DeviceInfo, MemoryInfo
from hgx.drivers.cuda import CudaDriver
from hgx.errors import Unavailable
from hgx.sensors.memory import HostMemory
from hgx.units import GIB, MIB
from tests.drivers.contract import DriverContract
from tests.drivers.recorded_cupy import RecordedCupy, load, recorded_survey
from tests.sensors.doubles import always, write_files

if TYPE_CHECKING:
    from pathlib import Path

    from hgx.drivers.base import Driver


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take back what the driver puts into the environment."""
    monkeypatch.setattr(os, "environ", os.environ.copy())


def machine(name: str, **changes: object) -> CudaDriver:
    """Make the driver of a recorded machine, with 100 GiB of main memory free."""
    recording = load(name) | changes
    return CudaDriver(
        RecordedCupy(recording),
        survey=lambda: recorded_survey(recording),
        host_memory=lambda: HostMemory(119 * GIB, 100 * GIB),
    )


def ready(name: str, **changes: object) -> CudaDriver:
    """Make such a driver and initialize it."""
    driver = machine(name, **changes)
    driver.initialize()
    return driver


class TestTwoCards(DriverContract):
    """The contract holds for two unlike cards."""

    against = "recordings"
    runtime = "cupy-cuda13x"

    def create(self) -> Driver:
        """Make the driver."""
        return machine("nvidia_two_cards")


class TestUnifiedPart(DriverContract):
    """The contract holds for a part that shares the host's memory."""

    against = "recordings"
    runtime = "cupy-cuda13x"

    def create(self) -> Driver:
        """Make the driver."""
        return machine("nvidia_gb10")


@pytest.mark.gpu
class TestRealCards(DriverContract):
    """The contract holds for the cards of this machine, if it has any."""

    against = "hardware"
    runtime = "cupy-cuda13x"

    def create(self) -> Driver:
        """Make the driver; the test is skipped where it cannot work."""
        driver = cuda.create()
        missing = cuda.absent()
        if missing is None:
            try:
                driver.initialize()
            except Unavailable as reason:
                missing = reason
            driver.shutdown()
        if missing is not None:
            pytest.skip(missing.message)
        return driver


def test_cards_are_described() -> None:
    """Each card tells its name, memory, identity and cache; an identity cut short is completed."""
    assert ready("nvidia_two_cards").list_devices() == (
        DeviceInfo(
            index=0,
            name="NVIDIA GeForce RTX 4090",
            memory_total_bytes=25_386_352_640,
            unified_memory=False,
            uuid="GPU-3f1c2a9e-7b64-4d15-9c02-5e8ab1d4f637",
            cache_bytes=72 * MIB,
        ),
        DeviceInfo(
            index=1,
            name="NVIDIA GeForce RTX 3060",
            memory_total_bytes=12_630_491_136,
            unified_memory=False,
            uuid="GPU-8d27c44b-51e6-7a00-b3f9-0c6e92715da8",
            cache_bytes=2_359_296,
        ),
    )


def test_unified_memory_is_the_hosts() -> None:
    """What a unified part can still have is what the host has, not what CUDA takes for free."""
    driver = ready("nvidia_gb10")
    (device,) = driver.list_devices()
    assert device.unified_memory
    assert driver.memory_info(0) == MemoryInfo(device.memory_total_bytes, 100 * GIB)


def test_readings_are_the_cards() -> None:
    """Readings are those of the same card in NVML, whatever its number there; 0 °C is one."""
    cards = load("nvidia_two_cards")["nvml"]
    driver = ready("nvidia_two_cards", nvml=[cards[1], cards[0]])
    readings = [(driver.temperature(i), driver.power(i), driver.clock(i)) for i in (0, 1)]
    assert readings == [(34, 18.5, 210e6), (0, 12.25, None)]


def test_without_nvml() -> None:
    """Without NVML readings are unknown, and an identity that was cut short is too."""
    driver = ready("nvidia_two_cards", nvml=[])
    whole = "GPU-3f1c2a9e-7b64-4d15-9c02-5e8ab1d4f637"
    assert [device.uuid for device in driver.list_devices()] == [whole, None]
    for index in (0, 1):
        assert driver.temperature(index) is driver.power(index) is driver.clock(index) is None


def test_cards_that_begin_alike() -> None:
    """An identity that two cards could have had before it was cut short is not guessed."""
    cards = load("nvidia_two_cards")["nvml"]
    twin = cards[1] | {"uuid": "GPU-8d27c44b-51e6-7a00-ffff-ffffffffffff"}
    assert ready("nvidia_two_cards", nvml=[*cards, twin]).get_device(1).uuid is None


def test_nameless_card() -> None:
    """A card without a name, cache or identity gets a name, and the rest stays unknown."""
    nameless = load("nvidia_gb10")["devices"][0] | {"name": "", "l2CacheSize": 0, "uuid": ""}
    device = ready("nvidia_gb10", devices=[nameless], nvml=[]).get_device(0)
    assert (device.name, device.cache_bytes, device.uuid) == ("cuda device 0", None, None)


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cards are numbered as in NVML unless the user decided; 32-bit products are 32-bit."""
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    monkeypatch.setenv("CUPY_TF32", "1")
    driver = ready("nvidia_two_cards")
    assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert os.environ["CUPY_TF32"] == "0"
    with driver.matmul(0, "float32", 8) as kernel:
        assert kernel.method == "8 x 8 float32 product (cuBLAS through CuPy 14.2.0, TF32 off)"
    with driver.matmul(0, "float16", 8) as kernel:
        assert "TF32" not in kernel.method
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "FASTEST_FIRST")
    ready("nvidia_two_cards")
    assert os.environ["CUDA_DEVICE_ORDER"] == "FASTEST_FIRST"


@pytest.mark.parametrize(
    ("name", "reason", "remedy"),
    [
        ("nvidia_no_driver", "no NVIDIA driver found", "install it if this machine has"),
        (
            "nvidia_old_driver",
            "the NVIDIA driver knows CUDA 12.4 and CuPy is made for CUDA 13",
            "update the driver, or install cupy-cuda12x instead",
        ),
        ("nvidia_no_device", "CUDA sees no NVIDIA card", "check that it is seated"),
        ("nvidia_out_of_memory", "CUDA has no memory left to start with", "close other programs"),
        (
            "nvidia_mismatch",
            "the NVIDIA driver and its library differ in version",
            "restart the machine",
        ),
        ("nvidia_unknown", "CUDA did not start (cudaErrorUnknown: unknown error)", "run nvidia-"),
        ("amd_two_cards", "the CuPy that is installed is not made for cuda", "uninstall it, and"),
    ],
)
def test_failing_starts(name: str, reason: str, remedy: str) -> None:
    """Each way in which the runtime does not start has a reason and a remedy of its own."""
    driver = machine(name)
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            driver.initialize()
        assert caught.value.reason == reason
        assert caught.value.remedy.startswith(remedy)


def test_card_that_fails_at_once() -> None:
    """A card that cannot be described is a start that failed."""
    errors = {"getDeviceProperties": [46, "cudaErrorDevicesUnavailable: busy or unavailable"]}
    with pytest.raises(Unavailable, match="all NVIDIA cards are taken by others: close"):
        ready("nvidia_two_cards", errors=errors)


@pytest.mark.parametrize(
    ("system", "packages", "reason"),
    [
        ("Linux", [], "CuPy for CUDA is not installed"),
        ("Linux", ["cupy_rocm_7_0"], "CuPy for CUDA is not installed"),
        ("Darwin", ["cupy_cuda13x"], "there is no CUDA for Darwin"),
        ("Linux", ["cupy_cuda13x"], None),
        ("Windows", ["cupy_cuda12x"], None),
        ("Linux", ["cupy"], None),
    ],
)
def test_absent(
    system: str,
    packages: list[str],
    reason: str | None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """It is absent where there is no CUDA, or no CuPy made for it, and CuPy is not loaded."""
    install(packages, tmp_path, monkeypatch)
    monkeypatch.setattr(platform, "system", always(system))
    missing = cuda.absent()
    assert (missing and missing.reason) == reason
    assert "cupy" not in sys.modules


def install(packages: list[str], place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let only these packages be installed; each brings a module that must not be loaded."""
    files = {
        f"{name}-14.2.0.dist-info/METADATA": f"Name: {name.replace('_', '-')}\nVersion: 14.2.0"
        for name in packages
    }
    write_files(place, files | ({"cupy/__init__.py": "raise SystemExit"} if packages else {}))
    standard = [path for path in sys.path if "site-packages" not in path]
    monkeypatch.setattr(sys, "path", [str(place), *standard])
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
