"""What the drivers of NVIDIA's and AMD's cards share, on two recorded cards of NVIDIA's."""

from __future__ import annotations

import pkgutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hgx.drivers import _cupy, _cupy_api, _cupy_kernels
from hgx.drivers.base import DeviceError, OutOfDeviceMemory
from hgx.drivers.cuda import CudaDriver
from hgx.errors import Unavailable
from hgx.sensors.nvml import Survey
from hgx.units import MIB
from tests.drivers.recorded_cupy import RecordedCupy, load, record, recorded_survey
from tests.drivers.recorded_runtime import RecordedError
from tests.sensors.doubles import always, write_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOST = RecordedError(719, "cudaErrorLaunchFailure: unspecified launch failure")


@pytest.fixture
def cupy() -> RecordedCupy:
    """Return the library of a machine with two unlike cards."""
    return RecordedCupy(load("nvidia_two_cards"))


@pytest.fixture
def driver(cupy: RecordedCupy) -> CudaDriver:
    """Return an initialized driver of those cards."""
    made = CudaDriver(cupy, survey=lambda: recorded_survey(load("nvidia_two_cards")))
    made.initialize()
    return made


def failing(error: Exception) -> Callable[..., None]:
    """Make a function that fails, whatever it is given, and that holds on to nothing of it."""

    def fail(*given: object, **named: object) -> None:
        del given, named
        raise error

    return fail


def test_freed_memory_is_free(driver: CudaDriver) -> None:
    """Memory is taken from its own card, and is the card's again once it was given back."""
    before = [driver.memory_info(index).free_bytes for index in (0, 1)]
    buffer, _ = driver.allocate(1, MIB), driver.allocate(1, MIB)
    assert driver.memory_info(0).free_bytes == before[0]
    assert driver.memory_info(1).free_bytes == (before[1] or 0) - 2 * MIB
    driver.deallocate(buffer)
    assert driver.memory_info(1).free_bytes == (before[1] or 0) - MIB
    driver.shutdown()
    driver.initialize()
    assert [driver.memory_info(index).free_bytes for index in (0, 1)] == before


def test_kernels_leave_no_memory_taken(driver: CudaDriver, cupy: RecordedCupy) -> None:
    """Memory of a kernel is on its card, and free after its context even if the kernel is kept."""
    before = driver.memory_info(1).free_bytes or 0
    with driver.read_bandwidth(1, MIB) as reading, driver.matmul(1, "float16", 64) as multiplying:
        assert (driver.memory_info(1).free_bytes or 0) <= before - MIB - 3 * 64 * 64 * 2
        assert {device for device, _ in cupy.cuda.runtime.memory.values()} == {1}
        reading.run()
        multiplying.run()
    assert driver.memory_info(1).free_bytes == before
    assert (reading.work, multiplying.work) == (MIB, 2 * 64**3)


def test_kernels_wait(driver: CudaDriver, cupy: RecordedCupy) -> None:
    """A kernel returns when the card is done, on the right card whichever is the current one."""
    with driver.matmul(0, "float32", 8) as first, driver.read_bandwidth(1, 64) as second:
        for kernel in (first, second):
            waited = cupy.cuda.runtime.waited
            kernel.run()
            kernel.check()
            assert cupy.cuda.runtime.waited > waited
    assert cupy.cuda.runtime.current is None


