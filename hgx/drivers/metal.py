"""GPUs of Apple's chips through MLX, and their neural engine through Core ML.

On anything but a Mac the same code runs on MLX's processor backend, which is how it is tested;
on a real GPU, and so with a GPU's memory limits, it is unverified. Apple documents no way to read
temperature, power or clock of these devices without being root: they are null.

Memory is shared by all devices and the host, so a buffer is a view of numpy's on memory that MLX
or numpy reserved, and copies are plain: nothing is left to be evaluated later.
"""

from __future__ import annotations

import platform
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

import numpy as np

from hgx.drivers import _coreml
from hgx.drivers._buffers import Buffers, check_size, not_enough
from hgx.drivers._host import deliver
from hgx.drivers._mlx import Mlx
from hgx.drivers.base import (
    Buffer,
    DeviceError,
    DeviceInfo,
    Kernel,
    MemoryInfo,
)
from hgx.errors import Unavailable
from hgx.sensors import memory

if TYPE_CHECKING:
    from collections.abc import Generator
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

_TYPES = ("float32", "float16", "bfloat16")
_GPU = 0


def create() -> MetalDriver:
    """Make the driver; see ``hgx.drivers``."""
    return MetalDriver(neural=_coreml.compiled if _coreml.installed() else None)


def absent() -> Unavailable | None:
    """Say whether this is no Apple chip under macOS, or MLX is not installed."""
    if (platform.system(), platform.machine()) != ("Darwin", "arm64"):
        return Unavailable("Metal is there on Apple's own chips only", "use it on such a Mac")
    if find_spec("mlx") is None:
        return Unavailable("MLX is not installed", "pip install 'hgx-toolkit[metal]'")
    return None


