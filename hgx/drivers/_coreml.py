"""The neural engine of Apple's chips, through Core ML.

Core ML alone decides whether the neural engine or the processor does the work, and only macOS
can run it: everything but the building of programs is unverified. Apple documents no way to read
the engine's memory, temperature, power or clock.
"""

from __future__ import annotations

import io
import math
import platform
from contextlib import contextmanager, redirect_stderr
from functools import partial, reduce
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hgx.drivers import _product
from hgx.drivers.base import Kernel
from hgx.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    Halves = NDArray[np.float16]
    Program = Callable[[Halves], Halves]
    Compile = Callable[[Sequence[Halves], int], AbstractContextManager[Program]]

NAME = "Apple Neural Engine"
COPIES = 3
"""How often weights are in memory: as an array, in the program, and in Core ML."""

_SIDE = 4096  # a layer of a large model, and well below the engine's largest dimension of 16384


class Model(Protocol):
    """A model of coremltools'."""

    def predict(self, data: dict[str, Halves]) -> dict[str, Halves]:
        """Run it: inputs and outputs by name."""
        ...


def installed() -> bool:
    """Tell whether there is a neural engine and coremltools, without loading anything."""
    apple = (platform.system(), platform.machine()) == ("Darwin", "arm64")
    return apple and find_spec("coremltools") is not None


@contextmanager
def compiled(weights: Sequence[Halves], rows: int) -> Generator[Program]:
    """Make a program that multiplies a matrix with constant ones, one after the other.

    Args:
        weights: Square, and all of one size; at least one.
        rows: Rows of the matrix.

    Yields:
        What runs it. It works on macOS only.
    """
    with TemporaryDirectory(prefix="hgx-") as folder:
        yield partial(predict, convert(weights, rows, Path(folder) / "product.mlpackage"))


def convert(weights: Sequence[Halves], rows: int, package: Path) -> Model:
    """Build the model, and write it to a package; see ``compiled``."""
    # coremltools reports its progress, and what it misses off macOS, on standard error.
    with redirect_stderr(io.StringIO()):
        ct: Any = import_module("coremltools")
        mil: Any = import_module("coremltools.converters.mil")
        build = mil.Builder

        def program(x: object) -> object:
            *first, last = weights
            for layer in first:
                x = build.matmul(x=x, y=layer)
            return build.matmul(x=x, y=last, name="product")

        given = build.TensorSpec(shape=(rows, len(weights[0])), dtype=mil.mil.types.fp16)
        described = build.program(input_specs=[given], opset_version=ct.target.iOS16)
        return ct.convert(
            described(program),
            convert_to="mlprogram",
            compute_units=ct.ComputeUnit.CPU_AND_NE,
            minimum_deployment_target=ct.target.macOS13,
            package_dir=str(package),
            skip_model_load=platform.system() != "Darwin",
        )


def predict(model: Model, x: Halves) -> Halves:
    """Run the model; on macOS only."""
    return model.predict({"x": x})["product"]


@contextmanager
def read_kernel(where: str, size_bytes: int, compiling: Compile) -> Generator[Kernel]:
    """Prepare to send a vector through layers of weights, which reads all of them.

    Args:
        where: The device, for messages.
        size_bytes: Of the weights; what does not fill a layer is left out.
        compiling: Makes the program; ``compiled``.
    """
    side = max(1, min(_SIDE, math.isqrt(size_bytes // 2)))
    layers = max(1, size_bytes // (2 * side**2))
    weights = [_weights(side, seed) for seed in range(layers)]
    vector = _product.factor(side, layers)[:1].astype(np.float16)
    known = reduce(_matmul, weights, vector.astype(np.float32))
    result: list[Halves] = []
    with compiling(weights, 1) as program:

        def run() -> None:
            result[:] = [program(vector)]

        def check() -> None:
            _product.check(where, "float16", result[0].astype(np.float32), known)

        work = layers * 2 * side**2
        method = f"a vector through {format_bytes(work)} of float16 layers (Core ML)"
        yield Kernel(work, run, check, method)


@contextmanager
def matmul_kernel(where: str, side: int, compiling: Compile) -> Generator[Kernel]:
    """Prepare the product of a square matrix with constant weights; see ``read_kernel``."""
    left, right = _product.factor(side, side).astype(np.float16), _weights(side, side + 1)
    known = left.astype(np.float32) @ right.astype(np.float32).sum(axis=1)
    result: list[Halves] = []
    with compiling([right], side) as program:

        def run() -> None:
            result[:] = [program(left)]

        def check() -> None:
            _product.check(where, "float16", result[0].sum(axis=1, dtype=np.float32), known)

        yield Kernel(2 * side**3, run, check, f"{side} x {side} float16 product (Core ML)")


def _weights(side: int, seed: int) -> Halves:
    # Numbers between -1 and 1 have a variance of 1/3: so scaled, a layer keeps a vector's size.
    return (_product.factor(side, seed) * math.sqrt(3 / side)).astype(np.float16)


def _matmul(x: NDArray[np.float32], layer: Halves) -> NDArray[np.float32]:
    return x @ layer.astype(np.float32)
