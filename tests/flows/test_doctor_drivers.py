"""Drivers and cards as they are found, hang, crash or are not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hgx.errors import Unavailable
from hgx.flows.doctor_check import Check
from hgx.flows.doctor_drivers import asked_once, driver_checks
from hgx.flows.probe import Missing, Probe, Seen
from hgx.flows.sight import Machine, Sight, sight_of
from hgx.sensors.amdgpu import AmdCard
from hgx.sensors.card import Card, Survey
from hgx.sensors.memory import HostMemory
from hgx.sensors.source import MACHINE
from hgx.units import GIB
from tests.flows.test_doctor_permissions import AMD, NVIDIA
from tests.sensors.doubles import Told

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_NVML = Unavailable("NVML was not found", "install the NVIDIA driver")
NO_CUPY = Unavailable("CuPy is not installed", "install it")


def sight(
    backends: Mapping[str, Probe | Unavailable],
    survey: Survey | None = None,
    amd: tuple[AmdCard, ...] = (),
) -> Sight:
    """Return a look at a machine that says this; each backend may be asked once."""
    unasked = {name: said for name, said in backends.items() if isinstance(said, Probe)}
    return Sight(
        absent=lambda: {
            name: said if isinstance(said, Unavailable) else None for name, said in backends.items()
        },
        probe=unasked.pop,
        survey=lambda: survey or Survey(missing=(NO_NVML,)),
        has_nvidia=lambda: None,
        amd=lambda: amd,
        memory=lambda: HostMemory(4000, 3000),
        battery=lambda: None,
        machine=Machine,
    )


def checked(look: Sight, files: Mapping[str, str] | None = None) -> list[Check]:
    """Make the checks of this area."""
    kept = asked_once(look)
    return [*driver_checks(lambda: kept, Told(files))]


def seen(name: str) -> Probe:
    """Return what a driver says of one device."""
    return Probe(devices=(Seen(index=0, name=name, memory_total_bytes=8 * GIB),))


def test_this_machine() -> None:
    """The real backends are asked, and the processor is among them."""
    kept = asked_once(sight_of())
    found = {check.what: check for check in driver_checks(lambda: kept, MACHINE)}
    assert found["cpu"].state == "ok"
    assert "GiB)" in found["cpu"].found
    assert {"cuda", "rocm", "metal", "directml", "tflite"} <= {*found}
    assert {check.area for check in found.values()} == {"drivers"}
    assert kept.probe("cpu").devices
    assert kept.probe("cpu") is kept.probe("cpu")


def test_without_cards() -> None:
    """Who has no card is told of backends as notes, and of no vendor's library at all."""
    nothing = Probe(missing=Missing(reason="it finds nothing", remedy="buy one"))
    found = checked(
        sight({"cpu": seen("Epyc"), "cuda": NO_CUPY, "tflite": nothing, "mystery": Probe()})
    )
    assert found == [
        Check("drivers", "cpu", "ok", "Epyc (8 GiB)"),
        Check("drivers", "cuda", "note", "CuPy is not installed", "install it"),
        Check("drivers", "tflite", "note", "it finds nothing", "buy one"),
        Check("drivers", "mystery", "note", "it has no device here"),
    ]


@pytest.mark.parametrize("how", ["did not answer in 10 s", "crashed (SIGSEGV)"])
def test_a_driver_that_fails(how: str) -> None:
    """One that hangs or crashes is a fault with its reason; others are fine."""
    reason = f"tflite: looking for devices {how}"
    dead = Probe(missing=Missing(reason=reason, remedy="check the driver"), crashed=True)
    tflite, cpu = checked(sight({"tflite": dead, "cpu": seen("Epyc")}))
    assert tflite == Check("drivers", "tflite", "fault", reason, "check the driver")
    assert cpu.state == "ok"


def test_a_check_that_crashes() -> None:
    """Where a question itself crashes, that backend is a fault and the others are asked."""
    look = sight({"cpu": seen("Epyc"), "rocm": NO_CUPY})

    def lost() -> tuple[AmdCard, ...]:
        raise ZeroDivisionError

    found = {check.what: check.state for check in checked(look._replace(amd=lost))}
    assert found == {"AMD cards": "fault", "cpu": "ok", "rocm": "fault"}


@pytest.mark.parametrize(
    ("survey", "files"),
    [(Survey((Card(0, name="RTX 4090"),)), {}), (Survey(missing=(NO_NVML,)), NVIDIA)],
    ids=["described", "plugged in"],
)
def test_a_card_without_its_runtime(survey: Survey, files: dict[str, str]) -> None:
    """A runtime that is missed by a card is a warning, whoever knows of the card."""
    found = {check.what: check for check in checked(sight({"cuda": NO_CUPY}, survey), files)}
    assert (found["cuda"].state, found["cuda"].remedy) == ("warning", "install it")
    if survey.cards:
        assert found["NVIDIA cards"].found == "RTX 4090, as NVML says"


def test_a_card_without_its_driver() -> None:
    """A card that is plugged in, and whose driver is not there, is a fault."""
    (check,) = checked(sight({}), NVIDIA)
    assert check == Check(
        *("drivers", "NVIDIA cards", "fault", "NVML was not found", "install the NVIDIA driver")
    )


def test_nvml_that_fails() -> None:
    """NVML that crashes is a fault also where the system does not say what is plugged in."""
    crashed = Survey(missing=(Unavailable("reading NVML crashed", "run nvidia-smi"),), sure=False)
    (check,) = checked(sight({}, crashed))
    assert (check.state, check.remedy) == ("fault", "run nvidia-smi")


def test_one_card_of_two() -> None:
    """Where one card answers and another does not, both are told."""
    survey = Survey((Card(0),), (Unavailable("card 1 is lost", "restart"),), sure=False)
    good, lost = checked(sight({}, survey))
    assert good.found == "a card without a name, as NVML says"
    assert (lost.state, lost.found) == ("fault", "card 1 is lost")


def test_amd_cards() -> None:
    """A card that amdgpu drives is fine; one that it does not drive is a warning."""
    card = AmdCard(0, "", "RX 7900", pci_address="0000:03:00.0", memory_total_bytes=1000)
    (good,) = checked(sight({}, amd=(card,)), AMD)
    assert good == Check("drivers", "AMD cards", "ok", "RX 7900, as amdgpu says")
    (bad,) = checked(sight({}), AMD)
    assert bad.state == "warning"
    assert bad.found == "the card at 0000:03:00.0 has no driver that hgx knows"
    assert "modprobe amdgpu" in (bad.remedy or "")
    (_, rocm) = checked(sight({"rocm": NO_CUPY}, amd=(card,)), AMD)
    assert rocm.state == "warning"
