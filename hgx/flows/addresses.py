"""Addresses of peers as people write them, on the command line and in the peers file."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from hgx.errors import PeerError, StorageError
from hgx.net.advert import DEFAULT_PORT
from hgx.net.wire import Target
from hgx.store.atomic import is_there, shown_path, storage_error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hgx.store.home import Home

_BRACKETED = re.compile(r"\[(?P<host>[^\]]+)\](?::(?P<port>[0-9]{1,5}))?")
_PLAIN = re.compile(r"(?P<host>[A-Za-z0-9._-]{1,253})(?::(?P<port>[0-9]{1,5}))?")
_ZONED = re.compile(r"[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]{1,32})?")


def parse_target(text: str, default_port: int = DEFAULT_PORT) -> Target:
    """Read ``HOST:PORT``, ``[V6]:PORT`` or a host alone, for the default port.

    Raises:
        PeerError: It is none of these.
    """
    plain = _PLAIN.fullmatch(text)
    match = plain or _BRACKETED.fullmatch(text)
    host, port = (match["host"], match["port"]) if match else (text, None)
    number = int(port or default_port)
    if (plain or _is_ipv6(host)) and 0 < number < 1 << 16:
        return Target(host, number)
    msg = f"{text!a} is no address of a peer"
    raise PeerError(msg, "address", "write HOST:PORT, or [ADDRESS]:PORT for IPv6")


def _is_ipv6(host: str) -> bool:
    try:
        return bool(_ZONED.fullmatch(host) and ipaddress.IPv6Address(host))
    except ValueError:
        return False


def given_targets(home: Home, peers: Sequence[str], peers_file: Path | None) -> tuple[Target, ...]:
    """Collect the peers that were named, each once.

    Args:
        home: Where ``peers.txt`` is looked for if no other file is given.
        peers: As on the command line.
        peers_file: One per line; ``#`` begins a comment.

    Raises:
        PeerError: An address is none; of a file the line is named.
        StorageError: The file is not there or cannot be read.
    """
    found = [parse_target(text) for text in peers]
    default = home.path / "peers.txt"
    if peers_file or is_there(default):
        found += _targets_in(peers_file or default)
    return tuple(dict.fromkeys(found))


def _targets_in(path: Path) -> list[Target]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        msg = f"{shown_path(path)} is not UTF-8 text: save it as UTF-8"
        raise StorageError(msg) from error
    except FileNotFoundError as error:
        msg = f"{shown_path(path)} is not there: write a peer's HOST:PORT per line into it"
        raise StorageError(msg) from error
    except OSError as error:
        raise storage_error("read", path, error) from error
    targets: list[Target] = []
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            targets.append(parse_target(text))
        except PeerError as error:
            where = f"{shown_path(path)}, line {number}"
            raise PeerError(f"{where}: {error.reason}", error.fault, error.remedy) from error
    return targets
