"""An NVIDIA card at one moment, and what surveys of them look like as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from pydantic import TypeAdapter, ValidationError

from hgx.errors import Unavailable
from hgx.sensors import values

if TYPE_CHECKING:
    from pydantic import JsonValue

    from hgx.core.reading import Reading


@dataclass(frozen=True)
class Card:
    """One card at one moment; what the card or its driver does not tell is null.

    Attributes:
        index: Its number in NVML's order, which is the order on the PCI bus.
        uuid: Its identity, the same after it moved to another slot.
        name: The vendor's name.
        memory_total_bytes: Memory of its own; null on parts that share the host's.
        memory_free_bytes: Memory nobody uses.
        memory_used_bytes: Memory in use, the driver's own included.
        temperature_c: Of the chip.
        slowdown_c: Where the hardware begins to slow down.
        shutdown_c: Where it switches itself off.
        power_w: Drawn now.
        power_limit_w: What it may draw.
        sm_clock_hz: Clock of the cores now.
        memory_clock_hz: Clock of the memory now.
        utilisation: Share of the last interval in which a kernel ran, 0 to 1.
        throttles: Why clocks are held down now, in words; empty where they are not.
        memory_bandwidth_bytes_per_s: Bus width times twice the highest memory clock.
        compute_flops_per_s: Cores times twice the highest clock: 32-bit multiply-adds.
        pci_address: Where it is, as ``0000:01:00.0``.
        power_kind: Whether ``power_w`` is of the moment or an average over a second.
        gpu_limit_c: Where the driver slows it down below its base clock.
        memory_limit_c: Where the driver slows it down because of its memory's temperature.
    """

    index: int
    uuid: str | None = None
    name: str | None = None
    memory_total_bytes: int | None = None
    memory_free_bytes: int | None = None
    memory_used_bytes: int | None = None
    temperature_c: float | None = None
    slowdown_c: float | None = None
    shutdown_c: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    sm_clock_hz: float | None = None
    memory_clock_hz: float | None = None
    utilisation: float | None = None
    throttles: tuple[str, ...] | None = None
    memory_bandwidth_bytes_per_s: float | None = None
    compute_flops_per_s: float | None = None
    pci_address: str | None = None
    power_kind: Literal["instant", "average"] | None = None
    gpu_limit_c: float | None = None
    memory_limit_c: float | None = None


class Survey(NamedTuple):
    """The cards that answered, and why others, or all, did not.

    Attributes:
        cards: In NVML's order.
        missing: Reasons and remedies.
        sure: Whether a card that is not among these is not there: false where NVML failed.
    """

    cards: tuple[Card, ...] = ()
    missing: tuple[Unavailable, ...] = ()
    sure: bool = True


_CARDS = TypeAdapter(tuple[Card, ...])
_MISSING = TypeAdapter(tuple[tuple[str, str], ...])


def reading_of(card: Card) -> Reading:
    """Return what a card says of this moment."""
    return values.reading(
        temperature_c=card.temperature_c,
        slowdown_c=card.slowdown_c,
        shutdown_c=card.shutdown_c,
        throttles=card.throttles,
        power_w=card.power_w,
        power_kind=card.power_kind,
        power_limit_w=card.power_limit_w,
        clock_hz=card.sm_clock_hz,
        memory_clock_hz=card.memory_clock_hz,
        utilisation=card.utilisation,
        memory_total_bytes=card.memory_total_bytes,
        memory_used_bytes=card.memory_used_bytes,
        memory_free_bytes=card.memory_free_bytes,
    )


def survey_to_json(survey: Survey) -> JsonValue:
    """Write a survey as JSON."""
    cards = [
        {**asdict(card), "throttles": card.throttles and [*card.throttles]} for card in survey.cards
    ]
    missing = [[item.reason, item.remedy] for item in survey.missing]
    return cast("JsonValue", {"cards": cards, "missing": missing, "sure": survey.sure})


def survey_from_json(value: object) -> Survey | None:
    """Read a survey; null where it is none."""
    found = values.mapping(value)
    try:
        cards = _CARDS.validate_python(found["cards"])
        missing = _MISSING.validate_python(found["missing"])
    except (KeyError, ValidationError):
        return None
    sure = found.get("sure") is not False
    return Survey(cards, tuple(Unavailable(*item) for item in missing), sure)
