"""Graphics adapters, from objects laid out as Windows lays them out."""

from __future__ import annotations

import ctypes

import pytest

from hgx.drivers._dxgi import Adapter, AdapterDescription, Architecture, VideoMemory, adapters
from hgx.units import GIB, MIB
from tests.drivers.fake_dxgi import Card, FakeWindows

DISCRETE = Adapter(0, "Radeon RX 7900 XTX", 24 * GIB, 22 * GIB, unified_memory=False)


def listed(*cards: Card) -> tuple[Adapter, ...]:
    """List adapters of a machine with these cards, and see that nothing is left held."""
    windows = FakeWindows(cards)
    found = adapters(windows.load)
    assert windows.alive == 0
    return found


def test_discrete_card() -> None:
    """A card of its own has its own memory, and what Windows lets this process use more."""
    assert listed(Card()) == (DISCRETE,)


def test_unified_card() -> None:
    """A card that shares the host's memory has that besides its own."""
    card = Card("Intel(R) Arc(TM) Graphics", 128 * MIB, 8 * GIB, uma=True, budget=(7 * GIB, 0))
    (adapter,) = listed(card)
    assert adapter.memory_total_bytes == 8 * GIB + 128 * MIB
    assert adapter.memory_free_bytes == 7 * GIB
    assert adapter.unified_memory


def test_what_is_unknown_is_null() -> None:
    """Older Windows says nothing of budgets, and a driver may not know its architecture."""
    (adapter,) = listed(Card(uma=None, budget=None))
    assert adapter == DISCRETE._replace(memory_free_bytes=None, unified_memory=None)


def test_more_used_than_allowed() -> None:
    """A process beyond its budget has nothing left, not less than nothing."""
    assert listed(Card(budget=(GIB, 2 * GIB)))[0].memory_free_bytes == 0


@pytest.mark.parametrize(
    "other",
    [
        Card("Software", flags=2),
        Card("Microsoft Basic Render Driver", ids=(0x1414, 0x8C)),
        Card("too old", direct3d=False),
        Card(None),
    ],
)
def test_left_out(other: Card) -> None:
    """Software, and cards without DirectX 12, are left out; the rest keep Windows' numbers."""
    assert listed(other, Card()) == (DISCRETE._replace(device_id=1),)


def test_no_dxgi() -> None:
    """Where DXGI does not start there are no adapters."""
    windows = FakeWindows(None)
    assert adapters(windows.load) == ()
    assert windows.alive == 0


def test_counting_ends() -> None:
    """However many adapters Windows lists, counting ends."""
    assert len(listed(*[Card()] * 70)) == 64


@pytest.mark.skipif(ctypes.sizeof(ctypes.c_size_t) != 8, reason="sizes are those of 64 bits")
def test_structures_have_the_sizes_of_windows() -> None:
    """Structures are as large as those of 64-bit Windows' headers."""
    sizes = [ctypes.sizeof(each) for each in (AdapterDescription, Architecture, VideoMemory)]
    assert sizes == [312, 16, 32]
