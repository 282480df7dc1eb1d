"""The processor's readings, from recorded file trees and recorded output of programs."""

from __future__ import annotations

import os
import platform
from types import SimpleNamespace
from typing import TYPE_CHECKING

import psutil
import pytest

from hgx.sensors import cpu
from hgx.sensors.cgroup import Limits
from hgx.sensors.source import Machine
from tests.sensors.doubles import Told, always, write_files

if TYPE_CHECKING:
    from pathlib import Path

RAPL = "sys/class/powercap/intel-rapl:{}"


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        ("processor : 0\nmodel name\t: AMD  Ryzen 9: 7950X\n", "AMD Ryzen 9: 7950X"),
        (
            "processor : 0\nHardware : Qualcomm Technologies, Inc SM8550\n",
            "Qualcomm Technologies, Inc SM8550",
        ),
        (
            "processor : 0\nModel : Raspberry Pi 5 Model B Rev 1.0\n",
            "Raspberry Pi 5 Model B Rev 1.0",
        ),
    ],
)
def test_name_on_linux(tmp_path: Path, lines: str, name: str) -> None:
    """Linux tells the model name, or the board on ARM; runs of spaces count as one."""
    write_files(tmp_path, {"proc/cpuinfo": lines})
    assert cpu.cpu_name(Machine(tmp_path, "Linux")) == name


def test_name_on_macos() -> None:
    """MacOS tells the brand through sysctl."""
    commands = {"sysctl -n machdep.cpu.brand_string": "Apple M2\n"}
    assert cpu.cpu_name(Told(commands=commands, system="Darwin")) == "Apple M2"


def test_name_on_windows() -> None:
    """Windows keeps the name in its registry."""
    answer = "HKEY\r\n    ProcessorNameString    REG_SZ    Intel(R) Core(TM) i7\r\n"
    key = r"reg query HKLM\HARDWARE\DESCRIPTION\System\CentralProcessor\0 /v ProcessorNameString"
    source = Told(commands={key: answer}, system="Windows")
    assert cpu.cpu_name(source) == "Intel(R) Core(TM) i7"


@pytest.mark.parametrize("system", ["Linux", "Android", "Darwin", "Windows"])
def test_name_is_never_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    """Where nothing tells a name, the architecture stands for it."""
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    monkeypatch.setattr(Machine, "run", always(None))
    assert cpu.cpu_name(Machine(tmp_path, system)) == "riscv64"
    assert cpu.cpu_name(Told(system=system)) == "CPU"


@pytest.mark.parametrize(("quota", "cores"), [(None, 2), (1.5, 2), (1.0, 1), (0.1, 1), (64.0, 2)])
def test_cores(quota: float | None, cores: int) -> None:
    """Two threads of a core count once, others' cores not at all, and a quota limits the rest."""
    place = "sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    files = {place.format(n): f"{n % 4},{n % 4 + 4}" for n in range(8)}
    source = Told(files, answers={"affinity": [1, 2, 5]})
    assert cpu.usable_cores(source, Limits(cpus=quota)) == cores


