"""The parts of MLX that the Metal driver uses, on the device it is told.

MLX works lazily, and documents that its arrays share memory with views of numpy's.
"""

from __future__ import annotations

from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from hgx.drivers import _product
from hgx.drivers.base import DeviceError, Kernel
from hgx.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

_ROW = 1 << 16  # MLX counts each dimension in 32 bits, so what is large has rows of this many
_ROWS = 256  # of a matrix that are looked at in float32 at a time


class Mlx:
    """One device of MLX's.

    Args:
        kind: ``gpu`` or ``cpu``.

    Raises:
        ImportError: MLX is not installed, or does not load.
    """

    def __init__(self, kind: str) -> None:
        self._mx: Any = import_module("mlx.core")
        self._device: Any = self._mx.Device(getattr(self._mx, kind))
        self.has_metal: bool = self._mx.metal.is_available()

    def name(self) -> str:
        """Return the vendor's name of the device."""
        return self._mx.device_info(self._device)["device_name"]

    def limit_bytes(self) -> int | None:
        """Return how much memory Apple recommends to use; null for a processor."""
        return self._mx.device_info(self._device).get("max_recommended_working_set_size")

    def used_bytes(self) -> int:
        """Return how much memory MLX's arrays use."""
        return self._mx.get_active_memory()

    def clear(self) -> None:
        """Give memory back to the system that MLX kept for later arrays."""
        self._mx.clear_cache()

    def synchronize(self) -> None:
        """Wait until all work is done."""
        self._mx.synchronize(self._device)

    def reserve(self, size_bytes: int) -> NDArray[np.uint8]:
        """Reserve memory, and write zeros to it.

        Args:
            size_bytes: Above zero; MLX reserves up to 64 KiB more.

        Returns:
            A writable view, which keeps the memory.
        """
        width = min(size_bytes, _ROW)
        with self._mx.stream(self._device):
            content = self._mx.zeros((-(-size_bytes // width), width), self._mx.uint8)
            self._mx.eval(content)
        return np.array(content, copy=False).reshape(-1)[:size_bytes]

    @contextmanager
    def read_kernel(self, where: str, size_bytes: int) -> Generator[Kernel]:
        """Prepare to add up rows of ones; what does not fill a row of 256 KiB is left out."""
        mx = self._mx
        width = max(1, min(_ROW, size_bytes // 4))
        rows = max(1, size_bytes // (4 * width))
        sums: list[Any] = []
        with mx.stream(self._device):
            ones = [mx.ones((rows, width), mx.float32)]
            mx.eval(ones)

        def run() -> None:
            with mx.stream(self._device):
                sums[:] = [mx.sum(ones[0], axis=1)]
                mx.eval(sums)
            self.synchronize()

        def check() -> None:
            # A row's sum is below 2^24 and so exact, in whatever order it was added up.
            if not np.array_equal(np.array(sums[0]), np.full(rows, width)):
                msg = f"{where} read wrong numbers from memory: test the machine's memory"
                raise DeviceError(msg)

        work = 4 * rows * width
        method = f"sum of each row of {format_bytes(work)} (MLX {mx.__version__})"
        try:
            yield Kernel(work, run, check, method)
        finally:
            self._free(ones, sums)

    @contextmanager
    def matmul_kernel(self, where: str, dtype: str, side: int) -> Generator[Kernel]:
        """Prepare the product of two square matrices."""
        mx = self._mx
        product: list[Any] = []
        with mx.stream(self._device):
            factors = [self._factor(side, seed, dtype) for seed in (side, side + 1)]
            known = self._sums(factors[0], self._sums(factors[1], np.ones(side, np.float32)))

        def run() -> None:
            product.clear()  # before there is another one
            with mx.stream(self._device):
                product[:] = [mx.matmul(*factors)]
                mx.eval(product)
            self.synchronize()

        def check() -> None:
            with mx.stream(self._device):
                found = self._sums(product[0], np.ones(side, np.float32))
            _product.check(where, dtype, found, known)

        method = f"{side} x {side} {dtype} product (MLX {mx.__version__})"
        try:
            yield Kernel(2 * side**3, run, check, method)
        finally:
            self._free(factors, product)

    def _factor(self, side: int, seed: int, dtype: str) -> Any:  # noqa: ANN401 - MLX has no types
        """Make a factor, of which only one is there in another type at a time."""
        made = self._mx.array(_product.factor(side, seed)).astype(getattr(self._mx, dtype))
        self._mx.eval(made)
        self.clear()
        return made

    def _sums(self, matrix: Any, weights: NDArray[np.float32]) -> NDArray[np.float32]:  # noqa: ANN401 - as above
        """Multiply a matrix by a vector with numpy, which lacks bfloat16, in float32 by parts."""
        parts = (matrix[at : at + _ROWS] for at in range(0, matrix.shape[0], _ROWS))
        return np.concatenate([np.array(part.astype(self._mx.float32)) @ weights for part in parts])

    def _free(self, *arrays: list[Any]) -> None:
        for held in arrays:
            held.clear()
        self.clear()
