"""All checks together: in order, none able to stop the others, and nothing left behind."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from hgx.drivers.base import DeviceError
from hgx.flows import doctor
from hgx.flows.doctor import Wish, examine, first_to_mend, worst
from hgx.flows.doctor_check import Check
from hgx.flows.sight import sight_of
from hgx.store.home import Home

if TYPE_CHECKING:
    from pathlib import Path

    from hgx.flows.doctor_check import State
    from hgx.flows.probe import Probe

AREAS = ["place", "permissions", "engines", "drivers", "ports", "peers"]


DAMAGED = (
    ("place", "registry"),
    ("permissions", "home"),
    ("permissions", "identity"),
    ("permissions", "paired peers"),
    ("engines", "llama.cpp"),
    ("peers", "others"),
)


def wish(**fields: object) -> Wish:
    """Return a wish for ports that are free, and no multicast."""
    with socket.create_server(("", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        ports = {"node_port": one.getsockname()[1], "model_port": two.getsockname()[1]}
    return Wish(multicast=False)._replace(**ports, **fields)


def test_this_machine(tmp_path: Path) -> None:
    """All areas are there in their order, each together, and no home is made."""
    home = Home(tmp_path / "none")
    found = examine(home, wish())
    areas = [check.area for check in found]
    assert list(dict.fromkeys(areas)) == AREAS
    assert areas == sorted(areas, key=AREAS.index)
    assert all(check.remedy for check in found if check.state in {"warning", "fault"})
    assert not home.path.exists()


def test_everything_is_damaged(tmp_path: Path) -> None:
    """Where all of hgx's own files are damaged each is a fault, and the rest is checked."""
    (tmp_path / "identity").mkdir()
    for file in ("registry.json", "trusted.json", "node.json", "peers.txt", "identity/node.pem"):
        (tmp_path / file).write_text("{ damaged")
    (tmp_path / "llama-server").write_text("#!/bin/sh\nkill -4 $$\n")
    (tmp_path / "llama-server").chmod(0o755)
    found = examine(Home(tmp_path), wish(engine_dir=tmp_path))
    faults = [(check.area, check.what) for check in found if check.state == "fault"]
    assert {*DAMAGED} <= {*faults}
    assert all(check.remedy for check in found if check.state == "fault")
    first = first_to_mend(found)
    assert first is not None
    assert (first.area, first.what) == faults[0] == DAMAGED[0]


def test_drivers_that_cannot_even_be_asked(tmp_path: Path) -> None:
    """A module of a driver that is broken costs the drivers, and nothing else."""

    def broken() -> dict[str, None]:
        msg = "a module is broken"
        raise DeviceError(msg)

    found = examine(Home(tmp_path), wish(), sight=sight_of()._replace(absent=broken))
    faults = {(check.area, check.what) for check in found if check.state == "fault"}
    assert {("engines", "cards"), ("drivers", "backends")} <= faults
    assert list(dict.fromkeys(check.area for check in found)) == AREAS


def test_a_driver_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that nothing ends is given up when the time is over."""
    go = threading.Event()
    look = sight_of()

    def hang(name: str) -> Probe:
        go.wait(120)
        return look.probe(name)

    monkeypatch.setattr(doctor, "_DRIVERS_S", 0.5)
    monkeypatch.setattr("hgx.flows.doctor_engines._CARDS_S", 0.5)
    found = examine(Home(tmp_path), wish(), sight=look._replace(probe=hang))
    go.set()
    faults = {(check.area, check.what) for check in found if check.state == "fault"}
    assert {("engines", "cards"), ("drivers", "backends")} <= faults


@pytest.mark.parametrize(
    ("states", "expected", "first"),
    [
        ([], "ok", None),
        (["ok"], "ok", None),
        (["ok", "note", "ok"], "note", None),
        (["note", "warning", "warning"], "warning", 1),
        (["warning", "ok", "fault", "fault"], "fault", 2),
    ],
)
def test_the_worst_and_the_first(states: list[State], expected: str, first: int | None) -> None:
    """The worst check decides, and the first of the worst is to be mended first."""
    checks = [Check("place", "disk", state, f"{number}") for number, state in enumerate(states)]
    assert worst(checks) == expected
    assert first_to_mend(checks) is (None if first is None else checks[first])
