"""AMD cards through CuPy made for ROCm, on Linux; heat, power and clock come from sysfs.

Checked against recordings put together by hand, and only up to the import of CuPy 14.2 for ROCm 7.0
against the real library: on a card it is unverified. The files are those of the kernel's
documentation of amdgpu and of its KFD topology.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hgx.drivers import _cupy
from hgx.drivers._cupy import CupyDriver
from hgx.errors import Unavailable
from hgx.sensors.amdgpu import card_uuid
from hgx.sensors.source import Machine

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hgx.drivers._cupy_api import Cupy, Runtime

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
        root: Where ``sys`` is.
    """

    backend = "rocm"
    is_hip = True
    library = "hipBLAS"
    install = _INSTALL

    def __init__(self, cupy: Cupy | None = None, *, root: Path = Path("/")) -> None:
        super().__init__(cupy)
        self._root = root

    def temperature(self, index: int) -> float | None:
        """Read the hottest sensor of the chip in °C; that of its memory is left out."""
        inputs = (
            file
            for file in self._sensors(index, "temp*_input")
            if _read(file.with_name(file.name.replace("_input", "_label"))) != "mem"
        )
        millidegrees = [value for file in inputs if (value := _whole(_read(file))) is not None]
        return max(millidegrees) / 1000 if millidegrees else None

    def power(self, index: int) -> float | None:
        """Read the power drawn in watts, an average where the card gives one."""
        return self._first(index, ("power1_average", "power1_input"), 1e-6)

    def clock(self, index: int) -> float | None:
        """Read the clock of the arithmetic units now in hertz."""
        return self._first(index, ("freq1_input",), 1.0)

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
        for node in (self._root / "sys/class/kfd/kfd/topology/nodes").glob("*"):
            if sought.items() <= _properties(node / "properties").items():
                caches = (_properties(file) for file in node.glob("caches/*/properties"))
                sizes += [(_whole(cache.get("size", "")) or 0) * 1024 for cache in caches]
        return max(sizes) or None

    def _uuid(self, runtime: Runtime, index: int, properties: Mapping[str, Any]) -> str | None:
        del properties  # CuPy leaves HIP's out
        return card_uuid(Machine(self._root), _place(runtime, index))

    def _sensors(self, index: int, names: str) -> Iterable[Path]:
        with self._on(index) as cupy:
            place = self._root / _place(cupy.cuda.runtime, index)
        return sorted(place.glob(f"hwmon/hwmon*/{names}"))

    def _first(self, index: int, names: Iterable[str], scale: float) -> float | None:
        for name in names:
            for file in self._sensors(index, name):
                value = _whole(_read(file))
                if value is not None:
                    return value * scale
        return None


def _place(runtime: Runtime, index: int) -> str:
    """Say where a card is below the root: its address is right whichever cards ROCm shows."""
    return f"sys/bus/pci/devices/{runtime.deviceGetPCIBusId(index).lower()}"


def _properties(file: Path) -> dict[str, str]:
    """Read the lines of a file that are a name and a value."""
    pairs = (line.split() for line in _read(file).splitlines())
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""  # this card, kernel or container does not have that file: unknown


def _whole(text: str) -> int | None:
    return int(text) if text.lstrip("-").isdecimal() else None
