"""GPUs and NPUs that Google's LiteRT (once TensorFlow Lite) reaches, on Android and elsewhere.

The processor is left to the cpu driver; ``TfliteDriver(("cpu",))`` runs the same code on it. A GPU
with memory of its own is left to its vendor's driver, because LiteRT does not tell how much that
is: memory here is always the host's.

LiteRT lists no devices. Whether an accelerator is there shows in compiling a model for it alone,
which may crash where its driver does. Only LiteRT's log names the GPU and its kind.

Run against LiteRT 2.3 on a plain processor and on a software GPU (WebGPU on Vulkan). Unverified
on phones, on real GPUs (OpenCL, Metal, Direct3D) and on NPUs.
"""

from __future__ import annotations

from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hgx.drivers._buffers import Buffers, check_size, not_enough
from hgx.drivers._flatmodel import HOLDER_ROW_BYTES, holder, product
from hgx.drivers._host import deliver
from hgx.drivers._litert import LiteRt, Memory, Model, Work, adapter_in, standard_error_kept
from hgx.drivers._product import check as check_product
from hgx.drivers._product import factor
from hgx.drivers.base import (
    Buffer,
    DeviceError,
    DeviceInfo,
    Kernel,
    MemoryInfo,
    OutOfDeviceMemory,
)
from hgx.errors import Unavailable
from hgx.sensors import memory
from hgx.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from numpy.typing import NDArray

_COLUMNS = 4096
_REMEDY = "install the GPU's Vulkan driver or the NPU's LiteRT plugin, if there is one"


def create() -> TfliteDriver:
    """Make the driver; see ``hgx.drivers``."""
    return TfliteDriver()


def absent() -> Unavailable | None:
    """Say whether LiteRT is installed; its predecessor has no way to accelerators."""
    if find_spec("ai_edge_litert") is not None:
        return None
    reason = "LiteRT is not installed"
    if find_spec("tflite_runtime") is not None:
        reason += ", and tflite_runtime, which is, reaches no accelerator"
    return Unavailable(reason, "pip install 'hgx-toolkit[tflite]'")


class _Device(NamedTuple):
    """An accelerator that works.

    Attributes:
        info: What the driver says of it.
        accelerator: LiteRT's name of it.
        fence: A small piece of its memory, which is read when all work before is done.
    """

    info: DeviceInfo
    accelerator: str
    fence: Memory


