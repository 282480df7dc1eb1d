"""What is behind the buffers of a driver, and the rules of their use that all drivers share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from hgx.drivers.base import Buffer, DeviceError, OutOfDeviceMemory
from hgx.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

Content = TypeVar("Content")


class Buffers(Generic[Content]):
    """The buffers that are in use; a driver checks their devices itself."""

    def __init__(self) -> None:
        self._contents: dict[Buffer, Content] = {}

    def __iter__(self) -> Iterator[Buffer]:
        """Give all that are in use; they may be removed meanwhile."""
        return iter(tuple(self._contents))

    def add(self, index: int, size_bytes: int, content: Content) -> Buffer:
        """Return a new buffer for a piece of a device's memory."""
        buffer = Buffer(index, size_bytes)
        self._contents[buffer] = content
        return buffer

    def remove(self, buffer: Buffer) -> Content:
        """Forget a buffer, and return what is behind it.

        Raises:
            DeviceError: It is not in use.
        """
        content = self.content(buffer)
        del self._contents[buffer]
        return content

    def clear(self) -> None:
        """Forget all of them."""
        self._contents.clear()

    def content(self, buffer: Buffer) -> Content:
        """Return what is behind a buffer.

        Raises:
            DeviceError: It is not in use.
        """
        if buffer not in self._contents:
            msg = f"a buffer of {buffer.size_bytes} bytes was freed before: do not use it again"
            raise DeviceError(msg)
        return self._contents[buffer]

    def content_with(self, buffer: Buffer, offset: int, size: int) -> Content:
        """Return all that is behind a buffer which has so many bytes at an offset.

        Raises:
            DeviceError: It is not in use, or ends before that.
        """
        content = self.content(buffer)
        if offset < 0 or size < 0 or offset + size > buffer.size_bytes:
            msg = (
                f"{size} bytes at {offset} are not inside a buffer of {buffer.size_bytes} bytes: "
                "copy less, or allocate more"
            )
            raise DeviceError(msg)
        return content


def check_size(size_bytes: int) -> None:
    """Refuse a buffer of nothing.

    Raises:
        DeviceError: The size is not above zero.
    """
    if size_bytes <= 0:
        msg = f"a buffer of {size_bytes} bytes was asked for: ask for at least 1"
        raise DeviceError(msg)


def not_enough(where: str, free_bytes: int, size_bytes: int) -> OutOfDeviceMemory:
    """Make the error of a device, or machine, that has not so much memory left."""
    return OutOfDeviceMemory(
        f"{where} has {format_bytes(free_bytes)} of memory left, and "
        f"{format_bytes(size_bytes)} was asked for: free some, or ask for less"
    )
