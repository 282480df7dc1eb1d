"""What an announcement says, and what is not heeded."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.net.advert import (
    MOST_TXT_BYTES,
    Advert,
    Answer,
    Fault,
    is_name,
    is_reachable,
    make_txt,
    parse,
)

NAMES = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=63)
ADVERT = Advert("tower", "tower", ("10.0.0.2", "fd00::2"), 9474, "0.2.0", "ab" * 32)


def answer(advert: Advert) -> Answer:
    """Return what the network says of an advert."""
    return Answer(advert.name, make_txt(advert), advert.port, advert.addresses)


def txt(**changed: str | None) -> bytes:
    """Return the TXT record of a good advert with some fields changed or left out."""
    fields: dict[str, str | None] = {"txtvers": "1", "node": "tower", "ver": "0.2", "api": "1"}
    fields |= {"path": "/v1/node", "fp": "ab" * 32} | changed
    entries = [f"{key}={value}".encode() for key, value in fields.items() if value is not None]
    return b"".join(bytes([len(entry)]) + entry for entry in entries)


@given(
    st.builds(
        Advert,
        name=NAMES,
        node=NAMES,
        addresses=st.lists(
            st.sampled_from(["10.0.0.2", "fd00::2", "fe80::1%eth0", "169.254.3.4"]), min_size=1
        ).map(lambda found: tuple(found[:16])),
        port=st.integers(1, 65535),
        version=st.text(string.ascii_letters + string.digits + ".+", min_size=1, max_size=40),
        fingerprint=st.text("0123456789abcdef", min_size=64, max_size=64),
        path=st.sampled_from(["/v1/node", "/", "/a-b_c.d/e"]),
        api=st.integers(1, 9999),
    )
)
def test_what_is_made_is_read(advert: Advert) -> None:
    """Reading what was made gives the same advert, and its record is small."""
    assert parse(answer(advert)) == advert
    assert len(make_txt(advert)) < MOST_TXT_BYTES


@given(
    st.builds(
        Answer,
        name=st.text() | NAMES,
        txt=st.binary(max_size=500) | st.just(txt()),
        port=st.none() | st.integers(),
        addresses=st.lists(st.text() | st.ip_addresses().map(str)).map(tuple),
    )
)
def test_anything_can_be_read(said: Answer) -> None:
    """Whatever the network says, it is an advert with usable fields or a fault."""
    found = parse(said)
    if isinstance(found, Advert):
        assert is_name(found.name)
        assert 0 < found.port < 65536
        assert all(is_reachable(address) for address in found.addresses)


def test_version_comes_first() -> None:
    """The version of the record is its first entry, and keys are short."""
    record = make_txt(ADVERT)
    assert record.startswith(b"\x09txtvers=1")


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        (answer(ADVERT)._replace(name="a b"), "name"),
        (answer(ADVERT)._replace(name="a\x1b[31m"), "name"),
        (answer(ADVERT)._replace(name=""), "name"),
        (answer(ADVERT)._replace(name="a" * 64), "name"),
        (answer(ADVERT)._replace(txt=txt(a="x" * 200, b="x" * 90)), "txt size"),
        (answer(ADVERT)._replace(txt=b"\x20short"), "txt"),
        (answer(ADVERT)._replace(txt=b"\x02\xff\xff"), "txt"),
        (answer(ADVERT)._replace(txt=b""), "txtvers"),
        (answer(ADVERT)._replace(txt=txt(txtvers="2")), "txtvers"),
        (answer(ADVERT)._replace(txt=txt(node=None)), "node"),
        (answer(ADVERT)._replace(txt=txt(node="a/b")), "node"),
        (answer(ADVERT)._replace(txt=txt(ver="1 2")), "version"),
        (answer(ADVERT)._replace(txt=txt(api="0")), "api"),
        (answer(ADVERT)._replace(txt=txt(path="v1")), "path"),
        (answer(ADVERT)._replace(txt=txt(path="/a?b")), "path"),
        (answer(ADVERT)._replace(txt=txt(fp="AB" * 32)), "fingerprint"),
        (answer(ADVERT)._replace(port=None), "port"),
        (answer(ADVERT)._replace(port=0), "port"),
        (answer(ADVERT)._replace(addresses=()), "addresses"),
        (answer(ADVERT)._replace(addresses=("127.0.0.1", "::1")), "addresses"),
    ],
)
def test_faults(said: Answer, fault: Fault) -> None:
    """What is wrong has a name."""
    assert parse(said) == fault


def test_unknown_fields_and_case() -> None:
    """Fields of later versions are ignored; keys have no case; the first of equal ones counts."""
    record = txt(txtvers="1", new="x", NODE="other") + b"\x04flag"
    assert parse(answer(ADVERT)._replace(txt=record)) == ADVERT._replace(version="0.2")


@pytest.mark.parametrize(
    ("address", "reachable"),
    [
        ("192.168.1.2", True),
        ("fe80::1%eth0", True),
        ("fe80::1%3", True),
        ("fe80::1", False),
        ("fe80::1%a b", False),
        ("127.0.0.1", False),
        ("::ffff:127.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 - an address to be refused
        ("224.0.0.251", False),
        ("255.255.255.255", False),
        ("example.org", False),
    ],
)
def test_addresses(address: str, *, reachable: bool) -> None:
    """An address counts if it can be another machine's."""
    assert is_reachable(address) is reachable
