"""What is asked of one NVIDIA card through NVML, and how its answers are understood.

Constants and units are those of the NVML API reference: memory in bytes, power in milliwatts,
clocks in megahertz, temperatures in °C, the bus in bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from hgx.sensors.card import Card

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SHUTDOWN, SLOWDOWN, MEM_MAX, GPU_MAX = 0, 1, 2, 3  # nvmlTemperatureThresholds_t
_GPU_SENSOR = 0  # nvmlTemperatureSensors_t
_SM, _MEMORY = 1, 2  # nvmlClockType_t
_GPU_IS_LOST = 15  # NVML_ERROR_GPU_IS_LOST
_POWER_AVERAGE, _POWER_INSTANT = 185, 186  # NVML_FI_DEV_POWER_*
_UNSIGNED_INT = 1  # nvmlValueType_t
_AMPERE, _BLACKWELL = 7, 10  # nvmlDeviceArchitecture_t
_GA100 = (8, 0)  # compute capability: the one Ampere whose power is of the moment
_THROTTLES = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "heat (software)",
    0x40: "heat (hardware)",
    0x80: "power brake",
}

PowerKind = Literal["instant", "average"]


class Questions:
    """One open card; a question it cannot answer gives None, unless the card itself is gone.

    Args:
        nvml: The library.
        error: The root of its errors.
        handle: The card, as the library opened it.
    """

    def __init__(self, nvml: object, error: type[Exception], handle: object) -> None:
        self._nvml = nvml
        self._error = error
        self._handle = handle

    def ask(self, what: str, *arguments: object) -> object:
        """Ask what is behind ``nvmlDeviceGet``."""
        question: Callable[..., object] | None = getattr(self._nvml, f"nvmlDeviceGet{what}", None)
        if question is None:
            return None  # an older pynvml
        try:
            return question(self._handle, *arguments)
        except self._error as error:
            if getattr(error, "value", None) == _GPU_IS_LOST:
                raise
            return None


class Facts(NamedTuple):
    """What does not change while a card is there, so that it is asked once."""

    name: str | None
    pci_address: str | None
    slowdown_c: float | None
    shutdown_c: float | None
    gpu_limit_c: float | None
    memory_limit_c: float | None
    memory_bandwidth_bytes_per_s: float | None
    compute_flops_per_s: float | None
    usage_kind: PowerKind | None


def read_uuid(card: Questions) -> str | None:
    """Ask who the card is."""
    return _text(card.ask("UUID"))


def read_facts(card: Questions) -> Facts:
    """Ask for what does not change."""
    slowdown, shutdown, gpu, memory = (
        _positive(card.ask("TemperatureThreshold", threshold))
        for threshold in (SLOWDOWN, SHUTDOWN, GPU_MAX, MEM_MAX)
    )
    return Facts(
        name=_text(card.ask("Name")),
        pci_address=_pci_address(getattr(card.ask("PciInfo"), "busId", None)),
        slowdown_c=slowdown,
        shutdown_c=shutdown,
        gpu_limit_c=gpu,
        memory_limit_c=memory,
        # Double data rate: two transfers per clock, eight bits per byte.
        memory_bandwidth_bytes_per_s=_product(
            card.ask("MemoryBusWidth"), card.ask("MaxClockInfo", _MEMORY), 2e6 / 8
        ),
        # A fused multiply-add per core and clock is two operations.
        compute_flops_per_s=_product(card.ask("NumGpuCores"), card.ask("MaxClockInfo", _SM), 2e6),
        usage_kind=_usage_kind(card.ask("Architecture"), card.ask("CudaComputeCapability")),
    )


def read_card(card: Questions, index: int, uuid: str | None, facts: Facts) -> Card:
    """Ask for what changes.

    Args:
        card: The card.
        index: Its number.
        uuid: Who it is.
        facts: What does not change.
    """
    memory = card.ask("MemoryInfo")
    power_w, power_kind = _power(card, facts.usage_kind)
    reasons = card.ask("CurrentClocksEventReasons")
    if reasons is None:
        reasons = card.ask("CurrentClocksThrottleReasons")  # its name before CUDA 12
    return Card(
        index=index,
        uuid=uuid,
        name=facts.name,
        memory_total_bytes=_positive(getattr(memory, "total", None)),
        memory_free_bytes=_whole(getattr(memory, "free", None)),
        memory_used_bytes=_whole(getattr(memory, "used", None)),
        temperature_c=_whole(card.ask("Temperature", _GPU_SENSOR)),
        slowdown_c=facts.slowdown_c,
        shutdown_c=facts.shutdown_c,
        power_w=power_w,
        power_limit_w=_scaled(card.ask("EnforcedPowerLimit"), 1e-3),
        sm_clock_hz=_scaled(card.ask("ClockInfo", _SM), 1e6),
        memory_clock_hz=_scaled(card.ask("ClockInfo", _MEMORY), 1e6),
        utilisation=_scaled(getattr(card.ask("UtilizationRates"), "gpu", None), 1e-2),
        throttles=_throttles(reasons),
        memory_bandwidth_bytes_per_s=facts.memory_bandwidth_bytes_per_s,
        compute_flops_per_s=facts.compute_flops_per_s,
        pci_address=facts.pci_address,
        power_kind=power_kind,
        gpu_limit_c=facts.gpu_limit_c,
        memory_limit_c=facts.memory_limit_c,
    )


def _power(card: Questions, usage_kind: PowerKind | None) -> tuple[float | None, PowerKind | None]:
    """Ask for the power of the moment, or the average, or what the card gives without saying."""
    fields = card.ask("FieldValues", [_POWER_INSTANT, _POWER_AVERAGE])
    milliwatts = dict(_fields(fields))
    if _POWER_INSTANT in milliwatts:
        return milliwatts[_POWER_INSTANT] * 1e-3, "instant"
    if _POWER_AVERAGE in milliwatts:
        return milliwatts[_POWER_AVERAGE] * 1e-3, "average"
    watts = _scaled(card.ask("PowerUsage"), 1e-3)
    return watts, None if watts is None else usage_kind


def _fields(fields: object) -> Iterable[tuple[int, int]]:
    """Give number and value of the fields that the card answered."""
    try:
        answered = list(cast("Iterable[object]", fields))  # of a ctypes array, or of nothing
    except TypeError:
        return
    for field in answered:
        number = _whole(getattr(field, "fieldId", None))
        value = _whole(getattr(getattr(field, "value", None), "uiVal", None))
        is_there = getattr(field, "nvmlReturn", None) == 0
        is_there = is_there and getattr(field, "valueType", None) == _UNSIGNED_INT
        if is_there and number is not None and value is not None:
            yield number, value


def _usage_kind(architecture: object, capability: object) -> PowerKind | None:
    """Say what nvmlDeviceGetPowerUsage means: a second's average from Ampere on, GA100 excepted."""
    generation = _whole(architecture)
    if generation is None or generation > _BLACKWELL:
        return None  # newer than what its reference says, or unknown
    if generation < _AMPERE:
        return "instant"
    if generation > _AMPERE:
        return "average"
    if not isinstance(capability, tuple):
        return None
    return "instant" if cast("tuple[object, ...]", capability) == _GA100 else "average"


def _pci_address(bus: object) -> str | None:
    """Write a bus id as Linux does: four digits of domain where they suffice."""
    text = (_text(bus) or "").lower()
    domain, _, rest = text.partition(":")
    return f"{domain[-4:] if domain[:-4].strip('0') == '' else domain}:{rest}" if rest else None


def _text(value: object) -> str | None:
    if isinstance(value, bytes):  # pynvml before 11.5
        value = value.decode(errors="replace")
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
    if bits is None:
        return None
    return tuple(words for bit, words in _THROTTLES.items() if bits & bit)
