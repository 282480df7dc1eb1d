"""The driver of AMD's cards, on recorded machines and on a real one where there is one."""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING

import pytest

from hgx.drivers import _cupy, rocm
from hgx.drivers.base import DeviceInfo
from hgx.drivers.rocm import RocmDriver
from hgx.errors import Unavailable
from hgx.sensors.amdgpu import AmdSensors, amd_cards
from hgx.sensors.source import Machine
from hgx.units import MIB
from tests.drivers.contract import DriverContract
from tests.drivers.recorded_cupy import RecordedCupy, load
from tests.drivers.test_cuda import install
from tests.sensors.doubles import Told, always, write_files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hgx.drivers.base import Driver

CARD = "sys/bus/pci/devices/0000:03:00.0"


def recorded(files: Mapping[str, str] | None = None) -> RocmDriver:
    """Make the driver of the recorded machine, with its files or others."""
    recording = load("amd_two_cards")
    source = Told(recording["files"] if files is None else files)
    return RocmDriver(RecordedCupy(recording), source=source)


def ready(files: Mapping[str, str] | None = None) -> RocmDriver:
    """Make the driver of the recorded machine, and initialize it."""
    driver = recorded(files)
    driver.initialize()
    return driver


def changed(name: str, **changes: object) -> dict[str, object]:
    """Return a recording in which some answers are others."""
    return load(name) | changes


class TestTwoCards(DriverContract):
    """The contract holds for two unlike cards."""

    against = "recordings"
    runtime = "cupy-rocm-7-0"

    def create(self) -> Driver:
        """Make the driver."""
        return recorded()


@pytest.mark.gpu
class TestRealCards(DriverContract):
    """The contract holds for the cards of this machine, if it has any."""

    against = "hardware"
    runtime = "cupy-rocm-7-0"

    def create(self) -> Driver:
        """Make the driver; the test is skipped where it cannot work."""
        driver = rocm.create()
        missing = rocm.absent()
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
    """Each card tells its name, memory and identity; its last cache is the Infinity Cache."""
    assert ready().list_devices() == (
        DeviceInfo(
            index=0,
            name="Radeon RX 7900 XTX",
            memory_total_bytes=24560 * MIB,
            unified_memory=False,
            uuid="GPU-7d02c1b94fe6385a",
            cache_bytes=96 * MIB,
        ),
        DeviceInfo(
            index=1,
            name="AMD Radeon PRO W6800",
            memory_total_bytes=32752 * MIB,
            unified_memory=False,
            uuid="GPU-12af60c3d8754e9b",
            cache_bytes=128 * MIB,
        ),
    )


def test_identities_are_those_of_the_sensors(tmp_path: Path) -> None:
    """The driver and the sensors call a card the same, also where ROCm hides another before it."""
    recording = load("amd_two_cards")
    write_files(tmp_path, recording["files"])
    for number, place in enumerate(sorted((tmp_path / "sys/bus/pci/devices").iterdir())):
        write_files(place, {"vendor": "0x1002", "uevent": f"PCI_SLOT_NAME={place.name}"})
        card = tmp_path / f"sys/class/drm/card{number}"
        card.mkdir(parents=True)
        (card / "device").symlink_to(place)
    source = Machine(tmp_path, "Linux")
    sensed = {card.uuid: card for card in amd_cards(source)}
    hidden = RocmDriver(
        RecordedCupy(changed("amd_two_cards", devices=recording["devices"][1:])), source=source
    )
    hidden.initialize()
    (device,) = hidden.list_devices()
    assert sensed[device.uuid].pci_address == recording["devices"][1]["pci_bus_id"].lower()
    assert (sensed[device.uuid].index, device.index) == (1, 0)
    assert hidden.temperature(0) == 0  # the second card's
    assert [device.uuid for device in ready().list_devices()] == list(sensed)


def test_readings_are_the_cards() -> None:
    """The hottest sensor counts, but not that of the memory; 0 °C is a reading."""
    driver = ready()
    readings = [(driver.temperature(i), driver.power(i), driver.clock(i)) for i in (0, 1)]
    assert readings == [
        (52, pytest.approx(31), 492e6),
        (0, pytest.approx(7), None),
    ]


