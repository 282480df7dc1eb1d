"""Work for a card that CuPy drives: adding up memory, multiplying matrices.

Nothing here compiles a kernel, so no compiler has to be installed: memory is filled by the
runtime, summed by CUB, which is compiled into CuPy, and multiplied by the vendor's BLAS.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from hgx.drivers.base import DeviceError, Kernel
from hgx.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from hgx.drivers._cupy_api import Array, Cupy

ON_DEVICE = 3  # cudaMemcpyKind, hipMemcpyKind
_MOST_TO_SUM = 2**30  # CUB counts in 32 bits with a sign
_ROWS_BYTES = 2**25  # of a matrix that pass the host at a time
_DIFFERENT_ROWS = 127  # a prime number, so that no two rows alike are as far apart as tiles of BLAS
_PATTERN = 0x0101010101010101  # what eight bytes of the value 1 are as a number
# A sum of side positive products errs by far less, a wrong element by more than most.
_TOLERANCES = {"float16": 2e-3, "float32": 1e-4, "float64": 1e-10}


class Workplace:
    """Arrays on one card, in a pool of their own that goes back to the card at the end.

    Args:
        cupy: The library.
        on: Makes the card the current one and translates errors, while its context lasts.
    """

    def __init__(self, cupy: Cupy, on: Callable[[], AbstractContextManager[object]]) -> None:
        self.cupy = cupy
        self.arrays: list[Array] = []
        self._on = on
        self._pool = cupy.cuda.MemoryPool()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # A kernel may outlive its context, so it holds on to this list and not to the arrays.
        self.arrays.clear()
        with self._on():
            self._pool.free_all_blocks()

    @contextmanager
    def use(self) -> Generator[Cupy]:
        """Work on the card; new arrays come out of the pool."""
        with self._on(), self.cupy.cuda.using_allocator(self._pool.malloc):
            yield self.cupy

    def wait(self) -> None:
        """Wait until the card has done all work."""
        self.cupy.cuda.runtime.deviceSynchronize()


def reading(workplace: Workplace, name: str, size_bytes: int) -> Kernel:
    """Prepare the sum of an array; whole numbers wrap around, so it is exact in any order.

    Args:
        workplace: Where.
        name: The device, for messages.
        size_bytes: How much to read.

    Raises:
        DeviceError: That is less than one number.
    """
    count = size_bytes // 8
    if count <= 0:
        msg = f"{size_bytes} bytes cannot be read as a benchmark: ask for at least 8"
        raise DeviceError(msg)
    arrays = workplace.arrays  # the numbers, then the sums of their parts
    with workplace.use() as cupy:
        arrays.append(cupy.empty((count,), "uint64"))
        cupy.cuda.runtime.memset(arrays[0].data.ptr, 1, count * 8)
        workplace.wait()

    def run() -> None:
        with workplace.use() as cupy:
            cub = cupy.cuda.cub
            parts = (arrays[0][at : at + _MOST_TO_SUM] for at in range(0, count, _MOST_TO_SUM))
            arrays[1:] = [cub.device_reduce(part, cub.CUPY_CUB_SUM, (0,), ()) for part in parts]
            workplace.wait()

    def check() -> None:
        with workplace.use():
            found = sum(int(part.get()) for part in arrays[1:]) % 2**64
        if found != count * _PATTERN % 2**64:
            msg = f"{name} read wrong numbers from its memory: test the card"
            raise DeviceError(msg)

    method = f"sum of {format_bytes(count * 8)} (CUB through CuPy {workplace.cupy.__version__})"
    return Kernel(count * 8, run, check, method)


def multiplying(workplace: Workplace, name: str, library: str, dtype: str, side: int) -> Kernel:
    """Prepare a product of two square matrices of random numbers between 0 and 1.

    Args:
        workplace: Where.
        name: The device, for messages.
        library: What multiplies.
        dtype: The type of all three matrices; 16 bits are added up in 32.
        side: Rows and columns.

    Raises:
        DeviceError: There is no such matrix, or the library is missing.
    """
    if side <= 0:
        msg = f"matrices of {side} rows cannot be multiplied: ask for at least 1"
        raise DeviceError(msg)
    generator = np.random.default_rng(side)
    vector = generator.integers(0, 2, side).astype(np.float64)
    arrays = workplace.arrays
    with workplace.use() as cupy:
        arrays.extend(cupy.empty((side, side), dtype) for _ in range(3))
        # Freivalds' check: the product times a random vector is cheap to know in another way.
        weights = _fill(cupy, arrays[1], generator, vector)
        expected = _fill(cupy, arrays[0], generator, weights)

    def run() -> None:
        with workplace.use() as cupy:
            cupy.matmul(arrays[0], arrays[1], out=arrays[2])
            workplace.wait()

    def check() -> None:
        with workplace.use():
            found = np.concatenate([rows.get() @ vector for rows in _rows(arrays[2])])
        if not np.allclose(found, expected, rtol=_TOLERANCES[dtype], atol=0):
            msg = f"{name} computed a wrong product: test the card"
            raise DeviceError(msg)

    run()  # a library that is missing shows here
    nvidia = not workplace.cupy.cuda.runtime.is_hip
    exact = ", TF32 off" if nvidia and dtype == "float32" else ""
    version = workplace.cupy.__version__
    method = f"{side} x {side} {dtype} product ({library} through CuPy {version}{exact})"
    return Kernel(2 * side**3, run, check, method)


def _fill(
    cupy: Cupy, matrix: Array, generator: np.random.Generator, vector: NDArray[Any]
) -> NDArray[Any]:
    """Fill a matrix with random numbers, and return its product with a vector.

    The host makes the first rows, which the card repeats: to make all would take it longer than
    many products take.
    """
    rows, columns = matrix.shape
    first = matrix[:_DIFFERENT_ROWS]
    numbers = generator.random(first.shape, np.float32).astype(matrix.dtype)
    first.set(numbers)
    begin, row_bytes, filled = matrix.data.ptr, columns * matrix.dtype.itemsize, len(numbers)
    while filled < rows:
        count = min(filled, rows - filled)
        end = begin + filled * row_bytes
        cupy.cuda.runtime.memcpy(end, begin, count * row_bytes, ON_DEVICE)
        filled += count
    return np.resize(numbers @ vector, rows)  # repeated as the rows are


def _rows(matrix: Array) -> Iterator[Array]:
    """Cut a matrix into parts that the host can spare memory for."""
    step = max(1, _ROWS_BYTES // (8 * matrix.shape[1]))
    return (matrix[at : at + step] for at in range(0, matrix.shape[0], step))
