"""All sensors of a machine together, and samplers that read them each second."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hgx.core.reading import Battery
from hgx.sensors import node, nvml
from hgx.sensors.node import battery_sampler, read_node, samplers
from hgx.sensors.source import MACHINE, Machine
from tests.sensors.doubles import GPU_IS_LOST, H200, FakeNvml, Told, always

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import JsonValue

STATE = "notifyutil -g com.apple.system.thermalpressurelevel"
CARD = "sys/class/drm/card0/device"


@pytest.mark.parametrize(
    ("system", "names"),
    [
        ("Linux", ["cpu", "nvml", "amdgpu"]),
        ("FreeBSD", ["cpu", "nvml", "amdgpu"]),
        ("Android", ["cpu"]),
        ("Darwin", ["cpu", "apple"]),
        ("Windows", ["cpu", "nvml", "windows"]),
    ],
)
def test_machine_that_says_nothing(system: str, names: list[str]) -> None:
    """A machine of which nothing is known has a processor, of which everything is unknown."""
    source = Told(system=system)
    found = read_node(source)
    assert list(found.devices) == ["cpu:0"]
    assert set(found.devices["cpu:0"].model_dump().values()) == {None}
    assert (found.battery, found.missing) == (None, ())
    sample = samplers(source)
    assert list(sample) == names
    assert [device for each in sample.values() for device in each()] == ["cpu:0"]
    assert battery_sampler(source)() is None


def test_this_machine() -> None:
    """This machine has a processor with memory, and load where its counters moved."""
    live = read_node(MACHINE)
    assert live.devices["cpu:0"].memory_total_bytes
    sample = samplers(MACHINE)["cpu"]
    first, second = sample()["cpu:0"], sample()["cpu:0"]
    assert first.utilisation is None
    assert second.memory_total_bytes == live.devices["cpu:0"].memory_total_bytes


def test_nvml_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """NVML is opened at the first sample only, stays open, and a lost card is not in the answer."""
    library = FakeNvml((H200, H200))
    loaded: list[str] = []

    def load(name: str) -> FakeNvml:
        loaded.append(name)
        return library

    monkeypatch.setattr(nvml, "import_module", load)
    sample = samplers(Machine(system="Linux"))["nvml"]
    assert loaded == []
    assert list(sample()) == ["cuda:0", "cuda:1"]
    library.cards = (GPU_IS_LOST, H200)
    assert list(sample()) == ["cuda:1"]
    assert (loaded, library.running) == (["pynvml"], 1)


def test_probe_is_in_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading once asks NVML in another process, not here."""

    def fail(_: str) -> None:
        pytest.fail("pynvml was loaded here")

    monkeypatch.setattr(nvml, "import_module", fail)
    assert "cpu:0" in read_node(Machine(system="Linux")).devices


def test_cards_are_in_the_order_of_their_bus() -> None:
    """AMD's cards have numbers by PCI address."""
    files = {f"{CARD}/vendor": "0x1002\n", f"{CARD}/gpu_busy_percent": "50\n"}
    assert samplers(Told(files))["amdgpu"]()["rocm:0"].utilisation == 0.5


def test_programs_are_not_started_each_second() -> None:
    """What needs a program is asked once in a while, and once for all devices."""
    gpu = "ioreg -r -d 1 -c IOAccelerator -w 0"
    commands = {STATE: "x 2\n", gpu: '"PerformanceStatistics" = {"Device Utilization %"=5}'}
    source = Told(commands=commands, system="Darwin")
    sample = samplers(source)
    for _ in range(3):
        assert sample["cpu"]()["cpu:0"].throttles == ("heat (heavy)",)
        assert sample["apple"]()["metal:0"].throttles == ("heat (heavy)",)
    assert (source.asked.count(STATE), source.asked.count(gpu)) == (1, 1)


def test_android_asks_its_service() -> None:
    """Where no file of a phone tells of throttling, its thermal service does."""
    commands = {"dumpsys thermalservice": "Thermal Status: 2\n"}
    source = Told(commands=commands, system="Android")
    assert read_node(source).devices["cpu:0"].throttles == ("heat (moderate)",)


def test_windows_is_asked_once() -> None:
    """One PowerShell serves the processor and the graphics card."""
    source = Told(system="Windows")
    sample = samplers(source)
    for _ in range(3):
        sample["cpu"]()
        sample["windows"]()
    assert len([line for line in source.asked if "powershell" in line]) == 1


def test_battery_is_not_asked_each_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """A battery's answer is kept for a while."""
    answers = iter([Battery(charge=0.5), Battery(charge=0.4)])

    def read(_: object) -> Battery:
        return next(answers)

    monkeypatch.setattr(node, "read_battery", read)
    sample = battery_sampler(Told())
    assert sample() == sample() == Battery(charge=0.5)


def test_nvml_answers_that_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that is no survey is no card."""

    def ask(_: object, name: str, call: Callable[[], JsonValue]) -> JsonValue:
        return 5 if name == "nvml" else call()

    monkeypatch.setattr(Machine, "ask", ask)
    monkeypatch.setattr(Machine, "run", always(None))
    assert samplers(Machine(system="Windows"))["nvml"]() == {}