def test_cores_of_a_container() -> None:
    """The quota of this process's own group counts."""
    files = {"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "150000 100000"}
    assert cpu.usable_cores(Told(files, answers={"cores": 8})) == 2


def test_cores_without_affinity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no affinity, its physical cores count, or its processors, or one."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(psutil, "cpu_count", always(6))
    assert cpu.usable_cores(Machine(tmp_path), Limits()) == 6
    monkeypatch.setattr(psutil, "cpu_count", always(None))
    monkeypatch.setattr(os, "cpu_count", always(None))
    assert cpu.usable_cores(Machine(tmp_path), Limits()) == 1


def test_this_machine_has_a_core() -> None:
    """This machine has at least one core and not more than processors."""
    assert 1 <= cpu.usable_cores() <= (os.cpu_count() or 1)


def test_cache_on_linux() -> None:
    """The largest cache of the first core is the last level."""
    place = "sys/devices/system/cpu/cpu0/cache/index{}/size"
    files = {place.format(0): "32K\n", place.format(3): "98304K\n", place.format(2): "1024K\n"}
    assert cpu.last_level_cache_bytes(Told(files)) == 98304 * 1024


def test_cache_on_macos() -> None:
    """MacOS tells caches in bytes, and Apple's chips have no third level."""
    commands = {"sysctl -n hw.l2cachesize": "16777216\n"}
    assert cpu.last_level_cache_bytes(Told(commands=commands, system="Darwin")) == 16777216


@pytest.mark.parametrize("system", ["Linux", "Darwin", "Windows"])
def test_cache_unknown(system: str) -> None:
    """Where nothing tells, the cache is unknown."""
    assert cpu.last_level_cache_bytes(Told(system=system)) is None


@pytest.mark.parametrize(
    ("name", "reading", "expected"),
    [
        ("k10temp", "45250", 45.25),
        ("coretemp", "0", 0.0),
        ("coretemp", "-3000", -3.0),
        ("coretemp", "", None),
        ("nvme", "45000", None),
    ],
)
def test_temperature(tmp_path: Path, name: str, reading: str, expected: float | None) -> None:
    """The processor's sensor counts, in thousandths of a degree; zero degrees are a reading."""
    place = "sys/class/hwmon/hwmon1"
    write_files(tmp_path, {f"{place}/name": name, f"{place}/temp1_input": reading})
    assert cpu.temperature_c(Machine(tmp_path)) == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("1000000", "3500000", 50.0),
        ("3500000", "1000000", None),
        ("1", "", None),
        ("1000000", "1000000", None),
        ("", "1", None),
    ],
)
def test_power(before: str, after: str, expected: float | None) -> None:
    """Power is the counter's growth over time, and unknown when it stood or started again."""
    counter = f"{RAPL.format(0)}/energy_uj"
    source = Told({f"{RAPL.format(0)}/name": "package-0\n", counter: before})
    times = iter([10.0, 10.05])

    def sleep(_: float) -> None:
        source.files[counter] = after

    watts = cpu.power_w(source, sleep, lambda: next(times))
    assert watts == (None if expected is None else pytest.approx(expected))


def test_power_of_two_packages() -> None:
    """Packages add up; the whole machine's counter and parts of a package are not among them."""
    names = {"0": "package-0", "0:0": "core", "1": "package-1", "2": "psys"}
    files = {f"{RAPL.format(domain)}/name": name for domain, name in names.items()}
    files |= {f"{RAPL.format(domain)}/energy_uj": "1000000" for domain in names}
    assert cpu.Energy(Told(files)).read_j() == pytest.approx(2.0)
    del files[f"{RAPL.format(1)}/energy_uj"]
    assert cpu.Energy(Told(files)).read_j() is None  # a part is not the whole


def test_power_unknown() -> None:
    """Power is unknown where there is no counter or only root may read it."""
    assert cpu.power_w(Told()) is None


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (SimpleNamespace(current=2596.0), 2.596e9),
        (SimpleNamespace(current=0.0), None),
        (None, None),
        (FileNotFoundError(), None),
    ],
)
def test_clock_on_windows(
    monkeypatch: pytest.MonkeyPatch, answer: object, expected: float | None
) -> None:
    """The clock is in hertz, and unknown where the system does not tell it."""

    def frequency() -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(psutil, "cpu_freq", frequency)
    assert cpu.clock_hz(Machine(system="Windows")) == expected


def test_clock_on_macos() -> None:
    """What psutil gives on Apple's chips is their highest clock, and so no reading."""
    assert cpu.clock_hz(Machine(system="Darwin")) is None


def test_clock_on_linux() -> None:
    """The clock is the mean over cores, of some of them where there are many."""
    place = "sys/devices/system/cpu/cpufreq/policy{:03}/scaling_cur_freq"
    files = {place.format(0): "1000000\n", place.format(1): "3000000\n", place.format(2): "?\n"}
    assert cpu.clock_hz(Told(files)) == 2e9
    many = Told({place.format(n): "1000000\n" if n % 8 == 0 else "2000000\n" for n in range(128)})
    assert cpu.clock_hz(many) == 1e9


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cpu MHz : 2600.000\ncpu MHz\t: 2400.5\n", 2.50025e9),
        ("cpu MHz : fast\n", None),
        ("", None),
    ],
)
def test_clock_of_a_virtual_machine(text: str, expected: float | None) -> None:
    """Without the files of a frequency driver, what the processor's description says counts."""
    assert cpu.clock_hz(Told({"proc/cpuinfo": text})) == expected
