"""CuPy without a card: a recording tells what hardware answers, main memory stands for a card's.

``python -m tests.drivers.recorded_cupy`` prints such a recording on a machine with a card.
"""

from __future__ import annotations

import json
import platform
import sys
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from hgx.sensors.nvml import Card, Survey, read_cards
from tests.drivers.recorded_runtime import PROPERTIES, RecordedError, RecordedRuntime

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from numpy.typing import NDArray

    from hgx.drivers._cupy_api import Cupy, Pointer

RECORDINGS = Path(__file__).parent / "recordings"
_SENSORS = ("unique_id", "hwmon/hwmon*/temp*_*", "hwmon/hwmon*/power1_*", "hwmon/hwmon*/freq1_*")
_NODES = "sys/class/kfd/kfd/topology/nodes"
_TOO_MUCH_BYTES = 1 << 60  # more bytes than any card has


def load(name: str) -> dict[str, Any]:
    """Read a recording by the name of its file."""
    return json.loads((RECORDINGS / f"{name}.json").read_text())


def recorded_survey(recording: Mapping[str, Any]) -> Survey:
    """Return what NVML told when the recording was made."""
    return Survey(tuple(Card(**card) for card in recording.get("nvml", ())))


class RecordedOutOfMemoryError(MemoryError):
    """What CuPy's pools raise."""


class Block:
    """Memory that an array has from a pool; it is back in the pool when nothing refers to it."""

    def __init__(self, ptr: int, give_back: Callable[[int], None]) -> None:
        self.ptr = ptr
        self._give_back = give_back

    def __del__(self) -> None:
        self._give_back(self.ptr)


class RecordedPool:
    """``cupy.cuda.MemoryPool``; blocks are not used again."""

    def __init__(self, runtime: RecordedRuntime) -> None:
        self._runtime = runtime
        self._unused: list[int] = []

    def malloc(self, size: int, /) -> Block:
        """Take memory of the current device."""
        try:
            return Block(self._runtime.malloc(max(1, size)), self._unused.append)
        except RecordedError as error:
            raise RecordedOutOfMemoryError from error

    def free_all_blocks(self) -> None:
        """Give back what no array is in."""
        while self._unused:
            self._runtime.free(self._unused.pop())


class RecordedArray:
    """``cupy.ndarray``: the content is numpy's view of the block."""

    def __init__(self, data: Pointer, content: NDArray[Any]) -> None:
        self.data = data
        self.content = content
        self.shape, self.dtype = content.shape, content.dtype

    def __getitem__(self, part: slice, /) -> RecordedArray:
        return RecordedArray(self.data, self.content[part])

    def set(self, arr: NDArray[Any]) -> None:
        """Copy an array of the host into it."""
        assert (arr.shape, arr.dtype) == (self.shape, self.dtype)
        self.content[...] = arr

    def get(self) -> NDArray[Any]:
        """Copy it to the host."""
        return self.content.copy()


class RecordedCuda:
    """``cupy.cuda``, with what is in ``cupy.cuda.memory`` and ``cupy.cuda.cub``."""

    OutOfMemoryError = RecordedOutOfMemoryError
    CUPY_CUB_SUM = 0

    def __init__(self, recording: Mapping[str, Any]) -> None:
        self.runtime = RecordedRuntime(recording)
        self.memory = self.cub = self
        self.allocator: Callable[[int], Pointer] | None = None

    @contextmanager
    def Device(self, device: int, /) -> Generator[None]:  # noqa: N802 - the library's name
        """Make a device the current one."""
        before, self.runtime.current = self.runtime.current, device
        try:
            yield
        finally:
            self.runtime.current = before

    def MemoryPool(self) -> RecordedPool:  # noqa: N802 - the library's name
        """Make a pool."""
        return RecordedPool(self.runtime)

    @contextmanager
    def using_allocator(self, allocator: Callable[[int], Pointer], /) -> Generator[None]:
        """Let arrays take their memory from there."""
        before, self.allocator = self.allocator, allocator
        try:
            yield
        finally:
            self.allocator = before

    def device_reduce(
        self, x: Any, op: int, reduce_axis: tuple[int, ...], out_axis: tuple[int, ...], /
    ) -> RecordedArray:
        """Add up an array."""
        assert (op, reduce_axis, out_axis) == (self.CUPY_CUB_SUM, (0,), ())
        assert x.content.size < 2**31
        total = self.empty((), str(x.dtype))
        total.content[...] = x.content.sum(dtype=x.dtype)
        return total

    def empty(self, shape: tuple[int, ...], dtype: str) -> RecordedArray:
        """Make an array on the current device."""
        assert self.allocator is not None
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        block = self.allocator(size)
        raw = self.runtime.memory[block.ptr][1][:size]
        return RecordedArray(block, raw.view(dtype).reshape(shape))


