"""The parts of CuPy that hgx uses, as types: CuPy is not installed where hgx is checked.

Names, arguments and results are those of CuPy 14.2; the same functions call HIP in a CuPy made for
ROCm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    import numpy as np
    from numpy.typing import NDArray


class Pointer(Protocol):
    """Memory that an array is in."""

    @property
    def ptr(self) -> int:
        """Its address."""
        ...


class Array(Protocol):
    """An array on a device, ``cupy.ndarray``."""

    @property
    def data(self) -> Pointer:
        """Its memory."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Its size in each dimension."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """What its elements are."""
        ...

    def __getitem__(self, part: slice, /) -> Array:
        """Return some of its rows, without a copy."""
        ...

    def set(self, arr: NDArray[Any]) -> None:
        """Copy an array of the host into it."""
        ...

    def get(self) -> NDArray[Any]:
        """Copy it to the host."""
        ...


class Runtime(Protocol):
    """``cupy.cuda.runtime``: CUDA's or HIP's runtime; calls are about the current device."""

    @property
    def CUDARuntimeError(self) -> type[Exception]:  # noqa: N802 - the library's name
        """What a call raises that fails; it carries the code as ``status``."""
        ...

    @property
    def is_hip(self) -> bool:
        """Whether this CuPy was made for ROCm."""
        ...

    def driverGetVersion(self) -> int:  # noqa: N802 - the library's name
        """Return 1000 x major + 10 x minor of the newest CUDA the driver knows; 0 without one."""
        ...

    def runtimeGetVersion(self) -> int:  # noqa: N802 - the library's name
        """Return the same of the runtime that CuPy was made with."""
        ...

    def getDeviceCount(self) -> int:  # noqa: N802 - the library's name
        """Count devices; on NVIDIA's runtime none is an error."""
        ...

    def getDeviceProperties(self, device: int, /) -> Mapping[str, Any]:  # noqa: N802 - the library's name
        """Describe a device."""
        ...

    def deviceGetPCIBusId(self, device: int, /) -> str:  # noqa: N802 - the library's name
        """Return where it sits: ``0000:01:00.0``."""
        ...

    def deviceSynchronize(self) -> object:  # noqa: N802 - the library's name
        """Wait for all its work."""
        ...

    def memGetInfo(self) -> tuple[int, int]:  # noqa: N802 - the library's name
        """Return free and total memory in bytes."""
        ...

    def malloc(self, size: int, /) -> int:
        """Reserve memory and return its address."""
        ...

    def free(self, ptr: int, /) -> object:
        """Give memory back."""
        ...

    def memset(self, ptr: int, value: int, size: int, /) -> object:
        """Set all bytes to a value."""
        ...

    def memcpy(self, dst: int, src: int, size: int, kind: int, /) -> object:
        """Copy; the kind is 1 to the device, 2 from it, 3 on it (cudaMemcpyKind)."""
        ...

    def memcpyPeer(  # noqa: N802 - the library's name
        self, dst: int, dst_device: int, src: int, src_device: int, size: int, /
    ) -> object:
        """Copy from one device to another."""
        ...


class MemoryErrors(Protocol):
    """``cupy.cuda.memory``."""

    @property
    def OutOfMemoryError(self) -> type[Exception]:  # noqa: N802 - the library's name
        """What an array raises that does not fit."""
        ...


class Pool(Protocol):
    """``cupy.cuda.MemoryPool``: memory that arrays are in, kept for the next ones."""

    def malloc(self, size: int, /) -> Pointer:
        """Take memory from it, or from the current device."""
        ...

    def free_all_blocks(self) -> object:
        """Give back to the current device what no array is in."""
        ...


class Cub(Protocol):
    """``cupy.cuda.cub``: NVIDIA's CUB or hipCUB, compiled into CuPy."""

    @property
    def CUPY_CUB_SUM(self) -> int:  # noqa: N802 - the library's name
        """The sum, as an operation."""
        ...

    def device_reduce(
        self, x: Array, op: int, reduce_axis: tuple[int, ...], out_axis: tuple[int, ...], /
    ) -> Array:
        """Reduce an array of at most 2^31 - 1 elements to one of its own type."""
        ...


class Cuda(Protocol):
    """``cupy.cuda``."""

    @property
    def runtime(self) -> Runtime:
        """The runtime itself."""
        ...

    @property
    def memory(self) -> MemoryErrors:
        """Memory of arrays."""
        ...

    @property
    def cub(self) -> Cub:
        """Reductions."""
        ...

    def Device(self, device: int, /) -> AbstractContextManager[object]:  # noqa: N802 - the library's name
        """Make a device the current one."""
        ...

    def MemoryPool(self) -> Pool:  # noqa: N802 - the library's name
        """Make a pool."""
        ...

    def using_allocator(
        self, allocator: Callable[[int], Pointer], /
    ) -> AbstractContextManager[object]:
        """Let new arrays of this thread take their memory from there."""
        ...


class Cupy(Protocol):
    """``cupy``."""

    @property
    def cuda(self) -> Cuda:
        """Devices."""
        ...

    @property
    def __version__(self) -> str:
        """CuPy's version."""
        ...

    def empty(self, shape: tuple[int, ...], dtype: str) -> Array:
        """Make an array of undefined content."""
        ...

    def matmul(self, x1: Array, x2: Array, /, *, out: Array) -> object:
        """Multiply two matrices into a third."""
        ...
