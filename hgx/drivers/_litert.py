"""LiteRT, as far as ``hgx.drivers.tflite`` needs it: models, their memory, and its log.

LiteRT's Python classes have no types, and all their failures are RuntimeErrors of several lines;
here they become DeviceErrors of one.
"""

from __future__ import annotations

import math
import os
import re
import tempfile
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hgx.drivers.base import DeviceError
from hgx.errors import Unavailable
from hgx.sensors import cpu

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from numpy.typing import NDArray

_SELECTED = re.compile(r"Selected adapter: (.+?), arch=.*adapterType=(.+)")


class Adapter(NamedTuple):
    """What LiteRT's log says of a GPU.

    Attributes:
        name: The vendor's.
        kind: ``Integrated GPU``, ``Discrete GPU``, ``CPU / Software`` or another.
    """

    name: str
    kind: str


def adapter_in(log: str) -> Adapter | None:
    """Find the GPU that LiteRT chose in what it wrote; absent where it uses none, or is silent."""
    found = _SELECTED.search(log)
    return Adapter(found[1], found[2].strip()) if found else None


@contextmanager
def standard_error_kept() -> Generator[Callable[[], str]]:
    """Keep what is written to the process's standard error, and give a function that returns it.

    LiteRT's Python has no other way to its log, and none to make it say less. Other threads' output
    is caught too: keep it short.
    """
    with tempfile.TemporaryFile() as kept:

        def written() -> str:
            kept.seek(0)
            return kept.read().decode(errors="replace")

        usual = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield written
        finally:
            os.dup2(usual, 2)
            os.close(usual)


class Memory:
    """Memory on a device, read and written from its beginning only.

    Attributes:
        buffer: LiteRT's TensorBuffer.
    """

    def __init__(self, buffer: Any) -> None:  # noqa: ANN401 - LiteRT has no types
        self.buffer = buffer

    def read(self, count: int) -> NDArray[np.uint8]:
        """Copy the first bytes to the host, when all work on them is done."""
        with _in_one_line():
            return self.buffer.read(count, np.uint8)

    def write(self, content: NDArray[Any]) -> None:
        """Copy from the host to the first bytes."""
        with _in_one_line():
            self.buffer.write(content)

    @property
    def size_bytes(self) -> int:
        """Its size as a tensor of float32."""
        return 4 * math.prod(self.buffer.get_tensor_details()["shape"])

    def free(self) -> None:
        """Give it back."""
        self.buffer.destroy()


class Model:
    """A model compiled for one accelerator."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401 - LiteRT has no types
        self._model = model

    def inputs(self) -> tuple[Memory, ...]:
        """Allocate what it takes, on its accelerator."""
        with _in_one_line():
            return _there(self._model.create_input_buffers(0))

    def outputs(self) -> tuple[Memory, ...]:
        """Allocate what it gives, on its accelerator."""
        with _in_one_line():
            return _there(self._model.create_output_buffers(0))

    def run(self, inputs: Sequence[Memory], outputs: Sequence[Memory]) -> None:
        """Begin to run it once; a GPU may be at work still when this returns."""
        with _in_one_line():
            self._model.run_by_index(
                0, [memory.buffer for memory in inputs], [memory.buffer for memory in outputs]
            )


class Work:
    """A model with all it takes, ready to be run.

    Args:
        model: It has one output.
        operands: What it takes.
        fence: Memory of the same device; it is read when all work before is done.
    """

    def __init__(
        self, model: Model, operands: Sequence[NDArray[np.float32]], *, fence: Memory
    ) -> None:
        self._model, self._fence = model, fence
        self._inputs, self._outputs = model.inputs(), model.outputs()
        for content, operand in zip(self._inputs, operands, strict=True):
            content.write(operand)

    def run(self) -> None:
        """Run the model once, and wait until it is done."""
        self._model.run(self._inputs, self._outputs)
        self._fence.read(1)

    def result(self) -> NDArray[np.float32]:
        """Return what it found, as a vector."""
        (output,) = self._outputs
        return output.read(output.size_bytes).view(np.float32)


class LiteRt:
    """The runtime, loaded.

    Raises:
        Unavailable: It does not load.
    """

    def __init__(self) -> None:
        try:
            self._library: Any = import_module("ai_edge_litert.compiled_model")
        except (ImportError, OSError) as error:
            reason = f"LiteRT does not load: {' '.join(str(error).split())}"
            raise Unavailable(reason, "pip install 'hgx-toolkit[tflite]'") from error
        self._environment = self._library.Environment.create()

    def compile(self, model: bytes, accelerator: str) -> Model:
        """Compile a model for one accelerator alone, in full precision.

        Args:
            model: A .tflite file.
            accelerator: ``cpu``, ``gpu`` or ``npu``.

        Raises:
            DeviceError: The accelerator is not there, or cannot do all of it.
        """
        options = self._library.Options(
            self._library.HardwareAccelerator[accelerator.upper()],
            cpu_options=self._library.CpuOptions(num_threads=cpu.usable_cores()),
            gpu_options=self._library.GpuOptions(enforce_f32=True),
        )
        with _in_one_line():
            compiled = self._library.CompiledModel.from_buffer(
                model, environment=self._environment, options=options
            )
            if not compiled.is_fully_accelerated():
                msg = "parts of the model would run on the processor"
                raise RuntimeError(msg)
        return Model(compiled)


def _there(buffers: Sequence[Any]) -> tuple[Memory, ...]:
    """Check that memory holds what is written: a GPU gives more than it has, and loses it all."""
    memories = tuple(Memory(buffer) for buffer in buffers)
    for memory in memories:
        memory.write(np.full(1, 165, np.uint8))
        if memory.read(1)[0] != 165:
            msg = "it loses what is written"
            raise RuntimeError(msg)
    return memories


@contextmanager
def _in_one_line() -> Generator[None]:
    try:
        yield
    except RuntimeError as error:
        # The last line is the innermost cause.
        lines = str(error).strip().splitlines() or ["it does not say why"]
        msg = f"LiteRT failed: {lines[-1].lstrip('└ ')}"
        raise DeviceError(msg) from error
