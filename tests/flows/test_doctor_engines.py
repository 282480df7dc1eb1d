"""Engines that are there, run and use the cards of a machine, and those that do not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hgx.core.registry import Device
from hgx.engine.base import EngineDevice
from hgx.engine.binaries import Toolkit
from hgx.engine.hello import Protocol
from hgx.errors import EngineError, Unavailable
from hgx.flows import doctor_engines
from hgx.flows.doctor_check import Check, run_parts
from hgx.flows.doctor_engines import Engines, ask_engines, engine_parts
from hgx.store.home import Home
from hgx.store.trust import TrustedPeer, add_trusted
from hgx.units import GIB
from tests.sensors.doubles import always

if TYPE_CHECKING:
    from collections.abc import Callable

CPU = EngineDevice(name="CPU", description="Epyc", kind="cpu", memory_total_bytes=8 * GIB)
GPU = EngineDevice(name="CUDA0", description="RTX 4090", kind="gpu")
TOOLKIT = Toolkit(
    server=Path("/opt/llama/llama-server"),
    rpc_server=Path("/opt/llama/ggml-rpc-server"),
    fit_params=None,
    bench=None,
    version="0.6.0",
    build=11434,
    commit=None,
    source="PATH",
)
PROTOCOL = Protocol(7, 0, 0)
NOT_THERE = Unavailable("it is not there", "install it")


def raising(error: Exception) -> Callable[..., object]:
    """Return a call that raises."""

    def call(*_: object) -> object:
        raise error

    return call


def engines(**answers: object) -> Engines:
    """Return what is asked of engines, with some answers of its own; an error is raised."""
    said = {"paired": False, "embedded": (CPU,), "toolkit": TOOLKIT, "devices": (CPU,)}
    said |= {"protocol": PROTOCOL, "test": None, "cards": (), **answers}
    named = bool(said.pop("named", False))
    calls = {
        name: raising(answer) if isinstance(answer, Exception) else always(answer)
        for name, answer in said.items()
    }
    return Engines(named, **calls)  # pyright: ignore[reportArgumentType] - the answers' types vary


def checked(asked: Engines) -> list[Check]:
    """Make the checks of this area."""
    return [*run_parts(engine_parts(asked))]


def card(number: int, name: str = "RTX 4090", backend: str = "cuda") -> Device:
    """Return a device of this machine."""
    return Device(
        id=f"here/{backend}:{number}",
        node="here",
        backend=backend,
        name=name,
        memory_total_bytes=GIB,
        memory_bandwidth_bytes_per_s=1,
        compute_flops_per_s=1,
    )


def test_all_is_there() -> None:
    """Each engine says its version and its devices."""
    embedded, programs, devices, rpc, test = checked(engines())
    assert embedded.found.startswith("xllamacpp ")
    assert embedded.found.endswith("can use CPU (Epyc, 8 GiB)")
    assert programs.found == "version 0.6.0, build 11434, in /opt/llama (PATH)"
    assert devices.found == "llama.cpp can use CPU (Epyc, 8 GiB)"
    assert rpc.found == "speaks protocol 7.0.0"
    assert test.found == "llama.cpp made a token on CPU"
    assert {check.state for check in (embedded, programs, devices, rpc, test)} == {"ok"}


def test_no_engine_at_all() -> None:
    """Without any engine that is a fault: no model can be run."""
    nothing = {"embedded": NOT_THERE, "toolkit": NOT_THERE, "devices": NOT_THERE}
    embedded, programs = checked(engines(**nothing))
    assert (embedded.state, embedded.remedy) == ("fault", "install it")
    assert programs.state == "note"


def test_programs_in_place_of_the_embedded_engine() -> None:
    """Where llama.cpp's programs are there, the embedded engine is not missed."""
    assert checked(engines(embedded=NOT_THERE))[0].state == "note"


@pytest.mark.parametrize(
    ("answers", "state"), [({}, "note"), ({"paired": True}, "warning"), ({"named": True}, "fault")]
)
def test_no_programs(answers: dict[str, object], state: str) -> None:
    """Missing programs matter where a machine is paired, and most where they were named."""
    _, programs = checked(engines(toolkit=NOT_THERE, devices=NOT_THERE, **answers))
    assert programs == Check(
        "engines",
        "llama.cpp",
        state,  # pyright: ignore[reportArgumentType] - one of the states
        "it is not there; without them a model runs on one machine alone",
        "install it",
    )


def test_an_embedded_engine_that_does_not_run() -> None:
    """An engine that is installed and does not run is a fault, with what to do."""
    error = EngineError("the engine does not run here: reinstall it")
    embedded, *_ = checked(engines(embedded=error))
    assert embedded == Check(
        "engines", "embedded engine", "fault", "the engine does not run here", "reinstall it"
    )


def test_a_mixed_installation() -> None:
    """What may not belong together is a warning; what is unknown of a build is left out."""
    notes = ("b may be of another build than a: use a folder that has both",)
    toolkit = Toolkit(Path("/a/llama-server"), None, None, None, None, None, None, "PATH", notes)
    missing = Unavailable("there is no ggml-rpc-server", "install it")
    _, programs, mixed, _, rpc, _ = checked(engines(toolkit=toolkit, protocol=missing))
    assert programs.found == "in /a (PATH)"
    assert (mixed.state, mixed.found) == ("warning", "b may be of another build than a")
    assert mixed.remedy == "use a folder that has both"
    assert (rpc.state, rpc.found) == ("note", "there is no ggml-rpc-server")
    paired = checked(engines(toolkit=toolkit, protocol=missing, paired=True))
    assert paired[4].state == "warning"


