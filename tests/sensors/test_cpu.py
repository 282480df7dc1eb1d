"""The processor's readings, from recorded file trees and recorded output of programs."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import psutil
import pytest

from hgx.sensors import cpu
from hgx.sensors.cgroup import Limits
from tests.sensors.doubles import always, write_files

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def silent(_: Sequence[str]) -> str:
    """Stand for a program that is not there."""
    return ""


def test_name_on_linux(tmp_path: Path) -> None:
    """Linux tells the model name, in which runs of spaces count as one."""
    write_files(tmp_path, {"proc/cpuinfo": "processor : 0\nmodel name\t: AMD  Ryzen 9: 7950X\n"})
    assert cpu.cpu_name("Linux", tmp_path) == "AMD Ryzen 9: 7950X"


def test_name_on_macos() -> None:
    """MacOS tells the brand through sysctl."""
    assert cpu.cpu_name("Darwin", output=lambda command: f"Apple {command[0]}") == "Apple sysctl"


def test_name_on_windows() -> None:
    """Windows keeps the name in its registry."""
    answer = "HKEY\r\n    ProcessorNameString    REG_SZ    Intel(R) Core(TM) i7\r\n"
    assert cpu.cpu_name("Windows", output=lambda _: answer) == "Intel(R) Core(TM) i7"


@pytest.mark.parametrize("system", ["Linux", "Darwin", "Windows"])
def test_name_is_never_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    """Where nothing tells a name, the architecture stands for it."""
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert cpu.cpu_name(system, tmp_path, silent) == "riscv64"


@pytest.mark.parametrize(("quota", "cores"), [(None, 2), (1.5, 2), (1.0, 1), (0.1, 1), (64.0, 2)])
@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="affinity is Linux's")
def test_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: float | None, cores: int
) -> None:
    """Two threads of a core count once, others' cores not at all, and a quota limits the rest."""
    place = "sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    write_files(tmp_path, {place.format(n): f"{n % 4},{n % 4 + 4}" for n in range(8)})
    monkeypatch.setattr(os, "sched_getaffinity", always({1, 2, 5}))
    assert cpu.usable_cores(tmp_path, Limits(cpus=quota)) == cores


def test_cores_without_affinity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no affinity, its physical cores count, or its processors, or one."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(psutil, "cpu_count", always(6))
    assert cpu.usable_cores(tmp_path, Limits()) == 6
    monkeypatch.setattr(psutil, "cpu_count", always(None))
    monkeypatch.setattr(os, "cpu_count", always(None))
    assert cpu.usable_cores(tmp_path, Limits()) == 1


def test_this_machine_has_a_core() -> None:
    """This machine has at least one core and not more than processors."""
    assert 1 <= cpu.usable_cores() <= (os.cpu_count() or 1)


def test_cache_on_linux(tmp_path: Path) -> None:
    """The largest cache of the first core is the last level."""
    place = "sys/devices/system/cpu/cpu0/cache/index{}/size"
    write_files(
        tmp_path, {place.format(0): "32K", place.format(3): "98304K", place.format(2): "1024K"}
    )
    assert cpu.last_level_cache_bytes(tmp_path, silent) == 98304 * 1024


def test_cache_on_macos(tmp_path: Path) -> None:
    """MacOS tells caches in bytes, and Apple's chips have no third level."""
    answers = {"hw.l3cachesize": "", "hw.l2cachesize": "16777216"}
    assert cpu.last_level_cache_bytes(tmp_path, lambda line: answers[line[-1]]) == 16777216


def test_cache_unknown(tmp_path: Path) -> None:
    """Where nothing tells, the cache is unknown."""
    assert cpu.last_level_cache_bytes(tmp_path, silent) is None


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
    assert cpu.temperature_c(tmp_path) == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [("1000000", "3500000", 50.0), ("3500000", "1000000", None), ("1", "", None)],
)
def test_power(tmp_path: Path, before: str, after: str, expected: float | None) -> None:
    """Power is the counter's growth over time, and unknown when the counter started again."""
    counter = "sys/class/powercap/intel-rapl:0/energy_uj"
    write_files(tmp_path, {counter: before})
    times = iter([10.0, 10.05])
    watts = cpu.power_w(
        tmp_path, lambda _: write_files(tmp_path, {counter: after}), lambda: next(times)
    )
    assert watts == (None if expected is None else pytest.approx(expected))


def test_power_unknown(tmp_path: Path) -> None:
    """Power is unknown where there is no counter or only root may read it."""
    assert cpu.power_w(tmp_path) is None


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (SimpleNamespace(current=2596.0), 2.596e9),
        (SimpleNamespace(current=0.0), None),
        (None, None),
        (FileNotFoundError(), None),
    ],
)
def test_clock(monkeypatch: pytest.MonkeyPatch, answer: object, expected: float | None) -> None:
    """The clock is in hertz, and unknown where the system does not tell it."""

    def frequency() -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(psutil, "cpu_freq", frequency)
    assert cpu.clock_hz() == expected


def test_programs_of_the_system() -> None:
    """The output of a program is taken without its line end, and a missing one says nothing."""
    assert cpu.output_of((sys.executable, "-c", "print(' x ')")) == "x"
    assert cpu.output_of(("no-such-program-of-hgx",)) == ""


def test_programs_that_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that does not end in time says nothing."""

    def hang(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("sysctl", 2)

    monkeypatch.setattr(subprocess, "run", hang)
    assert cpu.output_of(("sysctl",)) == ""
