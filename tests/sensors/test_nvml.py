"""NVIDIA cards, from recorded answers of NVML."""

from __future__ import annotations

import importlib
import json
from io import StringIO
from types import SimpleNamespace

import pytest

from hgx.core.reading import Reading
from hgx.sensors import nvml
from hgx.sensors.card import survey_from_json, survey_to_json
from hgx.sensors.nvml import Card, NvmlSession, Survey, read_cards, reading_of
from tests.sensors.doubles import GB10, GPU_IS_LOST, H200, FakeNvml, FakeNvmlError, always


def test_h200() -> None:
    """A server card tells everything; rates are those of its bus, cores and highest clocks."""
    library = FakeNvml((H200,))
    (card,), missing, _ = read_cards(library)
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
    (card,), missing, _ = read_cards(FakeNvml((GB10,)))
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
    cards, (missing,), _ = read_cards(FakeNvml((H200,), start=code))
    assert cards == ()
    assert missing.reason == reason
    assert missing.remedy.startswith(remedy)


def test_no_cards() -> None:
    """A driver without a card is a reason too."""
    cards, (missing,), _ = read_cards(FakeNvml())
    assert cards == ()
    assert missing.reason == "the NVIDIA driver sees no card"


def test_counting_fails() -> None:
    """A driver that starts and then fails gives its reason and is let go of."""
    library = FakeNvml(count=999)
    cards, (missing,), sure = read_cards(library)
    assert not sure
    assert (cards, missing.reason, library.running) == ((), "NVML failed: code 999", 0)


@pytest.mark.parametrize("lost", [GPU_IS_LOST, {"MemoryInfo": FakeNvmlError(GPU_IS_LOST)}])
def test_one_card_is_lost(lost: int | dict[object, object]) -> None:
    """A card that fell off the bus is a reason, and the others keep their numbers."""
    cards, (missing,), sure = read_cards(FakeNvml((lost, H200)))
    assert not sure
    assert [card.index for card in cards] == [1]
    assert missing.reason == "NVIDIA card 0 does not answer: code 15"


