"""What is personal goes out of recordings, and what is not stays."""

from __future__ import annotations

import getpass
import ipaddress
import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.sensors.scrub import Scrubber, scrubber_of_this_machine

if TYPE_CHECKING:
    from pydantic import JsonValue

KEPT = [
    "0000:01:00.0",
    "PCI_SLOT_NAME=0000:c1:00.0",
    "00000000:01:00.0",
    "535.104.05",
    "31.0.15.4601",
    "32.0.101.5972",
    "6.18.44-generic",
    "v1.2.3.4",
    "1.2.3.4.5",
    "010.0.0.1",
    "12:34:56",
    "2026-01-02T12:34:56.789+00:00",
    "intel-rapl:0:0",
    "std::vector",
    "1002:744C",
    "45250",
    "serial_nothing",
    "0::/user.slice",
]


@pytest.mark.parametrize("text", KEPT)
def test_kept(text: str) -> None:
    """PCI addresses, versions, times and numbers stay."""
    assert Scrubber({"tower", "alice"}, {"/home/alice"}).text(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "POWER_SUPPLY_SERIAL_NUMBER=12345\nX=1\n",
            "POWER_SUPPLY_SERIAL_NUMBER=0000000000000001\nX=1\n",
        ),
        ("Serial\t\t: 10000000abcdef01\n", "Serial\t\t: 0000000000000001\n"),
        ('"BatterySerialNumber" = "D86"\n', '"BatterySerialNumber" = "0000000000000001"\n'),
        ('{"Serial"="D86","Voltage"=12}', '{"Serial"="0000000000000001","Voltage"=12}'),
        ('{"ManufacturerData"=<0a0b>}', '{"ManufacturerData"="0000000000000001"}'),
        ('"FirmwareSerialNumber" = 1\n', '"FirmwareSerialNumber" = "0000000000000001"\n'),
        (
            "GPU-0a1b2c3d-1111-2222-3333-444444444444",
            "GPU-00000000-0000-4000-8000-000000000001",
        ),
        ("at 10.0.0.1.", "at 192.0.2.1."),
        ("http://192.168.1.20:8080/", "http://192.0.2.1:8080/"),
        ("eth0_10.0.0.1", "eth0_192.0.2.1"),
        ("fe80::1c2d%eth0 up", "2001:db8::1 up"),
        ("[2a00:1450:4001:82a::200e]:80", "[2001:db8::1]:80"),
        ("::ffff:10.0.0.1", "2001:db8::1"),
        ("a4:83:e7:01:02:03", "02:00:00:00:00:01"),
        ("A4-83-E7-01-02-03", "02:00:00:00:00:01"),
        (f"docker/{'0a' * 32}/memory.max", f"docker/{1:032x}/memory.max"),
        ("/home/alice/models", "/home/user/models"),
        ("alice's ALICE_laptop on Tower.lan", "somebody's somebody_laptop on somebody.lan"),
        ("malice towers alice2", "malice towers alice2"),
    ],
)
def test_replaced(text: str, expected: str) -> None:
    """Serial numbers, identities, addresses, names and homes are replaced, and nothing else is."""
    assert Scrubber({"tower", "alice"}, {"/home/alice"}).text(text) == expected


def test_consistent() -> None:
    """The same original becomes the same everywhere in one recording, in any case."""
    scrubber = Scrubber()
    one = scrubber.text("GPU-0a1b2c3d-1111-2222-3333-444444444444")
    other = scrubber.text("GPU-ffffffff-1111-2222-3333-444444444444")
    assert one != other
    assert scrubber.text("gpu-0A1B2C3D-1111-2222-3333-444444444444")[4:] == one[4:]
    assert scrubber.file("a/unique_id", "beef\n") == scrubber.file("b/unique_id", "beef\n")
    assert scrubber.file("a/serial_number", " \n") == " \n"
    assert scrubber.file("a/name", "beef\n") == "beef\n"


