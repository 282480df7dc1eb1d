"""NVIDIA cards, from recorded answers of NVML."""

from __future__ import annotations

import importlib
import json
from types import SimpleNamespace

import pytest

from hgx.sensors import nvml
from hgx.sensors.nvml import Card, read_cards
from tests.sensors.doubles import GB10, GPU_IS_LOST, H200, FakeNvml, FakeNvmlError, always


def test_h200() -> None:
    """A server card tells everything; rates are those of its bus, cores and highest clocks."""
    library = FakeNvml((H200,))
    (card,), missing = read_cards(library)
    assert missing == ()
    assert card == Card(
        index=0,
        uuid="GPU-00000000-1111-2222-3333-444444444444",
        name="NVIDIA H200",
        memory_total_bytes=150_754_820_096,
        memory_free_bytes=149_946_368_000,
        memory_used_bytes=808_452_096,
        temperature_c=31,
        slowdown_c=89,
        shutdown_c=92,
        power_w=76.5,
        power_limit_w=None,
        sm_clock_hz=345e6,
        memory_clock_hz=3201e6,
        utilisation=0.5,
        throttles=("power cap", "heat (software)"),
        memory_bandwidth_bytes_per_s=4_916_736_000_000,
        compute_flops_per_s=66_908_160_000_000,
    )
    assert library.running == 0


def test_unified_part() -> None:
    """A part without memory of its own leaves null what it does not tell; 0 °C is a reading."""
    (card,), missing = read_cards(FakeNvml((GB10,)))
    assert missing == ()
    assert card == Card(
        index=0,
        uuid="GPU-99999999-1111-2222-3333-444444444444",
        name="NVIDIA GB10",
        temperature_c=0,
        throttles=(),
        compute_flops_per_s=36_900_864_000_000,
    )


@pytest.mark.parametrize(
    ("code", "reason", "remedy"),
    [
        (9, "the NVIDIA driver is not loaded", "load it"),
        (12, "no NVIDIA driver found", "install it if"),
        (18, "the NVIDIA driver and its library differ in version", "restart the machine"),
        (999, "NVML did not start: code 999", "run nvidia-smi"),
    ],
)
def test_library_does_not_start(code: int, reason: str, remedy: str) -> None:
    """Without library or driver there are no cards, but a reason and a remedy."""
    cards, (missing,) = read_cards(FakeNvml((H200,), start=code))
    assert cards == ()
    assert missing.reason == reason
    assert missing.remedy.startswith(remedy)


def test_no_cards() -> None:
    """A driver without a card is a reason too."""
    cards, (missing,) = read_cards(FakeNvml())
    assert cards == ()
    assert missing.reason == "the NVIDIA driver sees no card"


def test_counting_fails() -> None:
    """A driver that starts and then fails gives its reason and is let go of."""
    library = FakeNvml(count=999)
    cards, (missing,) = read_cards(library)
    assert (cards, missing.reason, library.running) == ((), "NVML failed: code 999", 0)


@pytest.mark.parametrize("lost", [GPU_IS_LOST, {"MemoryInfo": FakeNvmlError(GPU_IS_LOST)}])
def test_one_card_is_lost(lost: int | dict[object, object]) -> None:
    """A card that fell off the bus is a reason, and the others keep their numbers."""
    cards, (missing,) = read_cards(FakeNvml((lost, H200)))
    assert [card.index for card in cards] == [1]
    assert missing.reason == "NVIDIA card 0 does not answer: code 15"


def test_printed_survey(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a program it loads pynvml and prints cards and reasons as JSON."""
    library = FakeNvml((H200, GPU_IS_LOST))
    monkeypatch.setattr(nvml, "import_module", always(library))
    nvml.main()
    answer = json.loads(capsys.readouterr().out)
    assert [card["name"] for card in answer["cards"]] == ["NVIDIA H200"]
    assert answer["missing"][0][0] == "NVIDIA card 1 does not answer: code 15"


def test_real_library_has_what_is_asked_for() -> None:
    """Every question is a function of the pynvml that is installed, with these constants."""
    pynvml = importlib.import_module("pynvml")
    asked: set[str] = set()

    class Recorder:
        NVMLError = FakeNvmlError
        nvmlInit = nvmlShutdown = staticmethod(always(None))  # noqa: N815 - the library's names
        nvmlDeviceGetCount = staticmethod(always(1))  # noqa: N815 - the library's name
        nvmlDeviceGetHandleByIndex = staticmethod(always(None))  # noqa: N815 - the library's name

        def __getattr__(self, name: str) -> object:
            asked.add(name)
            return always(None)

    nvml.read_cards(Recorder())  # pyright: ignore[reportArgumentType] - answers nothing at all
    assert len(asked) > 10
    assert [name for name in asked if not hasattr(pynvml, name)] == []
    constants = SimpleNamespace(
        NVML_TEMPERATURE_THRESHOLD_SHUTDOWN=0,
        NVML_TEMPERATURE_THRESHOLD_SLOWDOWN=1,
        NVML_TEMPERATURE_GPU=0,
        NVML_CLOCK_SM=1,
        NVML_CLOCK_MEM=2,
        NVML_ERROR_DRIVER_NOT_LOADED=9,
        NVML_ERROR_LIBRARY_NOT_FOUND=12,
        NVML_ERROR_GPU_IS_LOST=15,
        NVML_ERROR_LIB_RM_VERSION_MISMATCH=18,
        nvmlClocksThrottleReasonSwPowerCap=0x04,
        nvmlClocksThrottleReasonHwSlowdown=0x08,
        nvmlClocksThrottleReasonSwThermalSlowdown=0x20,
        nvmlClocksThrottleReasonHwThermalSlowdown=0x40,
        nvmlClocksThrottleReasonHwPowerBrakeSlowdown=0x80,
    )
    for name, value in vars(constants).items():
        assert getattr(pynvml, name) == value
