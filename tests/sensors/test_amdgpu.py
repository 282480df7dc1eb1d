"""AMD's cards, from file trees."""

from __future__ import annotations

import pytest

from hgx.core.reading import Reading
from hgx.sensors.amdgpu import AmdCard, AmdSampler, AmdSensors, amd_cards
from tests.sensors.doubles import Told

CARD = "sys/class/drm/card{}/device"
HWMON = f"{CARD.format(0)}/hwmon/hwmon4"


def card(number: int, address: str, **files: str) -> dict[str, str]:
    """Make a card at a PCI address."""
    found = {
        "vendor": "0x1002",
        "uevent": f"DRIVER=amdgpu\nPCI_ID=1002:744C\nPCI_SLOT_NAME={address}",
    }
    return {f"{CARD.format(number)}/{name}": f"{text}\n" for name, text in (found | files).items()}


def test_order_of_cards() -> None:
    """Cards are numbered by PCI address; others' cards and sockets of monitors are none."""
    files = (
        card(0, "0000:0f:00.0") | card(1, "0000:03:00.0") | card(2, "0000:01:00.0", vendor="0x10de")
    )
    files |= {"sys/class/drm/card1-DP-1/device/vendor": "0x1002\n"}
    found = amd_cards(Told(files))
    assert [(each.index, each.pci_address) for each in found] == [
        (0, "0000:03:00.0"),
        (1, "0000:0f:00.0"),
    ]
    assert list(AmdSampler(Told(files))()) == ["rocm:0", "rocm:1"]


def test_description() -> None:
    """A card tells its name, its identity and its memory."""
    files = card(
        *(0, "0000:03:00.0"),
        product_name="AMD Instinct MI210",
        unique_id="deadbeef",
        mem_info_vram_total="68702699520",
        mem_info_vram_used="11251712",
        mem_info_gtt_total="33554432",
    )
    assert amd_cards(Told(files)) == (
        AmdCard(
            *(0, CARD.format(0), "AMD Instinct MI210", "0000:03:00.0", "GPU-deadbeef"),
            *(68702699520, 11251712, 33554432),
        ),
    )


@pytest.mark.parametrize("unique", ["", "0", "0000000000000000"])
def test_cards_without_identity(unique: str) -> None:
    """A part inside a processor has no identity, or zero, which is none."""
    (found,) = amd_cards(Told(card(0, "0000:0f:00.0", unique_id=unique)))
    assert found.uuid is None


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"device": "0x744c", "revision": "0xc8"}, "AMD Radeon RX 7900 XTX"),
        ({"device": "0x744c", "revision": "0x00"}, "AMD 1002:744C"),
        ({"uevent": "", "device": "0x744c"}, "AMD 744c"),
        ({"uevent": ""}, "AMD GPU"),
    ],
)
def test_names(files: dict[str, str], name: str) -> None:
    """Without a product name libdrm's list has it, and else the PCI id stands for it."""
    ids = "# comment\n1.0.0\n744C,\tC8,\tAMD Radeon RX 7900 XTX\n"
    source = Told(card(0, "0000:03:00.0", **files) | {"usr/share/libdrm/amdgpu.ids": ids})
    assert amd_cards(source)[0].name == name


def test_old_card_without_labels() -> None:
    """A card with one sensor without a label gives that one, and its average power."""
    files = card(0, "0000:01:00.0") | {
        f"{HWMON}/temp1_input": "0\n",
        f"{HWMON}/temp1_crit": "94000\n",
        f"{HWMON}/power1_average": "35170000\n",
    }
    (found,) = AmdSampler(Told(files))().values()
    assert found == Reading(temperature_c=0, slowdown_c=94, power_w=35.17, power_kind="average")


def test_power_of_the_moment() -> None:
    """Where a card gives its power of the moment and an average, that of the moment counts."""
    files = {f"{HWMON}/power1_average": "35170000\n", f"{HWMON}/power1_input": "44000000\n"}
    found = AmdSensors(Told(files), CARD.format(0)).read()
    assert found == Reading(power_w=44, power_kind="instant")


def test_clocks() -> None:
    """The first clock is that of the arithmetic units, the second that of the memory."""
    files = {f"{HWMON}/freq1_input": "2485000000\n", f"{HWMON}/freq2_input": "1249000000\n"}
    found = AmdSensors(Told(files), CARD.format(0)).read()
    assert found == Reading(clock_hz=2485e6, memory_clock_hz=1249e6)


def test_card_that_vanishes() -> None:
    """A card that goes away in between is unknown, and no error."""
    source = Told(card(0, "0000:01:00.0", gpu_busy_percent="7", mem_info_vram_total="1000"))
    sample = AmdSampler(source)
    assert sample()["rocm:0"] == Reading(utilisation=0.07, memory_total_bytes=1000)
    source.files.clear()
    assert sample()["rocm:0"] == Reading(memory_total_bytes=1000)


def test_memory_that_does_not_add_up() -> None:
    """More memory in use than there is leaves what is free unknown."""
    files = card(0, "0000:01:00.0", mem_info_vram_total="1000", mem_info_vram_used="1001")
    (found,) = AmdSampler(Told(files))().values()
    assert found == Reading(memory_total_bytes=1000, memory_used_bytes=1001)
