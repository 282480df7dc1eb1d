"""Memory of the host that a buffer is copied to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hgx.drivers.base import DeviceError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def room(into: bytearray | memoryview, size_bytes: int) -> NDArray[np.uint8]:
    """Return the beginning of the host's memory, to be written to.

    Args:
        into: The memory.
        size_bytes: How much of it.

    Raises:
        DeviceError: It is smaller, cannot be written, or is not in one piece.
    """
    view = memoryview(into)
    if view.readonly or not view.c_contiguous or view.nbytes < size_bytes:
        msg = (
            f"{size_bytes} bytes cannot be copied into {view.nbytes} bytes of the host: "
            "give memory in one piece that is large enough and can be written"
        )
        raise DeviceError(msg)
    return np.frombuffer(view, np.uint8)[:size_bytes]


def deliver(content: NDArray[np.uint8], into: bytearray | memoryview | None) -> bytes:
    """Copy what was found to the host's memory, or return it where none is given."""
    if into is None:
        return content.tobytes()
    room(into, content.size)[:] = content
    return b""
