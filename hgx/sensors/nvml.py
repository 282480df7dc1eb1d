"""NVIDIA cards through NVML: what each one is, how it fares, and what it could do at best.

``read_cards`` calls the library in this process; ``hgx.sensors.nvml_probe`` does so in another
one, which is what everything that must not hang or crash should use.

Constants and units are those of the NVML API reference: memory in bytes, power in milliwatts,
clocks in megahertz, temperatures in °C, the bus in bits.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from hgx.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

_SHUTDOWN, _SLOWDOWN = 0, 1  # nvmlTemperatureThresholds_t
_GPU_SENSOR = 0  # nvmlTemperatureSensors_t
_SM, _MEMORY = 1, 2  # nvmlClockType_t
_THROTTLES = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "heat (software)",
    0x40: "heat (hardware)",
    0x80: "power brake",
}

_START_FAILURES = {
    9: ("the NVIDIA driver is not loaded", "load it, or restart the machine"),
    12: ("no NVIDIA driver found", "install it if this machine has an NVIDIA card"),
    18: ("the NVIDIA driver and its library differ in version", "restart the machine"),
}


class Nvml(Protocol):
    """What must exist in every version of the library; all else is asked for by name."""

    @property
    def NVMLError(self) -> type[Exception]:  # noqa: N802 - the library's name
        """The root of its errors; they carry the code as ``value``."""
        ...

    def nvmlInit(self) -> object:  # noqa: N802 - the library's name
        """Load the library and talk to the driver."""
        ...

    def nvmlShutdown(self) -> object:  # noqa: N802 - the library's name
        """Let go of the driver."""
        ...

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802 - the library's name
        """Count the cards."""
        ...

    def nvmlDeviceGetHandleByIndex(self, index: int, /) -> object:  # noqa: N802 - the library's name
        """Open a card."""
        ...


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


class Survey(NamedTuple):
    """The cards that answered, and why others, or all, did not."""

    cards: tuple[Card, ...] = ()
    missing: tuple[Unavailable, ...] = ()


def read_cards(nvml: Nvml | None = None) -> Survey:
    """Read all cards, in this process.

    Args:
        nvml: The library; ``pynvml`` when absent.

    Returns:
        No cards and the reason where there is no library, no driver or no card.
    """
    nvml = nvml or cast("Nvml", import_module("pynvml"))
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return Survey(missing=(_start_failure(error),))
    try:
        return _read_all(nvml)
    except nvml.NVMLError as error:
        return Survey(missing=(Unavailable(f"NVML failed: {error}", "run nvidia-smi to see why"),))
    finally:
        nvml.nvmlShutdown()


def _start_failure(error: Exception) -> Unavailable:
    code = getattr(error, "value", None)
    unknown = (f"NVML did not start: {error}", "run nvidia-smi to see why")
    return Unavailable(*_START_FAILURES.get(code, unknown) if isinstance(code, int) else unknown)


def _read_all(nvml: Nvml) -> Survey:
    cards: list[Card] = []
    missing: list[Unavailable] = []
    for index in range(nvml.nvmlDeviceGetCount()):
        try:
            cards.append(_read_card(nvml, index))
        except nvml.NVMLError as error:
            reason = f"NVIDIA card {index} does not answer: {error}"
            missing.append(Unavailable(reason, "run nvidia-smi, or restart the machine"))
    if not cards and not missing:
        remedy = "check that it is seated, powered and passed on to this machine"
        missing.append(Unavailable("the NVIDIA driver sees no card", remedy))
    return Survey(tuple(cards), tuple(missing))


def _read_card(nvml: Nvml, index: int) -> Card:
    card = _Card(nvml, nvml.nvmlDeviceGetHandleByIndex(index))
    memory = card.ask("MemoryInfo")
    return Card(
        index=index,
        uuid=_text(card.ask("UUID")),
        name=_text(card.ask("Name")),
        memory_total_bytes=_positive(getattr(memory, "total", None)),
        memory_free_bytes=_whole(getattr(memory, "free", None)),
        memory_used_bytes=_whole(getattr(memory, "used", None)),
        temperature_c=_whole(card.ask("Temperature", _GPU_SENSOR)),
        slowdown_c=_positive(card.ask("TemperatureThreshold", _SLOWDOWN)),
        shutdown_c=_positive(card.ask("TemperatureThreshold", _SHUTDOWN)),
        power_w=_scaled(card.ask("PowerUsage"), 1e-3),
        power_limit_w=_scaled(card.ask("EnforcedPowerLimit"), 1e-3),
        sm_clock_hz=_scaled(card.ask("ClockInfo", _SM), 1e6),
        memory_clock_hz=_scaled(card.ask("ClockInfo", _MEMORY), 1e6),
        utilisation=_scaled(getattr(card.ask("UtilizationRates"), "gpu", None), 1e-2),
        throttles=_throttles(card.ask("CurrentClocksThrottleReasons")),
        # Double data rate: two transfers per clock, eight bits per byte.
        memory_bandwidth_bytes_per_s=_product(
            card.ask("MemoryBusWidth"), card.ask("MaxClockInfo", _MEMORY), 2e6 / 8
        ),
        # A fused multiply-add per core and clock is two operations.
        compute_flops_per_s=_product(card.ask("NumGpuCores"), card.ask("MaxClockInfo", _SM), 2e6),
    )


class _Card:
    """One open card; a question it cannot answer gives None, unless the card itself is gone."""

    _GONE = 15  # NVML_ERROR_GPU_IS_LOST

    def __init__(self, nvml: Nvml, handle: object) -> None:
        self._nvml = nvml
        self._handle = handle

    def ask(self, what: str, *arguments: int) -> object:
        question = getattr(self._nvml, f"nvmlDeviceGet{what}", None)
        if question is None:
            return None  # an older pynvml
        try:
            return question(self._handle, *arguments)
        except self._nvml.NVMLError as error:
            if getattr(error, "value", None) == self._GONE:
                raise
            return None


def _text(value: object) -> str | None:
    if isinstance(value, bytes):  # pynvml before 11.5
        return value.decode(errors="replace")
    return value if isinstance(value, str) and value else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _positive(value: object) -> int | None:
    return _whole(value) or None


def _scaled(value: object, scale: float) -> float | None:
    number = _whole(value)
    return None if number is None else number * scale


def _product(one: object, other: object, scale: float) -> float | None:
    first, second = _positive(one), _positive(other)
    return first * second * scale if first and second else None


def _throttles(value: object) -> tuple[str, ...] | None:
    bits = _whole(value)
    return None if bits is None else tuple(_named(bits))


def _named(bits: int) -> Iterable[str]:
    return (words for bit, words in _THROTTLES.items() if bits & bit)


def main() -> None:
    """Print the survey as JSON, for ``hgx.sensors.nvml_probe``."""
    survey = read_cards()
    answer = {
        "cards": [asdict(card) for card in survey.cards],
        "missing": [[item.reason, item.remedy] for item in survey.missing],
    }
    print(json.dumps(answer))  # noqa: T201 - this is what the program is for


if __name__ == "__main__":
    main()
