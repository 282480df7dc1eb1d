"""DXGI and Direct3D 12 as objects in memory, laid out as COM lays them out."""

from __future__ import annotations

import ctypes
from ctypes import CFUNCTYPE, POINTER, c_int32, c_uint32, c_void_p
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from hgx.drivers._dxgi import AdapterDescription, Architecture, VideoMemory
from hgx.units import GIB

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NOT_FOUND = -0x7785FFFE  # DXGI_ERROR_NOT_FOUND, 0x887A0002
FAILED = -0x7FFFBFFB  # E_FAIL, 0x80004005
NO_INTERFACE = -0x7FFFBFFE  # E_NOINTERFACE, 0x80004002

_Release = CFUNCTYPE(c_uint32, c_void_p)
_Query = CFUNCTYPE(c_int32, c_void_p, POINTER(ctypes.c_ubyte), POINTER(c_void_p))
_Enumerate = CFUNCTYPE(c_int32, c_void_p, c_uint32, POINTER(c_void_p))
_Describe = CFUNCTYPE(c_int32, c_void_p, POINTER(AdapterDescription))
_QueryMemory = CFUNCTYPE(c_int32, c_void_p, c_uint32, c_uint32, POINTER(VideoMemory))
_CheckFeature = CFUNCTYPE(c_int32, c_void_p, c_uint32, POINTER(Architecture), c_uint32)


@dataclass(frozen=True)
class Card:
    """What an adapter says; a null fails the call that would say it."""

    name: str | None = "Radeon RX 7900 XTX"
    dedicated: int = 24 * GIB
    shared: int = 32 * GIB
    flags: int = 0
    ids: tuple[int, int] = (0x1002, 0x744C)
    direct3d: bool = True
    uma: bool | None = False
    budget: tuple[int, int] | None = (23 * GIB, GIB)


@dataclass
class FakeWindows:
    """Loads libraries in place of ctypes.

    Attributes:
        cards: The adapters; null where DXGI does not start.
        alive: How many references are held; zero when all were let go of.
    """

    cards: Sequence[Card] | None
    alive: int = 0
    _kept: list[Any] = field(default_factory=list[Any])
    _addresses: dict[int, Card] = field(default_factory=dict[int, Card])

    def load(self, name: str) -> FakeWindows:
        """Load a library."""
        assert name in {"dxgi.dll", "d3d12.dll"}
        return self

    def CreateDXGIFactory1(self, identifier: bytes, out: Any) -> int:  # noqa: N802 - its name
        """Make the factory."""
        assert UUID(bytes_le=identifier) == UUID("770aae78-f26f-4dba-a829-253c83d1b387")
        if self.cards is None:
            return FAILED
        out[0] = self._object({12: _Enumerate(self._enumerate)})
        return 0

    def D3D12CreateDevice(self, adapter: Any, level: Any, identifier: bytes, out: Any) -> int:  # noqa: N802 - its name
        """Make a device of an adapter."""
        assert (level.value, UUID(bytes_le=identifier).hex[:8]) == (0xB000, "189819f1")
        card = self._addresses[adapter.value]
        if not card.direct3d:
            return FAILED

        def check(_: int, what: int, answer: Any, size: int) -> int:
            assert (what, size) == (1, ctypes.sizeof(Architecture))
            if card.uma is None:
                return FAILED
            answer[0].uma = card.uma
            return 0

        out[0] = self._object({13: _CheckFeature(check)})
        return 0

    def _enumerate(self, _: int, number: int, out: Any) -> int:
        cards = self.cards or ()
        if number >= len(cards):
            return NOT_FOUND
        out[0] = self._adapter(cards[number])
        return 0

    def _adapter(self, card: Card) -> c_void_p:
        def describe(_: int, answer: Any) -> int:
            if card.name is None:
                return FAILED
            about = answer[0]
            for place, letter in enumerate(card.name):
                about.name[place] = ord(letter)
            about.vendor_id, about.device_id = card.ids
            about.dedicated_video_bytes, about.shared_system_bytes = card.dedicated, card.shared
            about.flags = card.flags
            return 0

        def query(this: int, identifier: Any, out: Any) -> int:
            assert bytes(identifier[:4]) == bytes.fromhex("a4675964")
            if card.budget is None:
                return NO_INTERFACE
            self.alive += 1
            out[0] = this
            return 0

        def memory(_: int, node: int, group: int, answer: Any) -> int:
            assert (node, group) == (0, 0)
            assert card.budget is not None
            answer[0].budget, answer[0].usage = card.budget
            return 0

        made = self._object({0: _Query(query), 10: _Describe(describe), 14: _QueryMemory(memory)})
        assert made.value is not None
        self._addresses[made.value] = card
        return made

    def _object(self, methods: Mapping[int, Any]) -> c_void_p:
        table = (c_void_p * 16)()
        for slot, method in {2: _Release(self._release), **methods}.items():
            self._kept.append(method)
            table[slot] = ctypes.cast(method, c_void_p)
        this = (c_void_p * 1)(ctypes.addressof(table))
        self._kept += [table, this]
        self.alive += 1
        return c_void_p(ctypes.addressof(this))

    def _release(self, _: int) -> int:
        self.alive -= 1
        return 0
