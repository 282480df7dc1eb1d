"""Send announcements that no good node sends: ``python -m tests.net.hostile KIND ADDRESS``."""

from __future__ import annotations

import os
import socket
import sys
import time
from typing import TYPE_CHECKING

from zeroconf import DNSAddress, DNSOutgoing, DNSPointer, DNSService, DNSText  # pyright: ignore[reportPrivateImportUsage] - to write packets by hand

from hgx.net.advert import SERVICE, Advert, make_txt

if TYPE_CHECKING:
    from collections.abc import Iterator

FLOOD = 20_000
_GROUP = ("224.0.0.251", 5353)
_TTL_S = 4500
_GOOD = Advert("ghost", "ghost", ("10.77.0.99",), 9474, "0.2.0", "ab" * 32)


def announcement(
    name: str,
    *,
    txt: bytes = make_txt(_GOOD),
    port: int = 9474,
    address: str = "10.77.0.99",
    pointer_only: bool = False,
    ttl_s: int = _TTL_S,
) -> bytes:
    """Return a packet that announces a node."""
    out = DNSOutgoing(0x8400)
    full, host = f"{name}.{SERVICE}", "evil.local."
    out.add_answer_at_time(DNSPointer(SERVICE, 12, 1, ttl_s, full), 0)
    if not pointer_only:
        out.add_answer_at_time(DNSService(full, 33, 0x8001, ttl_s, 0, 0, port, host), 0)
        out.add_answer_at_time(DNSText(full, 16, 0x8001, ttl_s, txt), 0)
        out.add_answer_at_time(DNSAddress(host, 1, 0x8001, ttl_s, socket.inet_aton(address)), 0)
    (packet,) = out.packets()
    return packet


def _flood() -> Iterator[bytes]:
    """Announce very many names that look good, each with a record of its own."""
    for number in range(FLOOD):
        yield announcement(f"{os.getpid()}-{number}", pointer_only=True)


def _rival(server: str) -> Iterator[bytes]:
    """Have the name ``pi`` from now on, as a node would that took it at the same moment."""
    for _ in range(6000):
        out = DNSOutgoing(0x8400)
        full = f"pi.{SERVICE}"
        out.add_answer_at_time(DNSService(full, 33, 0x8001, _TTL_S, 0, 0, 9474, server), 0)
        (packet,) = out.packets()
        yield packet
        time.sleep(0.01)


def _elsewhere() -> bytes:
    out = DNSOutgoing(0x8400)
    out.add_answer_at_time(DNSPointer(SERVICE, 12, 1, _TTL_S, "x._http._tcp.local."), 0)
    (packet,) = out.packets()
    return packet


KINDS = {
    "control": lambda: [announcement("a\x1b[31m\x07b")],
    "long txt": lambda: [announcement("long", txt=b"\xc8" + b"x" * 200 + b"\xc8" + b"y" * 200)],
    "broken txt": lambda: [announcement("broken", txt=b"\xffabc")],
    "port": lambda: [announcement("zero", port=0)],
    "loopback": lambda: [announcement("loop", address="127.0.0.1")],
    "pointer": lambda: [announcement("nothing", pointer_only=True)],
    "elsewhere": lambda: [_elsewhere()],
    "garbage": lambda: [os.urandom(64), b"", b"\0" * 12, announcement("cut")[:40], b"x" * 9100],
    "ghost": lambda: [announcement("ghost")],
    "goodbye": lambda: [announcement("ghost", ttl_s=0)],
    "flood": _flood,
    "weaker rival": lambda: _rival("zzz.local."),
    "stronger rival": lambda: _rival("aaa.local."),
}


def main() -> None:
    """Send all packets of a kind, once."""
    kind, address = sys.argv[1:]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
        mouth.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        mouth.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        mouth.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
        mouth.bind((address, 5353))
        for number, packet in enumerate(KINDS[kind]()):
            mouth.sendto(packet, _GROUP)
            if number % 200 == 199:
                time.sleep(0.02)  # what overflows the listener's buffer harms nobody


if __name__ == "__main__":
    main()
