"""The runtime's part of CuPy without a card; see ``recorded_cupy``.

It is stricter than the real one: a wrong address, a copy that leaves its memory or a call that is
about another device than the current one is an AssertionError, which no driver takes for its own.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

PROPERTIES = ("totalGlobalMem", "l2CacheSize", "integrated")
"""Numbers that a recording has of each device."""


class RecordedError(RuntimeError):
    """``CUDARuntimeError``: a code, and the words that belong to it."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class RecordedRuntime:
    """``cupy.cuda.runtime``; the current device is None outside of ``cupy.cuda.Device``."""

    CUDARuntimeError = RecordedError

    def __init__(self, recording: Mapping[str, Any]) -> None:
        self.recording = recording
        self.is_hip: bool = recording["is_hip"]
        self.current: int | None = None
        self.memory: dict[int, tuple[int, NDArray[np.uint8]]] = {}
        self.waited = 0

    def fail(self, call: str) -> None:
        """Raise what is recorded for a call, if it failed."""
        if call in self.recording["errors"]:
            raise RecordedError(*self.recording["errors"][call])

    def driverGetVersion(self) -> int:  # noqa: N802 - the library's name
        """Return the driver's version."""
        return self.recording["driver_version"]

    def runtimeGetVersion(self) -> int:  # noqa: N802 - the library's name
        """Return the runtime's version."""
        return self.recording["runtime_version"]

    def getDeviceCount(self) -> int:  # noqa: N802 - the library's name
        """Count devices."""
        self.fail("getDeviceCount")
        return len(self.recording["devices"])

    def getDeviceProperties(self, device: int, /) -> dict[str, Any]:  # noqa: N802 - the library's name
        """Describe a device; NVIDIA's have an identity."""
        self.fail("getDeviceProperties")
        recorded = self.recording["devices"][device]
        properties = {name: recorded[name] for name in PROPERTIES}
        properties["name"] = recorded["name"].encode()
        if "uuid" in recorded:
            properties["uuid"] = bytes.fromhex(recorded["uuid"])
        return properties

    def deviceGetPCIBusId(self, device: int, /) -> str:  # noqa: N802 - the library's name
        """Return where a device sits."""
        return self.recording["devices"][device]["pci_bus_id"]

    def deviceSynchronize(self) -> None:  # noqa: N802 - the library's name
        """Count that somebody waited: all work is done at once."""
        assert self.current is not None
        self.waited += 1

    def memGetInfo(self) -> tuple[int, int]:  # noqa: N802 - the library's name
        """Return what was free, less what was taken since."""
        self.fail("memGetInfo")
        assert self.current is not None
        recorded = self.recording["devices"][self.current]
        taken = sum(held.size for device, held in self.memory.values() if device == self.current)
        return recorded["free_bytes"] - taken, recorded["totalGlobalMem"]

    def malloc(self, size: int, /) -> int:
        """Take main memory, if the card would have so much."""
        if size > self.memGetInfo()[0]:
            self.fail("malloc")
        assert self.current is not None
        content = np.full(size, 0xA5, np.uint8)
        self.memory[content.ctypes.data] = (self.current, content)
        return content.ctypes.data

    def free(self, ptr: int, /) -> None:
        """Give it back."""
        self.fail("free")
        assert self.memory[ptr][0] == self.current
        del self.memory[ptr]

    def memset(self, ptr: int, value: int, size: int, /) -> None:
        """Set all bytes to a value."""
        self._inside(ptr, size, self.current)
        ctypes.memset(ptr, value, size)

    def memcpy(self, dst: int, src: int, size: int, kind: int, /) -> None:
        """Copy from the host, to it, or on the current device."""
        self.fail("memcpy")
        assert kind in {1, 2, 3}
        if kind in {1, 3}:
            self._inside(dst, size, self.current)
        if kind in {2, 3}:
            self._inside(src, size, self.current)
        ctypes.memmove(dst, src, size)

    def memcpyPeer(  # noqa: N802 - the library's name
        self, dst: int, dst_device: int, src: int, src_device: int, size: int, /
    ) -> None:
        """Copy between devices."""
        self._inside(dst, size, dst_device)
        self._inside(src, size, src_device)
        ctypes.memmove(dst, src, size)

    def _inside(self, start: int, size: int, device: int | None) -> None:
        assert device is not None
        assert any(
            place == device and at <= start and start + size <= at + held.size
            for at, (place, held) in self.memory.items()
        )
