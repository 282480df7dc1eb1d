"""One backend in a process of its own, whatever becomes of that process."""

from __future__ import annotations

import sys

import pytest

from hgx.drivers.base import DeviceError, DeviceInfo, MemoryInfo
from hgx.drivers.cpu import CpuDriver
from hgx.errors import Unavailable
from hgx.flows.probe import Probe, Seen, probe, quick_benchmarks
from hgx.flows.probe_child import look, measure
from hgx.sensors.memory import read_memory


def python(code: str) -> tuple[str, ...]:
    """Return the command that runs a line of Python."""
    return (sys.executable, "-S", "-c", code)


def test_the_processor_is_seen() -> None:
    """In a process of its own, this machine's processor is found, and marked as the fallback."""
    (seen,) = probe("cpu").devices
    assert seen.fallback
    assert seen.memory_total_bytes == read_memory().total_bytes
    assert seen.memory_free_bytes


def test_the_processor_is_measured() -> None:
    """In a process of its own, this machine's processor is measured, samples and all."""
    quick = quick_benchmarks("cpu", 0)
    assert quick.problem is None
    assert [result.name for result in quick.benchmarks] == ["read", "matmul_float32"]
    assert all(result.samples for result in quick.benchmarks)


def test_a_device_that_is_not_there_is_not_measured() -> None:
    """An unknown index is a problem in one sentence."""
    quick = quick_benchmarks("cpu", 7)
    assert quick.benchmarks == ()
    assert quick.problem == "there is no device cpu:7: the only one is cpu:0"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os; os.abort()", "looking for devices crashed (SIGABRT)"),
        ("raise SystemExit(3)", "looking for devices ended with status 3"),
        ("raise SystemExit('no card')", "ended with status 1, saying 'no card'"),
        ("print('hello')", "gave no usable answer"),
        ("print('{}', end='')", "gave no usable answer"),
        ("", "gave no usable answer"),
        ("import time; time.sleep(60)", "did not answer in 0.5 s"),
    ],
)
def test_a_library_that_fails(code: str, reason: str) -> None:
    """A crash, a hang and nonsense each become the reason why there are no devices."""
    found = probe("toaster", silence_s=0.5 if "sleep" in code else 20, command=python(code))
    assert found.crashed
    assert found.devices == ()
    assert found.missing is not None
    assert found.missing.reason.startswith("toaster: ")
    assert reason in found.missing.reason
    assert "toaster" in found.missing.remedy


@pytest.mark.parametrize("end", ["os.abort()", "time.sleep(60)", "raise SystemExit(3)"])
def test_a_library_that_fails_after_its_answer(end: str) -> None:
    """What was answered counts, however the process ends after that, or if it does not."""
    answer = Probe(devices=(Seen(index=0, name="Toaster", memory_total_bytes=1000),))
    code = f"import os, time; print({answer.model_dump_json()!r}, flush=True); {end}"
    assert probe("toaster", command=python(code)) == answer


def test_a_program_that_is_not_there() -> None:
    """A process that cannot be started is a reason too, and of measuring as well."""
    nowhere = ("/nowhere/python",)
    missing = probe("cpu", command=nowhere).missing
    assert missing is not None
    assert "could not start" in missing.reason
    problem = quick_benchmarks("cpu", 0, command=nowhere).problem
    assert problem is not None
    assert problem.startswith("cpu:0: measuring it could not start")


def test_what_a_driver_says_is_missing() -> None:
    """A driver without its runtime answers with reason and remedy, and is no crash."""

    class Absent(CpuDriver):
        def initialize(self) -> None:
            reason, remedy = "no toaster", "plug it in"
            raise Unavailable(reason, remedy)

    found = look(Absent())
    assert not found.crashed
    assert found.missing is not None
    assert (found.missing.reason, found.missing.remedy) == ("no toaster", "plug it in")
    assert measure(Absent(), 0).problem == "no toaster: plug it in"


def test_a_device_whose_sensors_fail_is_still_there() -> None:
    """When memory or temperature cannot be read, the device is listed with what is known."""

    class Numb(CpuDriver):
        def list_devices(self) -> tuple[DeviceInfo, ...]:
            return (DeviceInfo(0, "Toaster", 1000, uuid="T-1"),)

        def memory_info(self, index: int) -> MemoryInfo:
            msg = f"device {index} does not answer"
            raise DeviceError(msg)

    seen = Seen(index=0, name="Toaster", memory_total_bytes=1000, uuid="T-1")
    assert look(Numb()) == Probe(devices=(seen,))