def test_printed_survey(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a program it loads pynvml and prints cards and reasons as JSON."""
    library = FakeNvml((H200, GPU_IS_LOST))
    monkeypatch.setattr(nvml, "import_module", always(library))
    output = StringIO()
    nvml.print_survey(output)
    assert output.getvalue().count("\n") == 1
    answer = json.loads(output.getvalue())
    assert [card["name"] for card in answer["cards"]] == ["NVIDIA H200"]
    assert answer["missing"][0][0] == "NVIDIA card 1 does not answer: code 15"


def power_field(number: int, milliwatts: int, *, failed: int = 0, kind: int = 1) -> object:
    """Make a field as the library gives it."""
    return SimpleNamespace(
        fieldId=number,
        nvmlReturn=failed,
        valueType=kind,
        value=SimpleNamespace(uiVal=milliwatts),
    )


INSTANT, AVERAGE = power_field(186, 400_000), power_field(185, 300_000)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([INSTANT, AVERAGE], (400.0, "instant")),
        ([power_field(186, 0, failed=3), AVERAGE], (300.0, "average")),
        ([power_field(186, 1, kind=0), power_field(185, 1, failed=3)], (76.5, None)),
        ([object()], (76.5, None)),
        (5, (76.5, None)),
    ],
)
def test_power_of_the_moment_or_on_average(fields: object, expected: tuple[float, str]) -> None:
    """Power is that of the moment where the card tells it, else the average, else its usage."""
    card = {**H200, ("FieldValues", (186, 185)): fields}
    (found,) = read_cards(FakeNvml((card,))).cards
    assert (found.power_w, found.power_kind) == expected


@pytest.mark.parametrize(
    ("architecture", "capability", "kind"),
    [
        (6, (7, 5), "instant"),
        (7, (8, 0), "instant"),
        (7, (8, 6), "average"),
        (7, 8, None),
        (9, (9, 0), "average"),
        (10, (12, 0), "average"),
        (13, (13, 0), None),
        (0xFFFFFFFF, (1, 0), None),
    ],
)
def test_what_power_usage_means(architecture: int, capability: object, kind: str | None) -> None:
    """A card's usage is a second's average from Ampere on, GA100 excepted, else of the moment."""
    card = {**H200, "Architecture": architecture, "CudaComputeCapability": capability}
    (found,) = read_cards(FakeNvml((card,))).cards
    assert (found.power_w, found.power_kind) == (76.5, kind)


def test_all_limits_and_reasons() -> None:
    """Limits of the driver, the newer name of the reasons, and the place on the bus are read."""
    card = {
        **H200,
        ("TemperatureThreshold", 2): 95,
        ("TemperatureThreshold", 3): 87,
        "CurrentClocksEventReasons": 0xC9,
        "PciInfo": SimpleNamespace(busId="00000000:C1:00.0"),
    }
    (found,) = read_cards(FakeNvml((card,))).cards
    assert (found.memory_limit_c, found.gpu_limit_c) == (95, 87)
    assert found.throttles == ("hardware slowdown", "heat (hardware)", "power brake")
    assert found.pci_address == "0000:c1:00.0"


@pytest.mark.parametrize(
    ("bus", "address"),
    [("00010000:01:00.0", "00010000:01:00.0"), (b"0002:01:00.0", "0002:01:00.0"), ("x", None)],
)
def test_places_on_the_bus(bus: object, address: str | None) -> None:
    """A large domain keeps its digits, and what is no address is unknown."""
    card = {**H200, "PciInfo": SimpleNamespace(busId=bus)}
    (found,) = read_cards(FakeNvml((card,))).cards
    assert found.pci_address == address


def test_reading_of_a_card() -> None:
    """What a card says of the moment is its reading."""
    (card,) = read_cards(FakeNvml(({**H200, ("FieldValues", (186, 185)): [INSTANT]},))).cards
    assert reading_of(card) == Reading(
        temperature_c=31,
        slowdown_c=89,
        shutdown_c=92,
        throttles=("power cap", "heat (software)"),
        power_w=400,
        power_kind="instant",
        clock_hz=345e6,
        memory_clock_hz=3201e6,
        utilisation=0.5,
        memory_total_bytes=150_754_820_096,
        memory_used_bytes=808_452_096,
        memory_free_bytes=149_946_368_000,
    )
    (unified,) = read_cards(FakeNvml((GB10,))).cards
    assert reading_of(unified) == Reading(temperature_c=0, throttles=())


def test_session_stays_open() -> None:
    """A session starts NVML once, asks what does not change once, and lets go of it at the end."""
    library = FakeNvml((H200,))
    with NvmlSession(library) as session:
        first = session.read()
        library.cards = ({**H200, "Name": "renamed", ("Temperature", 0): 99},)
        (second,) = session.read().cards
        assert library.running == 1
    assert library.running == 0
    assert (second.name, second.temperature_c) == ("NVIDIA H200", 99)
    assert first.cards[0].temperature_c == 31


def test_session_tells_cards_apart() -> None:
    """Another card of the same number, or one without identity, is asked for everything anew."""
    library = FakeNvml((H200,))
    with NvmlSession(library) as session:
        session.read()
        other: dict[object, object] = {"Name": "other", "UUID": "GPU-other"}
        nameless: dict[object, object] = {"Name": "nameless"}
        library.cards = (other, nameless)
        assert [card.name for card in session.read().cards] == ["other", "nameless"]
        nameless["Name"] = "changed"
        assert [card.name for card in session.read().cards] == ["other", "changed"]


def test_session_starts_again() -> None:
    """A driver that failed is started anew; one that is not there is not looked for again."""
    library = FakeNvml((H200,), count=999)
    session = NvmlSession(library)
    assert session.read().missing[0].reason == "NVML failed: code 999"
    library.count = None
    assert len(session.read().cards) == 1
    session.close()
    session.close()
    assert library.running == 0
    library.start = 9
    assert session.read().missing[0].reason == "the NVIDIA driver is not loaded"
    library.start = 12
    session.read()
    library.start = None
    assert session.read().missing[0].reason == "no NVIDIA driver found"


def test_surveys_as_json() -> None:
    """A survey is the same after it was written and read; what is none is null."""
    survey = read_cards(FakeNvml((H200, GPU_IS_LOST, GB10)))
    text = json.dumps(survey_to_json(survey))
    again = survey_from_json(json.loads(text))
    assert again is not None
    assert again.cards == survey.cards
    assert [reason.message for reason in again.missing] == [
        reason.message for reason in survey.missing
    ]
    assert survey_from_json(survey_to_json(Survey())) == Survey()
    for nonsense in ("null", "[]", "{}", '{"cards":5,"missing":[]}', '{"cards":[{}],"missing":[]}'):
        assert survey_from_json(json.loads(nonsense)) is None


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
        NVML_TEMPERATURE_THRESHOLD_MEM_MAX=2,
        NVML_TEMPERATURE_THRESHOLD_GPU_MAX=3,
        NVML_TEMPERATURE_GPU=0,
        NVML_FI_DEV_POWER_AVERAGE=185,
        NVML_FI_DEV_POWER_INSTANT=186,
        NVML_VALUE_TYPE_UNSIGNED_INT=1,
        NVML_DEVICE_ARCH_AMPERE=7,
        NVML_DEVICE_ARCH_BLACKWELL=10,
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