class MetalDriver:
    """Device 0 is the GPU; device 1 is the neural engine, where there is a way to it.

    Args:
        device: What MLX computes on; the processor is for tests.
        neural: Makes programs for the neural engine; absent where there is none.
    """

    def __init__(
        self, device: Literal["gpu", "cpu"] = "gpu", neural: _coreml.Compile | None = None
    ) -> None:
        self._kind = device
        self._neural = neural
        self._mlx: Mlx | None = None
        self._buffers: Buffers[NDArray[np.uint8]] = Buffers()

    def initialize(self) -> None:
        """Load MLX."""
        if self._mlx is not None:
            return
        try:
            mlx = Mlx(self._kind)
        except ImportError as error:
            reason = (str(error) or "no reason given").splitlines()[0]
            msg = f"MLX does not load ({reason})"
            raise Unavailable(msg, "pip install 'hgx-toolkit[metal]'") from error
        if self._kind == "gpu" and not mlx.has_metal:
            raise Unavailable("MLX finds no Metal here", "use it on a Mac with an Apple chip")
        self._mlx = mlx

    def shutdown(self) -> None:
        """Free all buffers, and what MLX kept for later ones."""
        self._buffers.clear()
        if self._mlx is not None:
            self._mlx.clear()
        self._mlx = None

    def list_devices(self) -> tuple[DeviceInfo, ...]:
        """Return the GPU, and the neural engine where there is a way to it."""
        self._checked(_GPU)
        return tuple(map(self.get_device, self._indices()))

    def get_device(self, index: int) -> DeviceInfo:
        """Describe a device; memory is what Apple recommends to use of the machine's."""
        mlx = self._checked(index)
        name = mlx.name() if index == _GPU else _coreml.NAME
        return DeviceInfo(index, name, self._total(index), unified_memory=True)

    def allocate(self, index: int, size_bytes: int) -> Buffer:
        """Reserve memory; zeros are written to it, so that it is really there."""
        mlx = self._checked(index)
        check_size(size_bytes)
        with self._reserving(index, size_bytes):
            reserve = mlx.reserve if index == _GPU else _reserve
            content = reserve(size_bytes)
        return self._buffers.add(index, size_bytes, content)

    def deallocate(self, buffer: Buffer) -> None:
        """Give memory back, to the system too."""
        mlx = self._checked(buffer.index)
        self._buffers.remove(buffer)
        mlx.clear()

    def copy_to_device(self, data: bytes, buffer: Buffer, offset_bytes: int = 0) -> None:
        """Copy bytes into a buffer."""
        self._part(buffer, offset_bytes, len(data))[:] = np.frombuffer(data, dtype=np.uint8)

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
        return deliver(self._part(buffer, offset_bytes, size), into)

    def copy_device_to_device(self, source: Buffer, target: Buffer) -> None:
        """Copy one buffer to the beginning of another."""
        content = self._content(source)
        self._part(target, 0, source.size_bytes)[:] = content

    def synchronize(self, index: int) -> None:
        """Wait for the GPU; Core ML answers only when it is done."""
        self._checked(index).synchronize()

    def memory_info(self, index: int) -> MemoryInfo:
        """Read what is free of the machine's memory, within what Apple recommends to use."""
        mlx = self._checked(index)
        total, free = self._total(index), memory.read_memory().free_bytes
        if index == _GPU:
            free = min(free, total - mlx.used_bytes())
        return MemoryInfo(total, max(0, free))

    def temperature(self, index: int) -> float | None:
        """Return nothing: Apple documents no way to it."""
        self._checked(index)
        return None

    def power(self, index: int) -> float | None:
        """Return nothing: Apple documents no way to it for others than root."""
        self._checked(index)
        return None

    def clock(self, index: int) -> float | None:
        """Return nothing: Apple documents no way to it for others than root."""
        self._checked(index)
        return None

    def matmul_types(self, index: int) -> tuple[str, ...]:
        """Name the types; the neural engine has no other than float16."""
        self._checked(index)
        return _TYPES if index == _GPU else ("float16",)

    @contextmanager
    def read_bandwidth(self, index: int, size_bytes: int) -> Generator[Kernel]:
        """Let the GPU add up rows of ones, or the neural engine read layers of weights."""
        mlx, where = self._checked(index), f"metal:{index}"
        if index == _GPU or self._neural is None:
            making = mlx.read_kernel(where, size_bytes)
            needed = size_bytes
        else:
            making = _coreml.read_kernel(where, size_bytes, self._neural)
            needed = _coreml.COPIES * size_bytes
        with self._made(index, needed, making) as kernel:
            yield kernel

    @contextmanager
    def matmul(self, index: int, dtype: str, side: int) -> Generator[Kernel]:
        """Let MLX or Core ML multiply."""
        types = self.matmul_types(index)
        where = f"metal:{index}"
        if dtype not in types:
            msg = f"{where} does not multiply {dtype}: use one of {', '.join(types)}"
            raise DeviceError(msg)
        if index == _GPU or self._neural is None:
            making = self._checked(index).matmul_kernel(where, dtype, side)
        else:
            making = _coreml.matmul_kernel(where, side, self._neural)
        # Two factors and the product, or a factor while it is made; and some for MLX to keep.
        with self._made(index, 4 * 4 * side**2, making) as kernel:
            yield kernel

    @contextmanager
    def _made(
        self, index: int, size_bytes: int, making: AbstractContextManager[Kernel]
    ) -> Generator[Kernel]:
        with ExitStack() as stack:
            with self._reserving(index, size_bytes):
                kernel = stack.enter_context(making)
            yield kernel

    @contextmanager
    def _reserving(self, index: int, size_bytes: int) -> Generator[None]:
        """Refuse before the system is harmed: it would swap, or end this process."""
        free = self.memory_info(index).free_bytes or 0
        if size_bytes > free:
            raise not_enough(f"metal:{index}", free, size_bytes)
        try:
            yield
        except (MemoryError, RuntimeError) as error:  # MLX raises the latter
            raise not_enough(f"metal:{index}", free, size_bytes) from error

    def _checked(self, index: int) -> Mlx:
        if self._mlx is None:
            msg = "the metal driver is not initialized: call initialize first"
            raise DeviceError(msg)
        last = self._indices()[-1]
        if not 0 <= index <= last:
            msg = f"there is no device metal:{index}: the last one is metal:{last}"
            raise DeviceError(msg)
        return self._mlx

    def _indices(self) -> range:
        return range(1 if self._neural is None else 2)

    def _total(self, index: int) -> int:
        limit = self._checked(index).limit_bytes() if index == _GPU else None
        return memory.read_memory().total_bytes if limit is None else limit

    def _content(self, buffer: Buffer) -> NDArray[np.uint8]:
        self._checked(buffer.index)
        return self._buffers.content(buffer)

    def _part(self, buffer: Buffer, offset: int, size: int) -> NDArray[np.uint8]:
        self._checked(buffer.index)
        return self._buffers.content_with(buffer, offset, size)[offset : offset + size]


def _reserve(size_bytes: int) -> NDArray[np.uint8]:
    return np.full(size_bytes, 0, np.uint8)
