"""All sensors of a machine together: read once, or prepared to be read each second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from hgx.sensors import android, apple, processor, windows
from hgx.sensors.amdgpu import AmdSampler
from hgx.sensors.battery import power_source, read_battery
from hgx.sensors.card import Survey, reading_of, survey_from_json, survey_to_json
from hgx.sensors.nvml import NvmlSession
from hgx.sensors.nvml_probe import describe_cards
from hgx.sensors.paced import Paced
from hgx.sensors.processor import Conditions, CpuRates, Rates, measure_rates, read_cpu
from hgx.sensors.values import reading

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hgx.core.reading import Battery, Reading
    from hgx.errors import Unavailable
    from hgx.sensors.source import Source

    Sampler = Callable[[], Mapping[str, Reading]]

__all__ = ["NodeReadings", "battery_sampler", "power_source", "read_node", "samplers"]

# Asking these starts a program, and what they tell changes slowly.
_PROGRAM_S = 5.0
_POWERSHELL_S = 20.0
_BATTERY_S = 5.0
_BATTERY_PROGRAM_S = 30.0


class NodeReadings(NamedTuple):
    """A machine at one moment.

    Attributes:
        devices: Readings by backend and index: ``cpu:0``, ``cuda:0`` in NVML's order, ``rocm:0``
            in PCI order, ``metal:0`` and ``directml:0`` where there is one graphics card.
        battery: Null on machines without one, or where nothing tells of it.
        missing: What could not be read, with reasons and remedies.
    """

    devices: dict[str, Reading]
    battery: Battery | None
    missing: tuple[Unavailable, ...]


@dataclass(frozen=True)
class _Ways:
    """How to ask for what one reading and many readings ask differently."""

    rates: Callable[[], Rates]
    survey: Callable[[], Survey]


def read_node(source: Source) -> NodeReadings:
    """Read all sensors once; this takes a tenth of a second, with programs a few seconds.

    NVML is asked in a process of its own.

    Args:
        source: The machine, or a recording.
    """
    survey = describe_cards(source)
    ways = _Ways(lambda: measure_rates(source), lambda: survey)
    devices: dict[str, Reading] = {}
    for sample in _samplers(source, ways).values():
        devices |= sample()
    return NodeReadings(devices, read_battery(source), survey.missing)


def samplers(source: Source) -> dict[str, Sampler]:
    """Prepare to read sensors each second.

    Each sampler is for one thread. Load and power are those since its last call. NVML is asked in
    this process and kept open. Where a reading starts a program it is repeated for some seconds:
    5 for macOS' and Android's heat, 20 for what PowerShell tells.

    Args:
        source: The machine, or a recording.

    Returns:
        By the name of the sensor, what reads its devices; one that vanished is not in the answer.
    """
    return _samplers(source, _Ways(CpuRates(source), _session(source)))


def battery_sampler(source: Source) -> Callable[[], Battery | None]:
    """Prepare to read the battery each second; it is asked every 5 seconds, by programs every 30.

    Args:
        source: The machine, or a recording.
    """
    period = _BATTERY_S if source.system == "Linux" else _BATTERY_PROGRAM_S
    return Paced(lambda: read_battery(source), period)


def _samplers(source: Source, ways: _Ways) -> dict[str, Sampler]:
    match source.system:
        case "Darwin":
            return _darwin(source, ways)
        case "Windows":
            return _windows(source, ways)
        case "Android":
            service = Paced(lambda: android.throttles(source), _PROGRAM_S)
            return _cpu(source, ways, processor.kernel_conditions(source, service))
        case _:
            found = _cpu(source, ways, processor.kernel_conditions(source))
            return found | {"nvml": _nvml(ways), "amdgpu": AmdSampler(source)}


def _cpu(source: Source, ways: _Ways, conditions: Callable[[], Conditions]) -> dict[str, Sampler]:
    return {"cpu": lambda: {"cpu:0": read_cpu(source, ways.rates(), conditions())}}


def _nvml(ways: _Ways) -> Sampler:
    return lambda: {f"cuda:{card.index}": reading_of(card) for card in ways.survey().cards}


def _darwin(source: Source, ways: _Ways) -> dict[str, Sampler]:
    throttles = Paced(lambda: apple.throttles(source), _PROGRAM_S)
    gpu = Paced(lambda: apple.read_gpu(source, throttles()), _PROGRAM_S)

    def metal() -> dict[str, Reading]:
        found = gpu()
        return {"metal:0": found} if found else {}

    return _cpu(source, ways, processor.plain_conditions(source, throttles)) | {"apple": metal}


def _windows(source: Source, ways: _Ways) -> dict[str, Sampler]:
    performance = Paced(lambda: windows.read_performance(source), _POWERSHELL_S)

    def conditions() -> Conditions:
        found = performance()
        return Conditions(found.heat, found.throttles, found.clock_hz)

    def directml() -> dict[str, Reading]:
        share = performance().gpu_utilisation
        return {} if share is None else {"directml:0": reading(utilisation=share)}

    return _cpu(source, ways, conditions) | {"nvml": _nvml(ways), "windows": directml}


def _session(source: Source) -> Callable[[], Survey]:
    """Make what surveys NVIDIA's cards in this process, with NVML opened at the first call."""
    session: list[NvmlSession] = []

    def ask() -> Survey:
        answer = source.ask("nvml", lambda: survey_to_json(opened().read()))
        return survey_from_json(answer) or Survey()

    def opened() -> NvmlSession:
        if not session:
            session.append(NvmlSession())
        return session[0]

    return ask