def test_more_than_one_sum(driver: CudaDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has more numbers than CUB can count is added up in parts."""
    monkeypatch.setattr(_cupy_kernels, "_MOST_TO_SUM", 1000)
    with driver.read_bandwidth(0, 2500 * 8) as kernel:
        for _ in range(2):
            kernel.run()
            kernel.check()
    assert kernel.work == 2500 * 8


def test_wrong_sum_is_not_a_measurement(driver: CudaDriver, cupy: RecordedCupy) -> None:
    """A single bit that flips in memory is an error, not a rate."""
    with driver.read_bandwidth(0, MIB) as kernel:
        _, content = next(iter(cupy.cuda.runtime.memory.values()))
        content[-1] ^= 64
        kernel.run()
        with pytest.raises(DeviceError, match="cuda:0 read wrong numbers"):
            kernel.check()


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
@pytest.mark.parametrize("wrong", [0, 1.02, np.nan])
def test_wrong_product_is_not_a_measurement(
    driver: CudaDriver, cupy: RecordedCupy, dtype: str, wrong: float
) -> None:
    """A row that is wrong, even by a fiftieth, is an error, not a rate."""
    right = cupy.matmul

    def multiply(x1: Any, x2: Any, /, *, out: Any) -> None:
        right(x1, x2, out=out)
        out.content[5] *= wrong

    with driver.matmul(1, dtype, 128) as kernel:
        kernel.check()
        cupy.matmul = multiply
        kernel.run()
        with pytest.raises(DeviceError, match="cuda:1 computed a wrong product"):
            kernel.check()


def test_large_matrices_pass_in_parts(driver: CudaDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A matrix that is filled and checked in parts is filled and checked as a whole."""
    monkeypatch.setattr(_cupy_kernels, "_ROWS_BYTES", 8 * 100 * 7)
    with driver.matmul(0, "float64", 100) as kernel:
        kernel.run()
        kernel.check()


@pytest.mark.parametrize("side", [1, 127, 128, 381, 400])
def test_matrices_are_filled_to_the_end(driver: CudaDriver, cupy: RecordedCupy, side: int) -> None:
    """The card repeats the rows that the host made, up to the last one."""
    with driver.matmul(0, "float32", side) as kernel:
        matrices = [
            held.view(np.float32).reshape(side, side)
            for _, held in cupy.cuda.runtime.memory.values()
        ]
        for factor in matrices[:2]:
            assert (factor == factor[np.arange(side) % 127]).all()
            assert len(np.unique(factor[:127])) > 0.99 * factor[:127].size
        kernel.run()
        kernel.check()


def test_work_that_is_none(driver: CudaDriver) -> None:
    """Less than a number is not read, and no matrix is not multiplied."""
    for context in (driver.read_bandwidth(0, 7), driver.matmul(0, "float32", 0)):
        with pytest.raises(DeviceError, match="ask for at least"), context:
            pass


def test_library_that_is_missing(driver: CudaDriver, cupy: RecordedCupy) -> None:
    """A BLAS that is not installed shows before anything is timed, with what to install."""
    cupy.matmul = failing(ImportError("libcublas.so.13: cannot open shared object file"))
    with (
        pytest.raises(DeviceError, match=r"cuBLAS .*libcublas\.so\.13.*: pip install 'cupy-cuda"),
        driver.matmul(0, "float32", 8),
    ):
        pass
    assert not cupy.cuda.runtime.memory


def test_memory_that_the_card_does_not_give(
    driver: CudaDriver, cupy: RecordedCupy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory that others took in the meantime is an error of memory too, for arrays as well."""
    monkeypatch.setattr(driver, "_free_bytes", always(1 << 62))
    for context in (driver.read_bandwidth(0, 1 << 60), driver.matmul(0, "float64", 1 << 25)):
        with pytest.raises(OutOfDeviceMemory, match="cuda:0 has no memory left"), context:
            pass
    with pytest.raises(OutOfDeviceMemory, match="cuda:0 has no memory left"):
        driver.allocate(0, 1 << 60)
    assert not cupy.cuda.runtime.memory


def test_cards_that_fail(driver: CudaDriver, cupy: RecordedCupy) -> None:
    """A card that fails is an error of ours with the vendor's words, and shutdown still works."""
    buffer = driver.allocate(0, 4)
    cupy.cuda.runtime.recording["errors"].update(
        {call: [LOST.status, str(LOST)] for call in ("memcpy", "memGetInfo", "free")}
    )
    for call in (
        lambda: driver.copy_from_device(buffer),
        lambda: driver.copy_to_device(b"x", buffer),
        lambda: driver.memory_info(0),
    ):
        with pytest.raises(DeviceError, match=r"cuda:0 failed \(cudaErrorLaunchFailure.*restart"):
            call()
    driver.shutdown()
    with pytest.raises(DeviceError, match="not initialized"):
        driver.list_devices()


def test_empty_copies(driver: CudaDriver) -> None:
    """Nothing can be copied both ways, and is nothing."""
    buffer = driver.allocate(0, 4)
    driver.copy_to_device(b"", buffer, 4)
    assert driver.copy_from_device(buffer, 0, 4) == b""


@pytest.mark.parametrize("error", [ImportError(""), OSError("broken"), RuntimeError("broken")])
def test_library_that_cannot_be_loaded(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CuPy that does not load is not there, in one line that says what to install."""
    monkeypatch.setattr(_cupy, "import_module", failing(error))
    with pytest.raises(Unavailable, match=r"CuPy cannot be loaded \((ImportError|broken)\): pip"):
        CudaDriver().initialize()


def test_library_is_imported(cupy: RecordedCupy, monkeypatch: pytest.MonkeyPatch) -> None:
    """CuPy is imported by its name when the driver is initialized, and not before."""
    driver = CudaDriver(survey=Survey)
    monkeypatch.setattr(_cupy, "import_module", {"cupy": cupy}.__getitem__)
    driver.initialize()
    assert len(driver.list_devices()) == 2


@pytest.mark.parametrize("name", ["nvidia_two_cards", "nvidia_gb10", "amd_two_cards"])
def test_recording_a_recording(name: str, tmp_path: Path) -> None:
    """A machine that plays a recording gives the same recording when it is recorded."""
    recording = load(name)
    write_files(tmp_path, recording.get("files", {}))
    again = record(RecordedCupy(recording), recorded_survey(recording), tmp_path)
    known = [{key: card[key] for key in card if card[key] is not None} for card in again["nvml"]]
    assert again | {"nvml": known, "origin": None} == {"nvml": [], "files": {}} | recording | {
        "origin": None
    }


def test_recording_a_failure() -> None:
    """A machine whose runtime does not start is recorded with its error."""
    recording = load("nvidia_no_driver")
    assert record(RecordedCupy(recording), Survey()) == recording | {
        "origin": record(RecordedCupy(recording), Survey())["origin"]
    }


@pytest.mark.parametrize(
    ("where", "described"),
    [
        ("cupy", _cupy_api.Cupy),
        ("cupy.cuda", _cupy_api.Cuda),
        ("cupy.cuda.runtime", _cupy_api.Runtime),
        ("cupy.cuda.memory", _cupy_api.MemoryErrors),
        ("cupy.cuda.cub", _cupy_api.Cub),
        ("cupy.cuda.MemoryPool", _cupy_api.Pool),
        ("cupy.cuda.MemoryPointer", _cupy_api.Pointer),
        ("cupy.ndarray", _cupy_api.Array),
    ],
)
def test_real_library_has_what_is_used(where: str, described: type) -> None:
    """All names that the drivers use are those of the CuPy that is installed, if one is."""
    pytest.importorskip("cupy", reason="CuPy is not installed", exc_type=ImportError)
    names = [name for name in vars(described) if not name.startswith("_")]
    assert names
    missing = [name for name in names if not hasattr(pkgutil.resolve_name(where), name)]
    assert missing == []