class RecordedCupy:
    """``cupy`` as on the machine of a recording."""

    def __init__(self, recording: Mapping[str, Any]) -> None:
        self.__version__: str = recording["cupy_version"]
        self.cuda = RecordedCuda(recording)
        self.empty = self.cuda.empty

    def matmul(self, x1: Any, x2: Any, /, *, out: Any) -> None:
        """Multiply on the current device; 16 bits are added up in 32, as on cards."""
        assert self.cuda.runtime.current is not None
        wide = np.promote_types(out.dtype, np.float32)
        out.content[...] = x1.content.astype(wide) @ x2.content.astype(wide)


def record(cupy: Cupy, survey: Survey, root: Path = Path("/")) -> dict[str, Any]:
    """Make a recording of a real CuPy.

    Args:
        cupy: The library.
        survey: What NVML tells; none on a machine of AMD's.
        root: Where ``sys`` is.
    """
    runtime = cupy.cuda.runtime
    recording: dict[str, Any] = {
        "origin": f"recorded on {platform.system()}, {platform.machine()}",
        "cupy_version": cupy.__version__,
        "is_hip": bool(runtime.is_hip),
        "driver_version": runtime.driverGetVersion(),
        "runtime_version": runtime.runtimeGetVersion(),
        "errors": {},
        "devices": [],
    }
    try:
        count = runtime.getDeviceCount()
        recording["devices"] = [_device(cupy, index) for index in range(count)]
    except runtime.CUDARuntimeError as error:
        recording["errors"]["getDeviceCount"] = [getattr(error, "status", None), str(error)]
        return recording
    try:
        with cupy.cuda.Device(0):
            runtime.malloc(_TOO_MUCH_BYTES)
    except runtime.CUDARuntimeError as error:
        recording["errors"]["malloc"] = [getattr(error, "status", None), str(error)]
    recording["nvml"] = [asdict(card) for card in survey.cards]
    recording["files"] = _files(recording["devices"], root) if runtime.is_hip else {}
    return recording


def _device(cupy: Cupy, index: int) -> dict[str, Any]:
    properties = cupy.cuda.runtime.getDeviceProperties(index)
    with cupy.cuda.Device(index):
        free, _ = cupy.cuda.runtime.memGetInfo()
    device: dict[str, Any] = {
        "name": bytes(properties["name"]).decode(),
        **{name: int(properties[name]) for name in PROPERTIES},
        "free_bytes": free,
        "pci_bus_id": cupy.cuda.runtime.deviceGetPCIBusId(index),
    }
    return device | ({"uuid": properties["uuid"].hex()} if "uuid" in properties else {})


def _files(devices: list[dict[str, Any]], root: Path) -> dict[str, str]:
    places = [f"sys/bus/pci/devices/{device['pci_bus_id'].lower()}" for device in devices]
    patterns = [f"{place}/{sensor}" for place in places for sensor in _SENSORS]
    patterns += [f"{_NODES}/*/properties", f"{_NODES}/*/caches/*/properties"]
    found = (file for pattern in patterns for file in sorted(root.glob(pattern)) if file.is_file())
    return {file.relative_to(root).as_posix(): file.read_text().strip() for file in found}


if __name__ == "__main__":
    library = cast("Cupy", import_module("cupy"))
    sys.stdout.write(json.dumps(record(library, read_cards()), indent=2) + "\n")
