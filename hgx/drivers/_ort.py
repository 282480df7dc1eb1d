"""The parts of ONNX Runtime that the DirectML driver uses, on one adapter.

ONNX Runtime's Python functions that make or fill memory of a device directly know only the first
adapter, and its allocators call every adapter number 0. So all memory here comes from sessions of
the adapter's own: what is bound to a session is copied to its adapter, and what is bound as output
stays there. Memory of one session is of no use in another, so one session keeps all buffers.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from hgx.drivers import _onnx, _product
from hgx.drivers.base import DeviceError, Kernel, OutOfDeviceMemory
from hgx.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from numpy.typing import NDArray

PROCESSOR = "CPUExecutionProvider"
_MEMORY = {"DmlExecutionProvider": "dml", PROCESSOR: "cpu"}
_WIDTH = 1 << 16


def providers() -> tuple[str, ...]:
    """Name what the installed ONNX Runtime can run on.

    Raises:
        ImportError: It is not installed, or does not load.
    """
    runtime: Any = import_module("onnxruntime")
    return tuple(runtime.get_available_providers())


class Array:
    """Bytes on an adapter; only the session that made them can use them.

    Args:
        value: ONNX Runtime's handle.
    """

    def __init__(self, value: object) -> None:
        self.value = value


class OrtAdapter:
    """One adapter; nothing is loaded before it is used.

    Args:
        provider: ONNX Runtime's name of what runs the work.
        device_id: The adapter's number.
        where: The device, for messages.
    """

    def __init__(self, provider: str, device_id: int, where: str) -> None:
        self._provider = provider
        self._device_id = device_id
        self._where = where
        self._runtime: Any = import_module("onnxruntime")

    def put(self, content: NDArray[np.uint8]) -> Array:
        """Copy bytes of the host to new memory of the adapter."""
        binding = self._copying.io_binding()
        binding.bind_cpu_input("x", content)
        binding.bind_output("y", _MEMORY[self._provider], 0)
        self._run(self._copying, binding)
        return Array(binding.get_outputs()[0])

    def write(self, content: NDArray[np.uint8] | Array, target: Array) -> None:
        """Copy bytes of the host or of this adapter to memory that holds as many."""
        binding = self._copying.io_binding()
        if isinstance(content, Array):
            binding.bind_ortvalue_input("x", content.value)
        else:
            binding.bind_cpu_input("x", content)
        binding.bind_ortvalue_output("y", target.value)
        self._run(self._copying, binding)

    def read(self, source: Array, target: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """Copy memory of the adapter to the host: to as many bytes there, or to new memory."""
        binding = self._copying.io_binding()
        binding.bind_ortvalue_input("x", source.value)
        if target is None:
            binding.bind_output("y", "cpu")
        else:
            where = (target.shape, target.ctypes.data)
            binding.bind_output("y", "cpu", 0, np.uint8, *where)
        self._run(self._copying, binding)
        return binding.copy_outputs_to_cpu()[0] if target is None else target

    @contextmanager
    def read_kernel(self, size_bytes: int) -> Generator[Kernel]:
        """Prepare to add up rows of ones; what does not fill a row of 256 KiB is left out."""
        width = max(1, min(_WIDTH, size_bytes // 4))
        rows = max(1, size_bytes // (4 * width))
        method = f"sum of each row of {format_bytes(4 * rows * width)}"
        ones = np.ones((rows, width), np.float32)

        def check(sums: NDArray[Any]) -> None:
            # A row's sum is below 2^24 and so exact, in whatever order it was added up.
            if not (sums == width).all():
                msg = f"{self._where} read wrong numbers from memory: test its memory"
                raise DeviceError(msg)

        with self._bound(_onnx.summing(rows, width), {"x": ones}, check) as (run, judge):
            yield Kernel(4 * rows * width, run, judge, self._by(method))

    @contextmanager
    def matmul_kernel(self, dtype: str, side: int) -> Generator[Kernel]:
        """Prepare the product of two square matrices; both are bound once."""
        left, right = (
            _product.factor(side, seed).astype(dtype, copy=False) for seed in (side, side + 1)
        )
        known = left.astype(np.float32, copy=False) @ right.sum(axis=1, dtype=np.float32)
        model, inputs = _onnx.multiplying(dtype, side), {"a": left, "b": right}
        method = f"{side} x {side} {dtype} product"

        def check(product: NDArray[Any]) -> None:
            _product.check(self._where, dtype, product.sum(axis=1, dtype=np.float32), known)

        with self._bound(model, inputs, check) as (run, judge):
            yield Kernel(2 * side**3, run, judge, self._by(method))

    @contextmanager
    def _bound(
        self,
        model: bytes,
        inputs: Mapping[str, NDArray[Any]],
        check: Callable[[NDArray[Any]], None],
    ) -> Generator[tuple[Callable[[], None], Callable[[], None]]]:
        """Yield what runs a model on inputs that are on the adapter, and what checks its output."""
        session = self._session(model, whole=True)
        bindings = [session.io_binding()]
        for name, content in inputs.items():
            bindings[0].bind_cpu_input(name, content)
        bindings[0].bind_output("y", _MEMORY[self._provider], 0)
        bindings[0].synchronize_inputs()
        try:
            yield (
                lambda: self._run(session, bindings[0]),
                lambda: check(bindings[0].copy_outputs_to_cpu()[0]),
            )
        finally:
            bindings.clear()  # with all memory, though somebody may keep what was yielded

    def _by(self, method: str) -> str:
        return f"{method} (ONNX Runtime {self._runtime.__version__})"

    @cached_property
    def _copying(self) -> Any:  # noqa: ANN401 - ONNX Runtime has no types
        return self._session(_onnx.copying(), whole=False)

    def _session(self, model: bytes, *, whole: bool) -> Any:  # noqa: ANN401 - as above
        """Load a model.

        Args:
            model: In ONNX's format.
            whole: Whether to refuse that the processor stands in for parts of it.
        """
        options = self._runtime.SessionOptions()
        # DirectML's documentation demands these two.
        options.enable_mem_pattern = False
        options.execution_mode = self._runtime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3  # errors; they are raised besides
        alone = whole and self._provider != PROCESSOR
        options.add_session_config_entry("session.disable_cpu_ep_fallback", str(int(alone)))
        session = self._runtime.InferenceSession(
            model,
            options,
            providers=[(self._provider, {"device_id": str(self._device_id)})],
            enable_fallback=0,
        )
        if session.get_providers()[0] != self._provider:
            msg = f"{self._where} does not start: update its driver"
            raise DeviceError(msg)
        return session

    def _run(self, session: Any, binding: Any) -> None:  # noqa: ANN401 - as above
        session.run_with_iobinding(binding)
        # Without this the work has merely been given to the adapter.
        binding.synchronize_outputs()


@contextmanager
def translating(where: str) -> Generator[None]:
    """Translate errors of ONNX Runtime, which have nothing in common but their base.

    Raises:
        OutOfDeviceMemory: One that speaks of memory.
        DeviceError: Any other.
    """
    try:
        yield
    except (DeviceError, MemoryError):
        raise
    except Exception as error:
        kind = OutOfDeviceMemory if _is_about_memory(str(error).lower()) else DeviceError
        msg = f"{where} failed ({first_line(error)}): ask for less, or update its driver"
        raise kind(msg) from error


def first_line(error: Exception) -> str:
    """Cut a message to the part that fits into a sentence."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _is_about_memory(text: str) -> bool:
    # E_OUTOFMEMORY, and the words of ONNX Runtime's allocators.
    return any(sign in text for sign in ("8007000e", "not enough memory", "failed to allocate"))
