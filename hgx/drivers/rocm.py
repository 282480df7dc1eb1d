"""AMD cards through CuPy made for ROCm, on Linux; heat, power and clock come from sysfs.

Checked against recordings put together by hand, and only up to the import of CuPy 14.2 for ROCm 7.0
against the real library: on a card it is unverified. The files are those of the kernel's
documentation of its KFD topology; what amdgpu tells of a card, ``hgx.sensors.amdgpu`` reads.
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

from hgx.drivers import _cupy
from hgx.drivers._cupy import CupyDriver
from hgx.errors import Unavailable
from hgx.sensors.amdgpu import AmdSensors, card_uuid
from hgx.sensors.source import MACHINE
from hgx.sensors.values import number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hgx.core.reading import Reading
    from hgx.drivers._cupy_api import Cupy, Runtime
    from hgx.sensors.source import Source

_INSTALL = "install ROCm 7 and pip install cupy-rocm-7-0"

# The codes of hipError_t in HIP's reference.
_START_FAILURES = {
    _cupy.OUT_OF_MEMORY: (
        "HIP has no memory left to start with",
        "close other programs that use the card",
    ),
    3: ("the AMD driver cannot be started", "load amdgpu, or restart the machine"),
    35: ("the AMD driver is too old for ROCm", "update the kernel or its amdgpu driver"),
    _cupy.NO_DEVICE: (
        "ROCm sees no AMD card",
        "load amdgpu, join the groups render and video, and check that ROCm knows the card",
    ),
}


def create() -> RocmDriver:
    """Make the driver; see ``hgx.drivers``."""
    return RocmDriver()


def absent() -> Unavailable | None:
    """Say whether this system cannot have it, or CuPy for ROCm is not installed."""
    if platform.system() != "Linux":
        reason = f"there is no CuPy for ROCm on {platform.system()}"
        return Unavailable(reason, "use the backends this system has")
    if not _cupy.installed("cupy-rocm"):
        reason = "CuPy for ROCm is not installed"
        return Unavailable(reason, f"if this machine has an AMD card, {_INSTALL}")
    return None


class RocmDriver(CupyDriver):
    """All AMD cards that ROCm sees.

    Args:
        cupy: The library; it is imported by ``initialize`` when absent.
        source: The machine, or a recording.
    """

    backend = "rocm"
    is_hip = True
    library = "hipBLAS"
    install = _INSTALL

    def __init__(self, cupy: Cupy | None = None, *, source: Source = MACHINE) -> None:
        super().__init__(cupy)
        self._source = source

    def _start_failure(self, runtime: Runtime, status: int | None, words: str) -> Unavailable:
        del runtime
        unknown = (f"HIP did not start ({words})", "run rocminfo to see why")
        return Unavailable(*_START_FAILURES.get(status or 0, unknown))

    def _cache_bytes(self, runtime: Runtime, index: int, l2_bytes: int) -> int | None:
        """Return the Infinity Cache where there is one: HIP tells only of the L2 before it."""
        domain, bus, place = runtime.deviceGetPCIBusId(index).split(":")
        device, _, function = place.partition(".")
        location = int(bus, 16) << 8 | int(device, 16) << 3 | int(function, 16)
        sought = {"location_id": str(location), "domain": str(int(domain, 16))}
        sizes = [l2_bytes]
        for node in self._source.glob("sys/class/kfd/kfd/topology/nodes/*"):
            if sought.items() <= self._properties(f"{node}/properties").items():
                files = self._source.glob(f"{node}/caches/*/properties")
                caches = (number(self._properties(file).get("size")) for file in files)
                sizes += (int(kibibytes) * 1024 for kibibytes in caches if kibibytes)
        return max(sizes) or None

    def _uuid(self, runtime: Runtime, index: int, properties: Mapping[str, Any]) -> str | None:
        del properties  # CuPy leaves HIP's out
        return card_uuid(self._source, _place(runtime, index))

    def _reading(self, index: int) -> Reading:
        with self._on(index) as cupy:
            place = _place(cupy.cuda.runtime, index)
        return AmdSensors(self._source, place).read()

    def _properties(self, path: str) -> dict[str, str]:
        """Read the lines of a file that are a name and a value."""
        pairs = (line.split() for line in (self._source.read(path) or "").splitlines())
        return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def _place(runtime: Runtime, index: int) -> str:
    """Say where a card is below the root: its address is right whichever cards ROCm shows."""
    return f"sys/bus/pci/devices/{runtime.deviceGetPCIBusId(index).lower()}"