class TfliteDriver:
    """The accelerators that compile a matrix product, in the order given.

    Args:
        accelerators: LiteRT's names of what to look for: ``gpu``, ``npu``, ``cpu``; one given twice
            is listed twice.
        software: Whether a GPU that is only a program on the processor counts too.
    """

    def __init__(
        self, accelerators: Sequence[str] = ("gpu", "npu"), *, software: bool = False
    ) -> None:
        self._accelerators = tuple(accelerators)
        self._software = software
        self._runtime: LiteRt | None = None
        self._devices: tuple[_Device, ...] = ()
        self._buffers: Buffers[Memory] = Buffers()

    def initialize(self) -> None:
        """Load LiteRT and try each accelerator."""
        if self._runtime is not None:
            return
        devices: list[_Device] = []
        missing: list[str] = []
        with standard_error_kept() as log:
            runtime = LiteRt()
            for accelerator in self._accelerators:
                found = self._try(runtime, len(devices), accelerator, log)
                if isinstance(found, _Device):
                    devices.append(found)
                else:
                    missing.append(found)
        if not devices:
            raise Unavailable(f"LiteRT finds {' and '.join(missing)}", _REMEDY)
        self._runtime, self._devices = runtime, tuple(devices)

    def shutdown(self) -> None:
        """Free all buffers and let go of LiteRT, which ends with the last reference."""
        self._buffers.clear()
        self._devices = ()
        self._runtime = None

    def list_devices(self) -> tuple[DeviceInfo, ...]:
        """Return all accelerators that work."""
        self._running()
        return tuple(device.info for device in self._devices)

    def get_device(self, index: int) -> DeviceInfo:
        """Describe one."""
        return self._device(index).info

    def allocate(self, index: int, size_bytes: int) -> Buffer:
        """Reserve memory: the input of a model that is never run."""
        self._device(index)
        check_size(size_bytes)
        rows = -(-size_bytes // HOLDER_ROW_BYTES)
        _need(index, rows * HOLDER_ROW_BYTES)
        with _too_large(index, size_bytes):
            (content,) = self._compile(index, holder(rows)).inputs()
            # Only what was written to counts as used, and so is not promised once more.
            content.write(np.zeros(rows * HOLDER_ROW_BYTES, np.uint8))
        return self._buffers.add(index, size_bytes, content)

    def deallocate(self, buffer: Buffer) -> None:
        """Give memory back."""
        self._device(buffer.index)
        self._buffers.remove(buffer).free()

    def copy_to_device(self, data: bytes, buffer: Buffer, offset_bytes: int = 0) -> None:
        """Copy bytes into a buffer; what is before them is read and written again."""
        content = self._part(buffer, offset_bytes, len(data))
        new = np.frombuffer(data, np.uint8)
        content.write(np.concatenate((content.read(offset_bytes), new)) if offset_bytes else new)

    def copy_from_device(
        self,
        buffer: Buffer,
        size_bytes: int | None = None,
        offset_bytes: int = 0,
        *,
        into: bytearray | memoryview | None = None,
    ) -> bytes:
        """Copy bytes out of a buffer; what is before them is read too."""
        size = buffer.size_bytes - offset_bytes if size_bytes is None else size_bytes
        content = self._part(buffer, offset_bytes, size)
        return deliver(content.read(offset_bytes + size)[offset_bytes:], into)

    def copy_device_to_device(self, source: Buffer, target: Buffer) -> None:
        """Copy one buffer to the beginning of another, by way of the host."""
        content = self._content(source)
        self._part(target, 0, source.size_bytes).write(content.read(source.size_bytes))

    def synchronize(self, index: int) -> None:
        """Wait until a small buffer can be read, which is after all work before."""
        self._device(index).fence.read(1)

    def memory_info(self, index: int) -> MemoryInfo:
        """Read the host's memory, which the accelerator shares."""
        self._device(index)
        return MemoryInfo(*memory.read_memory())

    def temperature(self, index: int) -> float | None:
        """Say that LiteRT does not tell it."""
        self._device(index)

    def power(self, index: int) -> float | None:
        """Say that LiteRT does not tell it."""
        self._device(index)

    def clock(self, index: int) -> float | None:
        """Say that LiteRT does not tell it."""
        self._device(index)

    def matmul_types(self, index: int) -> tuple[str, ...]:
        """Name the one type whose products are computed and checked in full precision."""
        self._device(index)
        return ("float32",)

    @contextmanager
    def read_bandwidth(self, index: int, size_bytes: int) -> Generator[Kernel]:
        """Multiply a matrix by a vector, as a model does for each token: it is read once."""
        self._device(index)
        columns = min(_COLUMNS, max(1, size_bytes // 4))
        rows = size_bytes // 4 // columns
        size = 4 * rows * columns
        _need(index, 2 * size)  # on the device, and here until it is there
        with _too_large(index, size):
            work = self._work(index, np.ones((rows, columns), "f4"), np.ones((columns, 1), "f4"))

        def check() -> None:
            # Ones have a sum that is exact in any order.
            if not np.all(work.result() == columns):
                msg = f"tflite:{index} read wrong numbers from memory: update its driver"
                raise DeviceError(msg)

        method = f"{format_bytes(size)} float32 matrix times a vector (LiteRT)"
        yield Kernel(size, work.run, check, method)

    @contextmanager
    def matmul(self, index: int, dtype: str, side: int) -> Generator[Kernel]:
        """Let LiteRT multiply."""
        if dtype not in self.matmul_types(index):
            msg = f"tflite:{index} does not multiply {dtype}: use float32"
            raise DeviceError(msg)
        _need(index, 5 * 4 * side**2)  # three on the device, and two here until they are there
        left, right = factor(side, 0), factor(side, 1)
        with _too_large(index, 3 * 4 * side**2):
            work = self._work(index, left, right)
        known = left @ right.sum(axis=1)
        del left, right

        def check() -> None:
            sums = work.result().reshape(side, side).sum(axis=1)
            check_product(f"tflite:{index}", dtype, sums, known)

        method = f"{side} x {side} float32 product (LiteRT)"
        yield Kernel(2 * side**3, work.run, check, method)

    def _try(
        self, runtime: LiteRt, index: int, accelerator: str, log: Callable[[], str]
    ) -> _Device | str:
        """Try whether an accelerator multiplies; say in words what there is instead if not."""
        try:
            (fence, _) = runtime.compile(product(8, 8, 8), accelerator).inputs()
            fence.read(1)
        except DeviceError:
            return f"no {accelerator.upper()}"
        adapter = adapter_in(log()) if accelerator == "gpu" else None
        name, kind = adapter or (f"{accelerator.upper()} (LiteRT)", "")
        if kind.startswith("CPU") and not self._software:
            return f"a GPU that is a program on the processor ({name})"
        if kind.startswith("Discrete"):
            return f"a GPU with memory of its own, which its vendor's driver serves ({name})"
        shared = True if kind.startswith("Integrated") else None
        info = DeviceInfo(index, name, memory.read_memory().total_bytes, unified_memory=shared)
        return _Device(info, accelerator, fence)

    def _running(self) -> LiteRt:
        if self._runtime is None:
            msg = "the tflite driver is not initialized: call initialize first"
            raise DeviceError(msg)
        return self._runtime

    def _device(self, index: int) -> _Device:
        self._running()
        if not 0 <= index < len(self._devices):
            msg = f"there is no device tflite:{index}: the last one is {len(self._devices) - 1}"
            raise DeviceError(msg)
        return self._devices[index]

    def _compile(self, index: int, model: bytes) -> Model:
        return self._running().compile(model, self._device(index).accelerator)

    def _work(self, index: int, left: NDArray[np.float32], right: NDArray[np.float32]) -> Work:
        (rows, inner), columns = left.shape, right.shape[1]
        model = self._compile(index, product(rows, inner, columns))
        return Work(model, (left, right), fence=self._device(index).fence)

    def _content(self, buffer: Buffer) -> Memory:
        self._device(buffer.index)
        return self._buffers.content(buffer)

    def _part(self, buffer: Buffer, offset: int, size: int) -> Memory:
        self._device(buffer.index)
        return self._buffers.content_with(buffer, offset, size)


def _need(index: int, size_bytes: int) -> None:
    """Refuse what does not fit: the system would promise it, and end us using it."""
    free = memory.read_memory().free_bytes
    if size_bytes > free:
        raise not_enough(f"tflite:{index}", free, size_bytes)


@contextmanager
def _too_large(index: int, size_bytes: int) -> Generator[None]:
    """Tell a failure as one of size: small models were tried when the device was found."""
    try:
        yield
    except DeviceError as error:
        msg = f"tflite:{index} does not take {format_bytes(size_bytes)} ({error}): ask for less"
        raise OutOfDeviceMemory(msg) from error
