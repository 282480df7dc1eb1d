"""AMD's graphics cards on Linux, from sysfs and hwmon of the amdgpu driver.

Files and units are those of the kernel's ``gpu/amdgpu/thermal`` and ``driver-misc`` documents:
thousandths of a degree, microwatts, hertz, bytes. Why clocks are held down is only in
``gpu_metrics``, a binary of many versions, and so unknown here. Unverified on hardware.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hgx.sensors import values
from hgx.sensors.values import plausible, read_number, read_word

if TYPE_CHECKING:
    from hgx.core.reading import Reading
    from hgx.sensors.source import Source

_VENDOR = "0x1002"
_CARD = re.compile(r"sys/class/drm/card[0-9]+")  # not its sockets, as card0-DP-1
_NAMES = "usr/share/libdrm/amdgpu.ids"
_CHIP_LABELS = ("junction", "edge")  # in the order of their heat
_MILLI, _MICRO = 1e-3, 1e-6


@dataclass(frozen=True)
class AmdCard:
    """One card; what its driver does not tell is null.

    Attributes:
        index: Its number in the order of PCI addresses, from 0.
        path: Of its device, below the root.
        name: The vendor's name, or its PCI id.
        pci_address: Where it is, as ``0000:03:00.0``.
        uuid: Its identity, the same in another slot.
        memory_total_bytes: Memory of its own; of a part inside a processor, what is set aside.
        memory_used_bytes: How much of it is in use.
        shared_memory_total_bytes: What it may use of the host's memory besides.
    """

    index: int
    path: str
    name: str
    pci_address: str | None = None
    uuid: str | None = None
    memory_total_bytes: int | None = None
    memory_used_bytes: int | None = None
    shared_memory_total_bytes: int | None = None


def amd_cards(source: Source) -> tuple[AmdCard, ...]:
    """Find the cards and describe them.

    Args:
        source: The machine, or a recording.
    """
    found: list[tuple[str, str, dict[str, str]]] = []
    for card in source.glob("sys/class/drm/card[0-9]*"):
        path = f"{card}/device"
        if _CARD.fullmatch(card) and read_word(source, f"{path}/vendor") == _VENDOR:
            lines = (source.read(f"{path}/uevent") or "").splitlines()
            facts = {name: value for name, _, value in (line.partition("=") for line in lines)}
            found.append((facts.get("PCI_SLOT_NAME", ""), path, facts))
    return tuple(
        _describe(source, index, path, facts)
        for index, (_, path, facts) in enumerate(sorted(found, key=lambda card: card[:2]))
    )


def card_uuid(source: Source, path: str) -> str | None:
    """Read a card's identity, spelled as HIP spells it; null where the card has none.

    Parts inside a processor have none, or one that is zero: all of them would be the same card.

    Args:
        source: The machine, or a recording.
        path: Of the card's device, below the root.
    """
    unique = read_word(source, f"{path}/unique_id").lower()
    return f"GPU-{unique}" if unique.strip("0") else None


def _describe(source: Source, index: int, path: str, facts: dict[str, str]) -> AmdCard:
    return AmdCard(
        index=index,
        path=path,
        name=_name(source, path, facts),
        pci_address=facts.get("PCI_SLOT_NAME") or None,
        uuid=card_uuid(source, path),
        memory_total_bytes=_bytes(source, f"{path}/mem_info_vram_total") or None,
        memory_used_bytes=_bytes(source, f"{path}/mem_info_vram_used"),
        shared_memory_total_bytes=_bytes(source, f"{path}/mem_info_gtt_total"),
    )


def _bytes(source: Source, path: str) -> int | None:
    found = plausible("memory_used_bytes", source.read(path))
    return None if found is None else int(found)


def _name(source: Source, path: str, facts: dict[str, str]) -> str:
    name = read_word(source, f"{path}/product_name")
    if name:
        return name
    device = read_word(source, f"{path}/device").removeprefix("0x").lower()
    revision = read_word(source, f"{path}/revision").removeprefix("0x").lower()
    # Lines of libdrm's list: device, revision, name.
    for line in (source.read(_NAMES) or "").splitlines():
        fields = [field.strip() for field in line.split(",", 2)]
        if device and len(fields) == 3 and [f.lower() for f in fields[:2]] == [device, revision]:
            return fields[2]
    return f"AMD {facts.get('PCI_ID') or device or 'GPU'}"


class AmdSensors:
    """The sensors of one card; it looks for them once, and is then cheap to read.

    Args:
        source: The machine, or a recording.
        path: Of the card's device, below the root.
    """

    def __init__(self, source: Source, path: str) -> None:
        self._source = source
        self._path = path
        chips = source.glob(f"{path}/hwmon/hwmon*")
        self._chip = chips[0] if chips else f"{path}/hwmon/hwmon0"
        self._heat = _hottest(source, self._chip)
        self._power, self._power_kind = _power(source, self._chip)
        self._slowdown_c = read_number(source, f"{self._heat}_crit", _MILLI)
        self._shutdown_c = read_number(source, f"{self._heat}_emergency", _MILLI)
        self._total_bytes = _bytes(source, f"{path}/mem_info_vram_total") or None

    def read(self) -> Reading:
        """Read them; what the card does not tell is null."""
        source, total = self._source, self._total_bytes
        used = _bytes(source, f"{self._path}/mem_info_vram_used")
        return values.reading(
            temperature_c=read_number(source, f"{self._heat}_input", _MILLI),
            slowdown_c=self._slowdown_c,
            shutdown_c=self._shutdown_c,
            power_w=self._power and read_number(source, self._power, _MICRO),
            power_kind=self._power_kind,
            power_limit_w=read_number(source, f"{self._chip}/power1_cap", _MICRO),
            clock_hz=read_number(source, f"{self._chip}/freq1_input"),
            memory_clock_hz=read_number(source, f"{self._chip}/freq2_input"),
            utilisation=read_number(source, f"{self._path}/gpu_busy_percent", 0.01),
            memory_total_bytes=total,
            memory_used_bytes=used,
            memory_free_bytes=None if total is None or used is None else total - used,
        )


class AmdSampler:
    """Readings of all cards; it looks for cards and sensors once, and is then cheap.

    Args:
        source: The machine, or a recording.
    """

    def __init__(self, source: Source) -> None:
        self._sensors = {card.index: AmdSensors(source, card.path) for card in amd_cards(source)}

    def __call__(self) -> dict[str, Reading]:
        """Read each card, by ``rocm:`` and its number here; ROCm may number fewer cards.

        A driver's card is this one where their identities are the same, not their numbers.
        """
        return {f"rocm:{index}": sensors.read() for index, sensors in self._sensors.items()}


def _hottest(source: Source, chip: str) -> str:
    """Say how the files of the chip's hottest sensor begin; that of its memory is left out."""
    labels = {
        read_word(source, path): path.removesuffix("_label")
        for path in source.glob(f"{chip}/temp*_label")
    }
    # Older cards have one sensor, and no label for it.
    return next((labels[name] for name in _CHIP_LABELS if name in labels), f"{chip}/temp1")


def _power(source: Source, chip: str) -> tuple[str | None, str | None]:
    """Say which file has the power, and of what: cards have one of the two, or both."""
    for name, kind in (("power1_input", "instant"), ("power1_average", "average")):
        if read_number(source, f"{chip}/{name}") is not None:
            return f"{chip}/{name}", kind
    return None, None
