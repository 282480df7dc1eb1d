"""Any GPU under Windows through DirectML, by way of ONNX Runtime.

Elsewhere the same code runs on ONNX Runtime's processor backend, which is how it is tested; on
DirectML it is unverified. ONNX Runtime gives no access to parts of memory on a device, so a part
is read or written with the whole, and reserving or writing needs as much again for a moment.
There is no documented way to every vendor's temperature, power or clock: they are null.
"""

from __future__ import annotations

import platform
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from hgx.drivers import _dxgi, _ort
from hgx.drivers._buffers import Buffers, check_size, not_enough
from hgx.drivers._host import deliver, room
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
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager

    from hgx.drivers._dxgi import Adapter

_INSTALL = "pip install 'hgx-toolkit[directml]'"
_TYPES = ("float32", "float16")


def create() -> DirectMlDriver:
    """Make the driver; see ``hgx.drivers``."""
    return DirectMlDriver()


def absent() -> Unavailable | None:
    """Say whether this is not Windows, or a package is not installed.

    The packages onnxruntime and onnxruntime-directml are imported by the same name, so it is the
    package that is asked for.
    """
    if platform.system() != "Windows":
        return Unavailable("DirectML is a part of Windows", "use it there")
    try:
        version("onnxruntime-directml")
    except PackageNotFoundError:
        return Unavailable("onnxruntime-directml is not installed", _INSTALL)
    if find_spec("onnx") is None:
        return Unavailable("onnx is not installed", _INSTALL)
    return None


