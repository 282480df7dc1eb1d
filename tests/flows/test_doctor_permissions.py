"""Whether this user may do what hgx needs, and others may not do more than they should."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hgx.flows import doctor_permissions
from hgx.flows.doctor_check import Check, run_parts
from hgx.flows.doctor_permissions import permission_parts
from hgx.net.identity import own_identity
from hgx.sensors.source import Machine
from hgx.store.home import Home
from hgx.store.trust import TrustedPeer, add_trusted
from tests.sensors.doubles import Told, write_files

if TYPE_CHECKING:
    from hgx.sensors.source import Source

NOBODY_THERE = Told()
AMD = {
    "sys/bus/pci/devices/0000:03:00.0/vendor": "0x1002\n",
    "sys/bus/pci/devices/0000:03:00.0/class": "0x030000\n",
}
NVIDIA = {
    "sys/bus/pci/devices/0000:01:00.0/vendor": "0x10de\n",
    "sys/bus/pci/devices/0000:01:00.0/class": "0x030200\n",
}
AUDIO = {
    "sys/bus/pci/devices/0000:01:00.1/vendor": "0x10de\n",
    "sys/bus/pci/devices/0000:01:00.1/class": "0x040300\n",
}


def checked(home: Path, source: Source = NOBODY_THERE) -> dict[str, Check]:
    """Make the checks of this area; return them by what they are about."""
    return {check.what: check for check in run_parts(permission_parts(Home(home), source))}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with an identity and a paired peer, all as hgx makes it."""
    path = tmp_path / "home"
    path.mkdir(mode=0o755)
    own_identity(Home(path))
    add_trusted(Home(path), TrustedPeer(fingerprint="1a" * 32, name="tower"))
    return path


def test_as_hgx_makes_it(home: Path) -> None:
    """What hgx makes itself is as it should be."""
    found = checked(home)
    assert [*found] == ["home", "temporary files", "identity", "paired peers"]
    assert {check.state for check in found.values()} == {"ok"}
    assert own_identity(Home(home)).fingerprint[:16] in found["identity"].found
    assert found["paired peers"].found.startswith("1 in ")


def test_nothing_yet(tmp_path: Path) -> None:
    """Before the first use nothing is wrong, and nothing is made."""
    found = checked(tmp_path / "a" / "home")
    assert found["home"].found == f"{tmp_path / 'a' / 'home'} will be made when it is needed"
    assert (found["home"].state, found["identity"].state) == ("ok", "note")
    assert "paired peers" not in found
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("file", "mode", "expected"),
    [
        ("identity/node.pem", 0o640, ("identity", "can read", "chmod go-rwx")),
        ("identity/node.pem", 0o602, ("identity", "can change", "chmod go-rwx")),
        ("identity/node.pem", 0o666, ("identity", "can read and change", "chmod go-rwx")),
        ("identity", 0o770, ("identity", "can change", "chmod go-w")),
        ("trusted.json", 0o620, ("paired peers", "can change", "chmod go-w")),
        ("", 0o777, ("home", "can change", "chmod go-w")),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="modes of files are POSIX's")
def test_open_to_others(home: Path, file: str, mode: int, expected: tuple[str, str, str]) -> None:
    """What others could read or change is a fault, with the command that mends it."""
    what, found, remedy = expected
    path = home / file
    path.chmod(mode)
    check = checked(home)[what]
    assert check.state == "fault"
    assert check.found == f"other users of this machine {found} {path}"
    assert check.remedy == f"{remedy} {path}"


@pytest.mark.skipif(os.name == "nt", reason="modes of files are POSIX's")
def test_the_remedy_mends_it(home: Path) -> None:
    """After the command that is recommended the check is fine."""
    (home / "identity" / "node.pem").chmod(0o666)
    remedy = checked(home)["identity"].remedy
    assert remedy is not None
    subprocess.run(remedy.split(), check=True)
    assert checked(home)["identity"].state == "ok"


def test_a_peer_list_may_be_read(home: Path) -> None:
    """Who is paired is no secret: certificates are public."""
    (home / "trusted.json").chmod(0o644)
    assert checked(home)["paired peers"].state == "ok"


@pytest.mark.parametrize(
    ("file", "what"),
    [("node.json", "home"), ("identity/node.pem", "identity"), ("trusted.json", "paired peers")],
)
def test_damaged_files(home: Path, file: str, what: str) -> None:
    """A damaged file is a fault that names it, with what to do, and the others are checked."""
    (home / file).write_text("{")
    found = checked(home)
    assert [name for name, check in found.items() if check.state == "fault"] == [what]
    assert file in found[what].found
    assert found[what].remedy


