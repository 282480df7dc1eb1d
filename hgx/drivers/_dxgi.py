"""Graphics adapters of Windows, from DXGI and Direct3D 12, called as COM objects through ctypes.

Slots, identifiers and structures are those of Microsoft's dxgi.h, dxgi1_4.h and d3d12.h. All of
it is unverified on Windows; tests call the same code on objects laid out like COM's.
"""

from __future__ import annotations

import ctypes
from contextlib import contextmanager
from ctypes import POINTER, c_char_p, c_int32, c_size_t, c_uint16, c_uint32, c_uint64, c_void_p
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_MOST = 64  # adapters: far more than fit into a machine, so that counting ends in any case
_SOFTWARE = 2  # DXGI_ADAPTER_FLAG_SOFTWARE
_BASIC_RENDER_DRIVER = (0x1414, 0x8C)  # does not always say that it is software
_LEVEL_11 = 0xB000  # D3D_FEATURE_LEVEL_11_0, what DirectML needs
_ARCHITECTURE = 1  # D3D12_FEATURE_ARCHITECTURE
_LOCAL = 0  # DXGI_MEMORY_SEGMENT_GROUP_LOCAL

# Where a method is in its interface's table.
_QUERY_INTERFACE, _RELEASE = 0, 2
_GET_DESC1 = 10  # IDXGIAdapter1
_ENUM_ADAPTERS1 = 12  # IDXGIFactory1
_CHECK_FEATURE_SUPPORT = 13  # ID3D12Device
_QUERY_VIDEO_MEMORY_INFO = 14  # IDXGIAdapter3

_FACTORY1 = UUID("770aae78-f26f-4dba-a829-253c83d1b387").bytes_le
_ADAPTER3 = UUID("645967a4-1392-4310-a798-8053ce3e93fd").bytes_le
_DEVICE = UUID("189819f1-1db6-4b57-be54-1821339b85f7").bytes_le


class AdapterDescription(ctypes.Structure):
    """DXGI_ADAPTER_DESC1, with its name in UTF-16 whatever a wide character is here."""

    _fields_ = (
        ("name", c_uint16 * 128),
        ("vendor_id", c_uint32),
        ("device_id", c_uint32),
        ("subsystem_id", c_uint32),
        ("revision", c_uint32),
        ("dedicated_video_bytes", c_size_t),
        ("dedicated_system_bytes", c_size_t),
        ("shared_system_bytes", c_size_t),
        ("luid", c_uint32 * 2),
        ("flags", c_uint32),
    )


class Architecture(ctypes.Structure):
    """D3D12_FEATURE_DATA_ARCHITECTURE."""

    _fields_ = (
        ("node", c_uint32),
        ("tile_based", c_int32),
        ("uma", c_int32),
        ("cache_coherent_uma", c_int32),
    )


class VideoMemory(ctypes.Structure):
    """DXGI_QUERY_VIDEO_MEMORY_INFO."""

    _fields_ = (
        ("budget", c_uint64),
        ("usage", c_uint64),
        ("reservable", c_uint64),
        ("reserved", c_uint64),
    )


class Adapter(NamedTuple):
    """A graphics adapter that can do Direct3D 12.

    Attributes:
        device_id: Its number for DXGI, and so for ONNX Runtime; adapters left out are counted.
        name: The vendor's name.
        memory_total_bytes: Its own memory; and what it may share, where it shares the host's.
        memory_free_bytes: What Windows lets this process use more of it now; null where unknown.
        unified_memory: Whether it shares the host's memory; null where unknown.
    """

    device_id: int
    name: str
    memory_total_bytes: int
    memory_free_bytes: int | None = None
    unified_memory: bool | None = None


def adapters(load: Callable[[str], Any] = ctypes.CDLL) -> tuple[Adapter, ...]:
    """List the adapters, without those that are software.

    Args:
        load: Loads a library of Windows.

    Raises:
        OSError: Windows lacks DXGI or Direct3D 12.
    """
    dxgi, d3d12 = load("dxgi.dll"), load("d3d12.dll")
    found: list[Adapter] = []
    with _made(lambda out: dxgi.CreateDXGIFactory1(_FACTORY1, out)) as factory:
        for device_id in range(_MOST if factory else 0):
            number = c_uint32(device_id)
            with _made(lambda out, n=number: _call(factory, _ENUM_ADAPTERS1, n, out)) as adapter:
                if not adapter:
                    break
                found.extend(_described(device_id, adapter, d3d12))
    return tuple(found)


def _described(device_id: int, adapter: c_void_p, d3d12: Any) -> Generator[Adapter]:  # noqa: ANN401 - a library, which has no type
    about = AdapterDescription()
    if _call(adapter, _GET_DESC1, ctypes.pointer(about)) < 0:
        return
    if about.flags & _SOFTWARE or (about.vendor_id, about.device_id) == _BASIC_RENDER_DRIVER:
        return
    level = c_uint32(_LEVEL_11)
    with _made(lambda out: d3d12.D3D12CreateDevice(adapter, level, _DEVICE, out)) as device:
        if not device:
            return
        unified = _is_unified(device)
    total = about.dedicated_video_bytes + (about.shared_system_bytes if unified else 0)
    name = bytes(about.name).decode("utf-16-le").split("\0", 1)[0]
    yield Adapter(device_id, name, total, _free_bytes(adapter), unified)


def _is_unified(device: c_void_p) -> bool | None:
    answer = Architecture()
    size = c_uint32(ctypes.sizeof(answer))
    what = c_uint32(_ARCHITECTURE)
    if _call(device, _CHECK_FEATURE_SUPPORT, what, ctypes.pointer(answer), size) < 0:
        return None
    return bool(answer.uma)


def _free_bytes(adapter: c_void_p) -> int | None:
    with _made(lambda out: _call(adapter, _QUERY_INTERFACE, c_char_p(_ADAPTER3), out)) as newer:
        answer = VideoMemory()
        asked = c_uint32(0), c_uint32(_LOCAL), ctypes.pointer(answer)
        if not newer or _call(newer, _QUERY_VIDEO_MEMORY_INFO, *asked) < 0:
            return None
        return max(0, answer.budget - answer.usage)


@contextmanager
def _made(make: Callable[[Any], int]) -> Generator[c_void_p]:
    """Have an object made, and let go of it afterwards; it is null where that failed."""
    made = c_void_p()
    if make(ctypes.pointer(made)) < 0:
        made = c_void_p()
    try:
        yield made
    finally:
        if made:
            _call(made, _RELEASE)


def _call(this: c_void_p, slot: int, *arguments: Any) -> int:  # noqa: ANN401 - any of ctypes'
    """Call a method of a COM object.

    Returns:
        Below zero where it failed.
    """
    methods = ctypes.cast(this, POINTER(POINTER(c_void_p)))[0]
    types: list[Any] = [type(argument) for argument in arguments]
    # 64-bit Windows has one calling convention for all, so C's serves COM.
    method = ctypes.CFUNCTYPE(c_int32, c_void_p, *types)(methods[slot] or 0)
    return method(this, *arguments)