class DirectMlDriver:
    """Each graphics adapter that is not software is a device.

    Args:
        provider: What ONNX Runtime runs the work on; its processor backend is for tests.
        adapters: Lists the adapters, with what is free of their memory now.
    """

    def __init__(
        self,
        provider: str = "DmlExecutionProvider",
        adapters: Callable[[], tuple[Adapter, ...]] = _dxgi.adapters,
    ) -> None:
        self._provider = provider
        self._list = adapters
        self._adapters: tuple[Adapter, ...] | None = None
        self._work: dict[int, _ort.OrtAdapter] = {}
        self._buffers: Buffers[_ort.Array] = Buffers()

    def initialize(self) -> None:
        """Load ONNX Runtime and list the adapters."""
        if self._adapters is not None:
            return
        try:
            providers = _ort.providers()
        except ImportError as error:
            msg = f"ONNX Runtime does not load ({_ort.first_line(error)})"
            raise Unavailable(msg, _INSTALL) from error
        if self._provider not in providers:
            msg = f"the ONNX Runtime that is installed has no {self._provider}"
            remedy = "uninstall onnxruntime and onnxruntime-directml, then install the latter"
            raise Unavailable(msg, remedy)
        try:
            adapters = self._list()
        except OSError as error:
            msg = f"DirectX 12 was not found ({_ort.first_line(error)})"
            raise Unavailable(msg, "update Windows") from error
        if not adapters:
            msg = "Windows lists no graphics adapter with DirectX 12"
            raise Unavailable(msg, "install the driver of the graphics card")
        self._adapters = adapters

    def shutdown(self) -> None:
        """Free all buffers, and then the sessions that keep them."""
        self._buffers.clear()
        self._work.clear()
        self._adapters = None

    def list_devices(self) -> tuple[DeviceInfo, ...]:
        """Return the adapters in the order of Windows."""
        return tuple(map(self.get_device, range(len(self._listed()))))

    def get_device(self, index: int) -> DeviceInfo:
        """Describe an adapter."""
        adapter = self._adapter(index)
        return DeviceInfo(index, adapter.name, adapter.memory_total_bytes, adapter.unified_memory)

    def allocate(self, index: int, size_bytes: int) -> Buffer:
        """Reserve memory of an adapter, by copying zeros to it."""
        self._adapter(index)
        check_size(size_bytes)
        with self._reserving(index, size_bytes, host_bytes=size_bytes):
            content = self._on(index).put(np.zeros(size_bytes, np.uint8))
        return self._buffers.add(index, size_bytes, content)

    def deallocate(self, buffer: Buffer) -> None:
        """Give memory back, as far as ONNX Runtime does not keep it for later buffers."""
        self._adapter(buffer.index)
        self._buffers.remove(buffer)

    def copy_to_device(self, data: bytes, buffer: Buffer, offset_bytes: int = 0) -> None:
        """Copy bytes into a buffer; a part is written with the whole."""
        content = self._part(buffer, offset_bytes, len(data))
        new = np.frombuffer(data, np.uint8)
        with _ort.translating(f"directml:{buffer.index}"):
            adapter = self._on(buffer.index)
            if len(data) < buffer.size_bytes:
                whole = adapter.read(content).copy()
                whole[offset_bytes : offset_bytes + len(data)] = new
                new = whole
            adapter.write(new, content)

    def copy_from_device(
        self,
        buffer: Buffer,
        size_bytes: int | None = None,
        offset_bytes: int = 0,
        *,
        into: bytearray | memoryview | None = None,
    ) -> bytes:
        """Copy bytes out of a buffer; a part is read with the whole."""
        size = buffer.size_bytes - offset_bytes if size_bytes is None else size_bytes
        content = self._part(buffer, offset_bytes, size)
        whole = None if into is None or size < buffer.size_bytes else room(into, size)
        with _ort.translating(f"directml:{buffer.index}"):
            found = self._on(buffer.index).read(content, whole)
        return b"" if whole is not None else deliver(found[offset_bytes:][:size], into)

    def copy_device_to_device(self, source: Buffer, target: Buffer) -> None:
        """Copy one buffer to the beginning of another.

        Only buffers of one adapter and one size are copied there; others go by way of the host.
        """
        content, place = self._content(source), self._part(target, 0, source.size_bytes)
        if (source.index, source.size_bytes) == (target.index, target.size_bytes):
            with _ort.translating(f"directml:{source.index}"):
                self._on(source.index).write(content, place)
        else:
            self.copy_to_device(self.copy_from_device(source), target)

    def synchronize(self, index: int) -> None:
        """Do nothing: every call here waits until its own work is done."""
        self._adapter(index)

    def memory_info(self, index: int) -> MemoryInfo:
        """Read what Windows lets this process use more; null where it does not say."""
        adapter = self._adapter(index)
        now = {other.device_id: other.memory_free_bytes for other in self._list()}
        free, total = now.get(adapter.device_id), adapter.memory_total_bytes
        return MemoryInfo(total, None if free is None else min(free, total))

    def temperature(self, index: int) -> float | None:
        """Return nothing: there is no documented way to it for every vendor."""
        self._adapter(index)

    def power(self, index: int) -> float | None:
        """Return nothing: there is no documented way to it for every vendor."""
        self._adapter(index)

    def clock(self, index: int) -> float | None:
        """Return nothing: there is no documented way to it for every vendor."""
        self._adapter(index)

    def matmul_types(self, index: int) -> tuple[str, ...]:
        """Name the types that DirectML multiplies."""
        self._adapter(index)
        return _TYPES

    @contextmanager
    def read_bandwidth(self, index: int, size_bytes: int) -> Generator[Kernel]:
        """Let the adapter add up rows of ones."""
        sizes = (size_bytes, size_bytes)
        with self._made(index, sizes, lambda: self._on(index).read_kernel(size_bytes)) as made:
            yield made

    @contextmanager
    def matmul(self, index: int, dtype: str, side: int) -> Generator[Kernel]:
        """Let the adapter multiply."""
        if dtype not in self.matmul_types(index):
            msg = f"directml:{index} does not multiply {dtype}: use one of {', '.join(_TYPES)}"
            raise DeviceError(msg)
        # Two factors and the product; on the host in float32 while they are made and checked.
        sizes = (3 * np.dtype(dtype).itemsize * side**2, 3 * 4 * side**2)
        with self._made(index, sizes, lambda: self._on(index).matmul_kernel(dtype, side)) as made:
            yield made

    @contextmanager
    def _made(
        self,
        index: int,
        sizes: tuple[int, int],
        make: Callable[[], AbstractContextManager[Kernel]],
    ) -> Generator[Kernel]:
        size_bytes, host_bytes = sizes
        with ExitStack() as stack:
            with self._reserving(index, size_bytes, host_bytes):
                kernel = stack.enter_context(make())

            def run() -> None:
                with _ort.translating(f"directml:{index}"):
                    kernel.run()

            yield kernel._replace(run=run)

    @contextmanager
    def _reserving(self, index: int, size_bytes: int, host_bytes: int) -> Generator[None]:
        """Refuse before the system is harmed: it would swap, or end this process.

        Args:
            index: The device.
            size_bytes: What it needs of the adapter's memory.
            host_bytes: What it needs of the host's besides, to make what goes there.
        """
        total, free = self.memory_info(index)
        if free is None:
            used = sum(buffer.size_bytes for buffer in self._buffers if buffer.index == index)
            free = max(0, total - used)
        host_free = memory.read_memory().free_bytes
        if self._adapter(index).unified_memory is not False:
            host_bytes += size_bytes  # it is the host's memory too, as far as anyone knows
        if size_bytes > free:
            raise not_enough(f"directml:{index}", free, size_bytes)
        if host_bytes > host_free:
            raise not_enough("this machine", host_free, host_bytes)
        try:
            with _ort.translating(f"directml:{index}"):
                yield
        except MemoryError as error:
            raise not_enough("this machine", host_free, host_bytes) from error

    def _listed(self) -> tuple[Adapter, ...]:
        if self._adapters is None:
            msg = "the directml driver is not initialized: call initialize first"
            raise DeviceError(msg)
        return self._adapters

    def _adapter(self, index: int) -> Adapter:
        adapters = self._listed()
        if not 0 <= index < len(adapters):
            last = len(adapters) - 1
            msg = f"there is no device directml:{index}: the last one is directml:{last}"
            raise DeviceError(msg)
        return adapters[index]

    def _on(self, index: int) -> _ort.OrtAdapter:
        if index not in self._work:
            adapter, where = self._adapter(index), f"directml:{index}"
            self._work[index] = _ort.OrtAdapter(self._provider, adapter.device_id, where)
        return self._work[index]

    def _content(self, buffer: Buffer) -> _ort.Array:
        self._adapter(buffer.index)
        return self._buffers.content(buffer)

    def _part(self, buffer: Buffer, offset: int, size: int) -> _ort.Array:
        self._adapter(buffer.index)
        return self._buffers.content_with(buffer, offset, size)