def test_a_card_of_amds_stays_the_same() -> None:
    """What its kernel driver calls a card is still what HIP calls it."""
    scrubber = Scrubber()
    assert scrubber.value({"uuid": "GPU-1f2e"}) == {"uuid": "GPU-0000000000000001"}
    assert scrubber.text('{"uuid": "GPU-1f2e"}') == '{"uuid": "GPU-0000000000000001"}'
    assert scrubber.file("a/unique_id", "1F2E\n") == "0000000000000001\n"


def test_values() -> None:
    """Texts at any depth of JSON are scrubbed; fields of identities wholly, numbers not."""
    value: JsonValue = {
        "cards": [{"uuid": "GPU-0a1b2c3d-1111-2222-3333-444444444444", "name": "tower", "x": 1.5}],
        "serial": "D86",
        "empty": {"uuid": None, "serial_number": ""},
    }
    assert Scrubber({"tower"}).value(value) == {
        "cards": [
            {"uuid": "GPU-00000000-0000-4000-8000-000000000001", "name": "somebody", "x": 1.5}
        ],
        "serial": "0000000000000002",
        "empty": {"uuid": None, "serial_number": ""},
    }


NAMES = st.from_regex(r"[a-z][a-z0-9-]{3,12}[a-z]", fullmatch=True).filter(
    lambda name: name not in {"somebody", "localhost", "user", "home"}
)
WORDS = st.sampled_from([" ", "\n", "=", ":", "_", '"', ",", "/", "x.", "45000", "name"])


ADDRESSES = st.ip_addresses().filter(
    lambda found: (
        not (
            found.is_loopback
            or found.is_unspecified
            or found in ipaddress.ip_network("192.0.2.0/24")
            or found in ipaddress.ip_network("2001:db8::/96")
        )
    )
)


@given(
    names=st.tuples(NAMES, NAMES),
    address=ADDRESSES,
    uuid=st.uuids(),
    parts=st.lists(st.integers(0, 5) | WORDS, max_size=12),
    upper=st.booleans(),
)
def test_nothing_personal_is_left(
    names: tuple[str, str], address: object, uuid: object, *, parts: list[object], upper: bool
) -> None:
    """Whatever surrounds them, nothing of host, user, home, addresses and identities is left."""
    host, user = names
    home = f"/home/{user}"
    personal = [host, user, f" {address} ", f" {uuid} ", home, f"{host}.lan"]
    text = "".join(f" {personal[part]} " if isinstance(part, int) else str(part) for part in parts)
    text = text.upper() if upper else text
    scrubber = Scrubber({host, user}, {home})
    for scrubbed in (scrubber.text(text), str(scrubber.value({"x": [text]}))):
        lowered = scrubbed.lower()
        assert str(uuid) not in lowered
        assert home not in lowered
        assert not re.search(rf"(?<![\w:.]){re.escape(str(address))}(?![\w:]|\.\d)", lowered)
        for name in (host, user):
            assert not re.search(rf"(?<![^\W_]){name}(?![^\W_])", lowered)


@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    """Any text can be scrubbed, and a second time changes no names."""
    scrubber = Scrubber({"alice"}, {"/home/alice"})
    scrubbed = scrubber.text(text)
    assert scrubber.text(scrubbed).count("somebody") == scrubbed.count("somebody")


def test_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names of this host and user are known, with and without the domain."""
    monkeypatch.setattr(platform, "node", lambda: "tower.lan")
    monkeypatch.setattr(Path, "home", lambda: Path("/home/alice"))
    monkeypatch.setattr(getpass, "getuser", lambda: "al1ce")
    text = scrubber_of_this_machine().text("/home/alice TOWER tower.lan al1ce alice root")
    assert text == "/home/user somebody somebody somebody somebody root"


@pytest.mark.parametrize("error", [OSError, KeyError])
def test_user_without_a_name(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    """A user id without a name, as in a container, and root's home tell nothing."""

    def fail() -> str:
        raise error

    monkeypatch.setattr(platform, "node", lambda: "tower")
    monkeypatch.setattr(Path, "home", lambda: Path("/root"))
    monkeypatch.setattr(getpass, "getuser", fail)
    assert scrubber_of_this_machine().text("/root tower") == "/root somebody"
