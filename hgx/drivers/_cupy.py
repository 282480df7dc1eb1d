"""What the drivers of NVIDIA's and AMD's cards share: CuPy, whose two builds have the same names.

Memory is taken from the runtime itself, so that what is given back is free for others at once.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from importlib import import_module, metadata, util
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from hgx.drivers import _cupy_kernels as kernels
from hgx.drivers._buffers import Buffers, check_size, not_enough
from hgx.drivers._host import room
from hgx.drivers.base import (
    Buffer,
    DeviceError,
    DeviceInfo,
    Kernel,
    MemoryInfo,
    OutOfDeviceMemory,
)
from hgx.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from hgx.core.reading import Reading
    from hgx.drivers._cupy_api import Cupy, Runtime

OUT_OF_MEMORY = 2  # cudaErrorMemoryAllocation, hipErrorOutOfMemory
NO_DEVICE = 100  # cudaErrorNoDevice, hipErrorNoDevice
_TO_DEVICE, _FROM_DEVICE = 1, 2  # cudaMemcpyKind, hipMemcpyKind
_TYPES = ("float32", "float16", "float64")


def installed(build: str) -> bool:
    """Tell whether a CuPy of that build is installed, without loading it.

    Args:
        build: How the names of its packages begin, ``cupy-cuda`` or ``cupy-rocm``. A package that
            is just ``cupy`` was built from source or for conda and may be of either.
    """
    if util.find_spec("cupy") is None:
        return False
    names = {str(found.name).lower().replace("_", "-") for found in metadata.distributions()}
    return any(name == "cupy" or name.startswith(build) for name in names)


class CupyDriver:
    """A driver on CuPy; a backend adds what its cards, errors and sensors have of their own.

    Args:
        cupy: The library; it is imported by ``initialize`` when absent.
    """

    backend: ClassVar[str]
    is_hip: ClassVar[bool]
    library: ClassVar[str]
    install: ClassVar[str]

    def __init__(self, cupy: Cupy | None = None) -> None:
        self._given = cupy
        self._cupy: Cupy | None = None
        self._devices: tuple[DeviceInfo, ...] = ()
        self._buffers: Buffers[int] = Buffers()

    def initialize(self) -> None:
        """Import CuPy and look at all devices."""
        if self._cupy is not None:
            return
        self._prepare()
        cupy = self._given or self._load()
        runtime = cupy.cuda.runtime
        if bool(runtime.is_hip) != self.is_hip:
            reason = f"the CuPy that is installed is not made for {self.backend}"
            raise Unavailable(reason, f"uninstall it, and {self.install}")
        try:
            devices = tuple(self._describe(runtime, n) for n in range(runtime.getDeviceCount()))
        except RuntimeError as error:  # the root of all errors of the vendor's libraries
            words = _first_line(error)
            raise self._start_failure(runtime, _status(error), words) from error
        if not devices:
            raise self._start_failure(runtime, NO_DEVICE, "no device")
        self._cupy, self._devices = cupy, devices

    def shutdown(self) -> None:
        """Free all buffers."""
        if self._cupy is None:
            return
        for buffer in self._buffers:
            with suppress(DeviceError):  # of a card that is gone there is nothing to give back
                self.deallocate(buffer)
        self._cupy, self._devices = None, ()

    def list_devices(self) -> tuple[DeviceInfo, ...]:
        """Return all devices in the runtime's order."""
        self._loaded()
        return self._devices

    def get_device(self, index: int) -> DeviceInfo:
        """Return one device."""
        self._loaded()
        if not 0 <= index < len(self._devices):
            names = ", ".join(f"{self.backend}:{device.index}" for device in self._devices)
            msg = f"there is no device {self.backend}:{index}: use one of {names}"
            raise DeviceError(msg)
        return self._devices[index]

    def allocate(self, index: int, size_bytes: int) -> Buffer:
        """Reserve memory of a card."""
        self.get_device(index)
        check_size(size_bytes)
        self._make_sure_of(index, size_bytes)
        with self._on(index) as cupy:
            address = cupy.cuda.runtime.malloc(size_bytes)
        return self._buffers.add(index, size_bytes, address)

    def deallocate(self, buffer: Buffer) -> None:
        """Give memory back."""
        self._loaded()
        address = self._buffers.remove(buffer)
        with self._on(buffer.index) as cupy:
            cupy.cuda.runtime.free(address)

    def copy_to_device(self, data: bytes, buffer: Buffer, offset_bytes: int = 0) -> None:
        """Copy bytes into a buffer."""
        address = self._address(buffer, offset_bytes, len(data))
        if data:
            source = np.frombuffer(data, np.uint8)
            with self._on(buffer.index) as cupy:
                cupy.cuda.runtime.memcpy(address, source.ctypes.data, len(data), _TO_DEVICE)

    def copy_from_device(
        self,
        buffer: Buffer,
        size_bytes: int | None = None,
        offset_bytes: int = 0,
        *,
        into: bytearray | memoryview | None = None,
    ) -> bytes:
        """Copy bytes out of a buffer."""
        size = buffer.size_bytes - offset_bytes if size_bytes is None else size_bytes
        address = self._address(buffer, offset_bytes, size)
        target = np.empty(size, np.uint8) if into is None else room(into, size)
        if size:
            with self._on(buffer.index) as cupy:
                cupy.cuda.runtime.memcpy(target.ctypes.data, address, size, _FROM_DEVICE)
        return target.tobytes() if into is None else b""

    def copy_device_to_device(self, source: Buffer, target: Buffer) -> None:
        """Copy one buffer to the beginning of another, on the same card or another."""
        size = source.size_bytes
        start, end = self._address(source), self._address(target, 0, size)
        with self._on(source.index) as cupy:
            runtime = cupy.cuda.runtime
            if source.index == target.index:
                runtime.memcpy(end, start, size, kernels.ON_DEVICE)
            else:
                runtime.memcpyPeer(end, target.index, start, source.index, size)

    def synchronize(self, index: int) -> None:
        """Wait for the card."""
        with self._on(index) as cupy:
            cupy.cuda.runtime.deviceSynchronize()

    def memory_info(self, index: int) -> MemoryInfo:
        """Read the memory of a card."""
        total = self.get_device(index).memory_total_bytes
        return MemoryInfo(total, min(total, self._free_bytes(index)))

    def temperature(self, index: int) -> float | None:
        """Read the temperature of the chip in °C, as the sensors give it."""
        return self._reading(index).temperature_c

    def power(self, index: int) -> float | None:
        """Read the power in watts, as the sensors give it: of the moment, or else an average."""
        return self._reading(index).power_w

    def clock(self, index: int) -> float | None:
        """Read the clock of the arithmetic units now in hertz, as the sensors give it."""
        return self._reading(index).clock_hz

    def matmul_types(self, index: int) -> tuple[str, ...]:
        """Name the types that the vendor's library multiplies."""
        self.get_device(index)
        return _TYPES

    @contextmanager
    def read_bandwidth(self, index: int, size_bytes: int) -> Generator[Kernel]:
        """Let a card add up numbers."""
        self._make_sure_of(index, size_bytes)
        with kernels.Workplace(self._loaded(), lambda: self._on(index)) as workplace:
            yield kernels.reading(workplace, f"{self.backend}:{index}", size_bytes)

    @contextmanager
    def matmul(self, index: int, dtype: str, side: int) -> Generator[Kernel]:
        """Let the vendor's library multiply."""
        types = self.matmul_types(index)
        if dtype not in types:
            msg = f"{self.backend}:{index} does not multiply {dtype}: use one of {', '.join(types)}"
            raise DeviceError(msg)
        self._make_sure_of(index, 3 * side**2 * np.dtype(dtype).itemsize)
        with kernels.Workplace(self._loaded(), lambda: self._on(index)) as workplace:
            name = f"{self.backend}:{index}"
            yield kernels.multiplying(workplace, name, self.library, dtype, side)

    def _prepare(self) -> None:
        """Set the environment up before the library is loaded."""

    def _start_failure(self, runtime: Runtime, status: int | None, words: str) -> Unavailable:
        """Explain why the runtime did not start, or has no device."""
        raise NotImplementedError

    def _cache_bytes(self, runtime: Runtime, index: int, l2_bytes: int) -> int | None:
        """Return the last-level cache of a card, given its L2 cache."""
        raise NotImplementedError

    def _uuid(self, runtime: Runtime, index: int, properties: Mapping[str, Any]) -> str | None:
        """Return what a card is called wherever it sits."""
        raise NotImplementedError

    def _reading(self, index: int) -> Reading:
        """Read the sensors of a card."""
        raise NotImplementedError

    def _free_bytes(self, index: int) -> int:
        """Read how much memory of a card could be allocated now."""
        with self._on(index) as cupy:
            return cupy.cuda.runtime.memGetInfo()[0]

    def _load(self) -> Cupy:
        try:
            return cast("Cupy", import_module("cupy"))
        # A vendor's library that is missing or broken shows in many ways.
        except (ImportError, OSError, RuntimeError) as error:
            reason = f"CuPy cannot be loaded ({_first_line(error.__cause__ or error)})"
            raise Unavailable(reason, self.install) from error

    def _describe(self, runtime: Runtime, index: int) -> DeviceInfo:
        properties = runtime.getDeviceProperties(index)
        name = bytes(properties["name"]).split(b"\0")[0].decode(errors="replace").strip()
        return DeviceInfo(
            index,
            name or f"{self.backend} device {index}",
            int(properties["totalGlobalMem"]),
            unified_memory=bool(properties["integrated"]),
            uuid=self._uuid(runtime, index, properties),
            cache_bytes=self._cache_bytes(runtime, index, int(properties["l2CacheSize"])),
        )

    def _loaded(self) -> Cupy:
        if self._cupy is None:
            msg = f"the {self.backend} driver is not initialized: call initialize first"
            raise DeviceError(msg)
        return self._cupy

    @contextmanager
    def _on(self, index: int) -> Generator[Cupy]:
        """Make a card the current one, and what fails there an error of ours."""
        self.get_device(index)
        cupy, name = self._loaded(), f"{self.backend}:{index}"
        try:
            with cupy.cuda.Device(index):
                yield cupy
        except cupy.cuda.memory.OutOfMemoryError as error:
            raise _out_of_memory(name) from error
        except ImportError as error:
            msg = f"{self.library} cannot be loaded ({_first_line(error)}): {self.install}"
            raise DeviceError(msg) from error
        except RuntimeError as error:
            if _status(error) == OUT_OF_MEMORY:
                raise _out_of_memory(name) from error
            msg = f"{name} failed ({_first_line(error)}): restart what uses it, or the machine"
            raise DeviceError(msg) from error

    def _make_sure_of(self, index: int, size_bytes: int) -> None:
        """Refuse what does not fit: Windows would lend main memory, unified parts would swap."""
        free = self._free_bytes(index)
        if size_bytes > free:
            raise not_enough(f"{self.backend}:{index}", free, size_bytes)

    def _address(self, buffer: Buffer, offset: int = 0, size: int = 0) -> int:
        """Return where a part of a buffer is."""
        self._loaded()
        return self._buffers.content_with(buffer, offset, size) + offset


def _out_of_memory(name: str) -> OutOfDeviceMemory:
    return OutOfDeviceMemory(f"{name} has no memory left for that: free some, or ask for less")


def _status(error: BaseException) -> int | None:
    status = getattr(error, "status", None)
    return status if isinstance(status, int) else None


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    return next(filter(None, lines), type(error).__name__)
