"""What a node announces of itself by multicast DNS, and how strictly it is read.

Only what does not change is in it. It is a hint where to ask, never an identity: anybody in the
network can announce anything. RFC 6763 says what a TXT record is.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Literal, NamedTuple

SERVICE = "_hgx._tcp.local."
"""The service type; its label has at most 15 characters."""

DEFAULT_PORT = 9474
"""Where a node's agent answers unless told otherwise."""

API = 1
"""Version of what agents say to each other; others are not understood."""

PATH = "/v1/node"
"""Where an agent tells what its node has."""

MOST_TXT_BYTES = 400
_MOST_ADDRESSES = 16
_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}")
_VERSION = re.compile(r"[A-Za-z0-9.+!_-]{1,40}")
_PATH = re.compile(r"/[A-Za-z0-9/._-]{0,63}")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_SCOPE = re.compile(r"[A-Za-z0-9._-]{1,32}")

Fault = Literal[
    "name", "txt size", "txt", "txtvers", "node", "version", "api", "path", "fingerprint",
    "port", "addresses", "too many", "no answer",
]  # fmt: skip
"""Why an announcement is not heeded; the last two concern the listener: it keeps no more names,
or the name leads nowhere."""


class Advert(NamedTuple):
    """A node as it announces itself.

    Attributes:
        name: What it is called in the network: the label before the service type.
        node: Its node id.
        addresses: IPv4 and IPv6; link-local ones with their zone, as ``fe80::1%eth0``.
        port: Of its agent.
        version: Of its hgx.
        fingerprint: Of its certificate: a hint.
        path: Where the agent tells what the node has.
        api: Version of what its agent says.
    """

    name: str
    node: str
    addresses: tuple[str, ...]
    port: int
    version: str
    fingerprint: str
    path: str = PATH
    api: int = API


class Answer(NamedTuple):
    """What the network said, unchecked.

    Attributes:
        name: The label before the service type.
        txt: The raw TXT record.
        port: Of the SRV record.
        addresses: Of the A and AAAA records.
    """

    name: str
    txt: bytes
    port: int | None
    addresses: tuple[str, ...]


def is_name(text: str) -> bool:
    """Tell whether a node may be called so: 1 to 63 letters, digits, hyphens, underscores."""
    return _NAME.fullmatch(text) is not None


def make_txt(advert: Advert) -> bytes:
    """Return the TXT record that says what an advert says, addresses and port left out."""
    fields = {
        "txtvers": "1",
        "node": advert.node,
        "ver": advert.version,
        "api": str(advert.api),
        "path": advert.path,
        "fp": advert.fingerprint,
    }
    entries = [f"{key}={value}".encode() for key, value in fields.items()]
    return b"".join(bytes([len(entry)]) + entry for entry in entries)


def parse(answer: Answer) -> Advert | Fault:
    """Read what the network said.

    Args:
        answer: Anything at all.

    Returns:
        The advert, or the first thing that is wrong with it. Fields it should not have are
        ignored, so that a later version may add some.
    """
    if not is_name(answer.name) or len(answer.txt) > MOST_TXT_BYTES:
        return "txt size" if is_name(answer.name) else "name"
    fields = _fields(answer.txt)
    if fields is None:
        return "txt"
    if fault := _wrong_field(fields):
        return fault
    if answer.port is None or not 0 < answer.port < 1 << 16:
        return "port"
    addresses = tuple(text for text in answer.addresses[:_MOST_ADDRESSES] if is_reachable(text))
    if not addresses:
        return "addresses"
    return Advert(
        name=answer.name,
        node=fields["node"],
        addresses=addresses,
        port=answer.port,
        version=fields["ver"],
        fingerprint=fields["fp"],
        path=fields["path"],
        api=int(fields["api"]),
    )


def is_reachable(address: str) -> bool:
    """Tell whether an announced address can be another machine's.

    Loopback is this machine: who announces it would have us ask our own services.
    """
    host, percent, zone = address.partition("%")
    if percent and not _SCOPE.fullmatch(zone):
        return False
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    ours = parsed.is_loopback or parsed.is_unspecified
    zoneless = parsed.version == 6 and parsed.is_link_local and not percent
    return not (ours or parsed.is_multicast or parsed.is_reserved or zoneless)


def _fields(txt: bytes) -> dict[str, str] | None:
    """Split a TXT record; null where its lengths or bytes are wrong.

    Keys are compared without case and the first of equal ones counts, as RFC 6763 6.4 says.
    """
    fields: dict[str, str] = {}
    at = 0
    while at < len(txt):
        end = at + 1 + txt[at]
        entry = txt[at + 1 : end]
        if end > len(txt) or not entry.isascii():
            return None
        key, equals, value = entry.decode("ascii").partition("=")
        if equals:
            fields.setdefault(key.lower(), value)
        at = end
    return fields


def _wrong_field(fields: dict[str, str]) -> Fault | None:
    if fields.get("txtvers") != "1":
        return "txtvers"
    patterns: tuple[tuple[str, re.Pattern[str], Fault], ...] = (
        ("node", _NAME, "node"),
        ("ver", _VERSION, "version"),
        ("api", re.compile(r"[1-9][0-9]{0,3}"), "api"),
        ("path", _PATH, "path"),
        ("fp", _FINGERPRINT, "fingerprint"),
    )
    for key, pattern, fault in patterns:
        if not pattern.fullmatch(fields.get(key, "")):
            return fault
    return None