def test_readings_are_those_of_the_sensors() -> None:
    """Driver and sensors read a card in one way: power of the moment goes before an average."""
    files = load("amd_two_cards")["files"]
    files[f"{CARD}/hwmon/hwmon3/power1_input"] = "44000000"
    driver, sensed = ready(files), AmdSensors(Told(files), CARD).read()
    told = (driver.temperature(0), driver.power(0), driver.clock(0))
    assert told == (sensed.temperature_c, sensed.power_w, sensed.clock_hz) == (52, 44, 492e6)


def test_kernel_that_tells_little() -> None:
    """Without files of the card, what they would tell is unknown, and the cache is HIP's."""
    driver = ready({})
    assert [device.uuid for device in driver.list_devices()] == [None, None]
    assert [device.cache_bytes for device in driver.list_devices()] == [6 * MIB, 4 * MIB]
    assert driver.temperature(0) is driver.power(0) is driver.clock(0) is None


def test_files_that_say_nothing() -> None:
    """A file that holds no number is as unknown as a file that is not there."""
    place = f"{CARD}/hwmon/hwmon3"
    nodes = "sys/class/kfd/kfd/topology/nodes/1"
    files = {
        f"{place}/temp1_input": "",
        f"{place}/power1_average": "N/A",
        f"{nodes}/properties": "location_id 768\ndomain 0\na line of more words",
        f"{nodes}/caches/0/properties": "level 3",
    }
    driver = ready(files)
    assert driver.temperature(0) is driver.power(0) is None
    assert driver.get_device(0).cache_bytes == 6 * MIB


def test_method_names_the_library() -> None:
    """A product says that AMD's library made it."""
    with ready().matmul(1, "float32", 8) as kernel:
        assert kernel.method == "8 x 8 float32 product (hipBLAS through CuPy 14.2.0)"


@pytest.mark.parametrize(
    ("recording", "reason", "remedy"),
    [
        (changed("amd_no_device"), "ROCm sees no AMD card", "load amdgpu, join the groups"),
        (
            changed("amd_two_cards", devices=()),
            "ROCm sees no AMD card",
            "load amdgpu, join the groups",
        ),
        (
            changed("amd_no_device", errors={"getDeviceCount": (999, "hipErrorUnknown")}),
            "HIP did not start (hipErrorUnknown)",
            "run rocminfo",
        ),
        (
            changed("nvidia_two_cards"),
            "the CuPy that is installed is not made for rocm",
            "uninstall it, and install ROCm",
        ),
    ],
)
def test_failing_starts(recording: dict[str, object], reason: str, remedy: str) -> None:
    """Each way in which the runtime does not start has a reason and a remedy of its own."""
    with pytest.raises(Unavailable) as caught:
        RocmDriver(RecordedCupy(recording)).initialize()
    assert caught.value.reason == reason
    assert caught.value.remedy.startswith(remedy)


def test_rocm_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """CuPy without ROCm's libraries names the one that is missing, not its own banner."""
    message, cause = load("amd_no_library")["import_error"]

    def fail(_: str) -> None:
        raise ImportError(message) from ImportError(cause)

    monkeypatch.setattr(_cupy, "import_module", fail)
    with pytest.raises(Unavailable) as caught:
        rocm.create().initialize()
    assert caught.value.reason == f"CuPy cannot be loaded ({cause})"
    assert caught.value.remedy == "install ROCm 7 and pip install cupy-rocm-7-0"


@pytest.mark.parametrize(
    ("system", "packages", "reason"),
    [
        ("Linux", [], "CuPy for ROCm is not installed"),
        ("Linux", ["cupy_cuda13x"], "CuPy for ROCm is not installed"),
        ("Windows", ["cupy_rocm_7_0"], "there is no CuPy for ROCm on Windows"),
        ("Linux", ["cupy_rocm_7_0"], None),
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
    """It is absent off Linux, or without a CuPy made for it, and CuPy is not loaded."""
    install(packages, tmp_path, monkeypatch)
    monkeypatch.setattr(platform, "system", always(system))
    missing = rocm.absent()
    assert (missing and missing.reason) == reason
    assert "cupy" not in sys.modules