def test_a_home_that_cannot_be(tmp_path: Path) -> None:
    """A home where none can be written is a fault."""
    (tmp_path / "file").touch()
    check = checked(tmp_path / "file" / "home")["home"]
    assert check.state == "fault"
    assert check.found == f"could not write in {tmp_path / 'file'}: not a directory"
    assert check.remedy == "choose a directory, not a file"


def test_no_place_for_temporary_files(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none can be made that is a fault."""
    monkeypatch.setattr(tempfile, "tempdir", str(home / "gone"))
    check = checked(home)["temporary files"]
    assert (check.state, check.remedy) == ("fault", "set TMPDIR, or free some space")
    assert check.found == "there is no place for them (no such file or directory)"


def door(path: str, *, usable: bool, group: str | None) -> dict[str, object]:
    """Return what is answered of a device's file."""
    return {f"access:{path}": {"usable": usable, "group": group}}


def test_a_card_that_may_be_used() -> None:
    """Where this user may use all files of a card that is fine."""
    files = AMD | {"dev/kfd": "", "dev/dri/renderD128": ""}
    answers = door("dev/kfd", usable=True, group="render")
    answers |= door("dev/dri/renderD128", usable=True, group="render")
    check = checked(Path("/nowhere"), Told(files, answers=answers))["AMD cards"]
    assert check == Check(
        "permissions", "AMD cards", "ok", "this user can use /dev/kfd, /dev/dri/renderD128"
    )


@pytest.mark.parametrize(
    ("groups", "remedy"),
    [
        (("render", "video"), "sudo usermod -aG render,video $USER, and log in again"),
        (("render", "render"), "sudo usermod -aG render $USER, and log in again"),
        (("root", None), "have an administrator let this user use them"),
    ],
)
def test_a_card_that_may_not_be_used(groups: tuple[str | None, str | None], remedy: str) -> None:
    """A file of a card that this user may not use is a fault, and the group is named."""
    files = AMD | {"dev/kfd": "", "dev/dri/renderD128": "", "dev/dri/renderD129": ""}
    answers = door("dev/kfd", usable=False, group=groups[0])
    answers |= door("dev/dri/renderD128", usable=False, group=groups[1])
    answers |= door("dev/dri/renderD129", usable=True, group="other")
    check = checked(Path("/nowhere"), Told(files, answers=answers))["AMD cards"]
    assert (check.state, check.remedy) == ("fault", remedy)
    assert check.found == "this user may not use /dev/kfd, /dev/dri/renderD128"


def test_a_card_whose_files_are_missing() -> None:
    """A card without its files, as in a container, is a warning."""
    files = NVIDIA | {"dev/nvidiactl": ""}
    found = checked(Path("/nowhere"), Told(files))
    assert "AMD cards" not in found
    assert found["NVIDIA cards"].state == "warning"
    assert found["NVIDIA cards"].found == "there is a card, but no /dev/nvidia[0-9]*"
    assert "in a container" in (found["NVIDIA cards"].remedy or "")


def test_files_without_a_card() -> None:
    """Files of cards that are not there, or are another vendor's, do not matter."""
    files = AUDIO | {"dev/kfd": "", "dev/dri/renderD128": "", "dev/nvidiactl": ""}
    assert not {"AMD cards", "NVIDIA cards"} & {*checked(Path("/nowhere"), Told(files))}


def test_real_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are there are really tried, and their group is looked up."""
    write_files(tmp_path, {path: text.strip() for path, text in NVIDIA.items()})
    write_files(tmp_path, {"dev/nvidiactl": "", "dev/nvidia0": ""})

    def below(*parts: str) -> Path:
        return tmp_path.joinpath(*(part.lstrip("/") for part in parts))

    monkeypatch.setattr(doctor_permissions, "Path", below)
    source = Machine(tmp_path, "Linux")
    usable = run_parts(permission_parts(Home(tmp_path), source))[-1]
    assert usable.found == "this user can use /dev/nvidiactl, /dev/nvidia0"
    os.chown(tmp_path / "dev" / "nvidia0", -1, 54321 if os.geteuid() == 0 else -1)
    assert run_parts(permission_parts(Home(tmp_path), source))[-1].state == "ok"
