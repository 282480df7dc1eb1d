"""NVIDIA cards through CuPy, on Linux and Windows; heat, power and clock come from NVML.

Checked against recordings put together by hand, and against CuPy 14.2 for CUDA 13 as far as it goes
without a card: on a card, on Windows and with CUDA 12 it is unverified.
"""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING, Any
from uuid import UUID

from hgx.core.reading import Reading
from hgx.drivers import _cupy
from hgx.drivers._cupy import CupyDriver
from hgx.errors import Unavailable
from hgx.sensors.memory import read_memory
from hgx.sensors.nvml import read_cards, reading_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hgx.drivers._cupy_api import Cupy, Runtime
    from hgx.sensors.memory import HostMemory
    from hgx.sensors.nvml import Survey

_INSTALL = "pip install 'cupy-cuda13x[ctk]' (cupy-cuda12x for an older NVIDIA driver)"
_OLD_DRIVER = 35  # cudaErrorInsufficientDriver: also what a machine without any driver gives
_UUID_BYTES = 16

# The codes of cudaError_t in the CUDA runtime's reference.
_START_FAILURES = {
    _cupy.OUT_OF_MEMORY: (
        "CUDA has no memory left to start with",
        "close other programs that use the card",
    ),
    3: ("the NVIDIA driver cannot be started", "load it, or restart the machine"),
    34: ("only a stand-in of the NVIDIA driver is there", "install the NVIDIA driver itself"),
    36: ("the NVIDIA driver is too old for CuPy", "update the driver"),
    46: ("all NVIDIA cards are taken by others", "close other programs that use them"),
    _cupy.NO_DEVICE: (
        "CUDA sees no NVIDIA card",
        "check that it is seated, passed on to this machine, not hidden by CUDA_VISIBLE_DEVICES",
    ),
    802: ("the NVIDIA system is not ready yet", "start its fabric manager"),
    803: ("the NVIDIA driver and its library differ in version", "restart the machine"),
    804: (
        "CUDA's compatibility package does not work with this card",
        "uninstall it and update the NVIDIA driver",
    ),
}


def create() -> CudaDriver:
    """Make the driver; see ``hgx.drivers``."""
    return CudaDriver()


def absent() -> Unavailable | None:
    """Say whether this system cannot have it, or CuPy for CUDA is not installed."""
    if platform.system() not in {"Linux", "Windows"}:
        reason = f"there is no CUDA for {platform.system()}"
        return Unavailable(reason, "use the backends this system has")
    if not _cupy.installed("cupy-cuda"):
        reason = "CuPy for CUDA is not installed"
        return Unavailable(reason, f"if this machine has an NVIDIA card, {_INSTALL}")
    return None


class CudaDriver(CupyDriver):
    """All NVIDIA cards that CUDA sees, in the order of their places on the PCI bus, as in NVML.

    Args:
        cupy: The library; it is imported by ``initialize`` when absent.
        survey: Reads all cards with NVML.
        host_memory: Reads main memory, which unified parts use.
    """

    backend = "cuda"
    is_hip = False
    library = "cuBLAS"
    install = _INSTALL

    def __init__(
        self,
        cupy: Cupy | None = None,
        *,
        survey: Callable[[], Survey] = read_cards,
        host_memory: Callable[[], HostMemory] = read_memory,
    ) -> None:
        super().__init__(cupy)
        self._survey = survey
        self._host_memory = host_memory

    def _prepare(self) -> None:
        # By default CUDA puts what it takes for the fastest card first.
        os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
        # CuPy reads it at its first product: rounded inputs would not be a 32-bit product.
        os.environ["CUPY_TF32"] = "0"

    def _start_failure(self, runtime: Runtime, status: int | None, words: str) -> Unavailable:
        if status == _OLD_DRIVER:
            return _old_driver(runtime.driverGetVersion(), runtime.runtimeGetVersion())
        unknown = (f"CUDA did not start ({words})", "run nvidia-smi to see why")
        return Unavailable(*_START_FAILURES.get(status or 0, unknown))

    def _cache_bytes(self, runtime: Runtime, index: int, l2_bytes: int) -> int | None:
        del runtime, index
        return l2_bytes or None

    def _uuid(self, runtime: Runtime, index: int, properties: Mapping[str, Any]) -> str | None:
        del runtime, index
        raw = bytes(properties.get("uuid", b""))
        if len(raw) >= _UUID_BYTES:
            return _uuid_text(raw)
        # CuPy ends the bytes at the first that is zero: one card in sixteen has such a one. The
        # rest is known from NVML where only one card begins like that.
        known = raw + b"\0"
        begins = _uuid_text(known.ljust(_UUID_BYTES, b"\0")).replace("-", "")[: 3 + 2 * len(known)]
        uuids = [card.uuid for card in self._survey().cards if card.uuid]
        alike = [uuid for uuid in uuids if uuid.replace("-", "").startswith(begins)]
        return alike[0] if len(alike) == 1 else None

    def _free_bytes(self, index: int) -> int:
        if self.get_device(index).unified_memory:
            # CUDA counts what the system would give up, such as cached files, as taken.
            return self._host_memory().free_bytes
        return super()._free_bytes(index)

    def _reading(self, index: int) -> Reading:
        uuid = self.get_device(index).uuid
        if uuid is None:
            return Reading()
        cards = (card for card in self._survey().cards if card.uuid == uuid)
        return next(map(reading_of, cards), Reading())


def _uuid_text(raw: bytes) -> str:
    return f"GPU-{UUID(bytes=raw[:_UUID_BYTES])}"


def _old_driver(driver: int, needed: int) -> Unavailable:
    if not driver:
        remedy = "install it if this machine has an NVIDIA card"
        return Unavailable("no NVIDIA driver found", remedy)
    known, wanted = f"{driver // 1000}.{driver % 1000 // 10}", needed // 1000
    return Unavailable(
        f"the NVIDIA driver knows CUDA {known} and CuPy is made for CUDA {wanted}",
        f"update the driver, or install cupy-cuda{driver // 1000}x instead",
    )