def test_an_rpc_server_that_is_no_program() -> None:
    """One that is there and cannot be started is a fault."""
    *_, rpc, _ = checked(engines(protocol=Unavailable("it cannot be started", "check it")))
    assert (rpc.state, rpc.remedy) == ("fault", "check it")


def test_devices_that_cannot_be_listed() -> None:
    """Where llama-server dies of looking for devices that is a fault, and nothing is tested."""
    error = EngineError("llama-server --list-devices crashed: use another build")
    *_, devices, rpc = checked(engines(devices=error))
    assert (devices.state, devices.remedy, rpc.state) == ("fault", "use another build", "ok")


def test_self_tests() -> None:
    """Each device is tested, and one that fails does not stop the others."""

    def test(_: Toolkit, device: str) -> None:
        if device == "CUDA0":
            raise EngineError("llama.cpp does not work on CUDA0: it died; use another build")

    asked = engines(devices=(CPU, GPU))._replace(test=test)
    *_, good, bad = checked(asked)
    assert good == Check("engines", "self-test", "ok", "llama.cpp made a token on CPU")
    assert bad == Check(
        "engines",
        "self-test",
        "fault",
        "llama.cpp does not work on CUDA0: it died",
        "use another build",
    )


def test_cards() -> None:
    """For each card it is said which engine can use it; one that none can is a warning."""
    asked = engines(
        cards=(card(0), card(1, "RTX 9999"), card(0, backend="cpu")),
        embedded=EngineError("it crashed: mend it"),
        devices=(CPU, GPU),
    )
    *_, used, unused = checked(asked)
    assert used == Check("engines", "cuda:0", "ok", "RTX 4090 can be used by llama.cpp's programs")
    assert unused.state == "warning"
    assert unused.found == "RTX 9999 is there, and no engine here can use it"
    assert "xllamacpp for CUDA" in (unused.remedy or "")


def test_a_card_that_both_can_use() -> None:
    """Both engines are named."""
    *_, used = checked(engines(cards=(card(0),), embedded=(GPU,), devices=(CPU, GPU)))
    assert used.found.endswith("by the embedded engine and llama.cpp's programs")


def test_an_engine_put_there_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that no installer knows of has no version that could be told."""
    monkeypatch.setattr(doctor_engines, "_EMBEDDED_PACKAGE", "hgx-has-no-such-package")
    assert "of an unknown version" in checked(engines())[0].found


def write(folder: Path, name: str, script: str) -> None:
    """Write a program."""
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_programs_that_crash(tmp_path: Path) -> None:
    """A real rpc server that crashes is a fault with its words, not with a log that is gone."""
    says = "echo 'version: 0.6.0 (build 7, commit 1a2b3c4)'; echo 'Available devices:'"
    write(tmp_path, "llama-server", says)
    write(tmp_path, "ggml-rpc-server", "echo 'error: no such thing' >&2; kill -4 $$")
    asked = ask_engines(Home(tmp_path), tmp_path, tuple)
    assert asked.named
    *good, rpc, test = checked(asked)
    programs = good[1]
    assert [check.state for check in good] == ["ok", "ok", "ok"]
    assert (rpc.state, test.state) == ("fault", "fault")
    assert f"build 7, in {tmp_path} (--engine-dir)" in programs.found
    assert "was killed (SIGILL), saying 'error: no such thing'" in rpc.found
    assert "does not work here on CPU" in test.found
    for check in (rpc, test):
        assert "log" not in check.found
        assert (check.remedy or "").startswith("use another build")


def test_a_server_that_crashes(tmp_path: Path) -> None:
    """A real llama-server that was named and crashes is a fault, and its rpc server no matter."""
    write(tmp_path, "llama-server", "kill -4 $$")
    _, programs = checked(ask_engines(Home(tmp_path), tmp_path, tuple))
    assert programs.state == "fault"
    assert "does not run here: it was killed (SIGILL)" in programs.found


@pytest.mark.llama_cpp
def test_real_programs(llama_cpp: Toolkit, tmp_path: Path) -> None:
    """The real programs are fine, and make a token."""
    asked = ask_engines(Home(tmp_path), llama_cpp.server.parent, tuple)
    found = checked(asked)
    assert {check.state for check in found} == {"ok"}
    assert found[3].found.startswith("speaks protocol 7.")
    assert found[4].found == "llama.cpp made a token on CPU"
    assert asked.toolkit() is asked.toolkit()


def test_who_is_paired(tmp_path: Path) -> None:
    """It is told from the list of peers; one that cannot be read counts as empty here."""
    write(tmp_path, "llama-server", "exit 1")
    home = Home(tmp_path / "home")
    asked = ask_engines(home, tmp_path, tuple)
    assert not asked.paired()
    add_trusted(home, TrustedPeer(fingerprint="1a" * 32))
    assert asked.paired()
    (home.path / "trusted.json").write_text("{")
    assert not asked.paired()
