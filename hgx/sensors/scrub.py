"""What a recording must not tell: who and where a machine is.

Serial numbers and identities of cards become invented ones that are the same for the same
original within one recording. Names of host and user, the home directory, and addresses of
networks become placeholders. PCI addresses, versions and times stay as they are.
"""

from __future__ import annotations

import getpass
import ipaddress
import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic import JsonValue

_IDENTITY = r"serial|unique_?id|uuid|asset_?tag|manufacturer_?data"
_IDENTITY_NAME = re.compile(_IDENTITY, re.IGNORECASE)
# "BatterySerialNumber" = "D86...", alone on its line or among others, as ioreg and JSON have it.
_QUOTED_FIELD = re.compile(
    rf'("[^"\n]*(?:{_IDENTITY})[^"\n]*"\s*[=:]\s*)("[^"\n]*"|<[^>\n]*>|[^,}}\s]+)', re.IGNORECASE
)
# POWER_SUPPLY_SERIAL_NUMBER=..., and "Serial : ..." of /proc/cpuinfo.
_LINE_FIELD = re.compile(
    rf"^([\w \t.-]*(?:{_IDENTITY})[\w \t.-]*[:=][ \t]*)(\S.*)$", re.IGNORECASE | re.MULTILINE
)
_UUID = re.compile(
    r"(?<![0-9a-f])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-f])", re.IGNORECASE
)
# Ids of containers, in the names of control groups.
_LONG_ID = re.compile(r"(?<![0-9a-z])[0-9a-f]{32,64}(?![0-9a-z])", re.IGNORECASE)
_MAC = re.compile(
    r"(?<![0-9a-f:-])[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}(?![0-9a-f:-])", re.IGNORECASE
)
_IPV6 = re.compile(
    r"(?<![\w:.])(?=[0-9a-f]*:[0-9a-f]*:)[0-9a-f:]+(?:\.[0-9]+){0,3}(?:%\w+)?(?![\w:])",
    re.IGNORECASE,
)
_IPV4 = re.compile(r"(?<![A-Za-z0-9.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?!\w|\.[0-9])")
_NOBODY = frozenset({"", "root", "localhost"})  # names that tell nothing


class Scrubber:
    """Takes out of text what is personal; one for a whole recording.

    Args:
        names: Names of the host and of users, matched as whole words in any case.
        homes: Their home directories.
    """

    def __init__(self, names: Iterable[str] = (), homes: Iterable[str] = ()) -> None:
        self._invented: dict[tuple[str, str], int] = {}
        self._homes = sorted({home for home in homes if len(home) > 1}, key=len, reverse=True)
        words = sorted(
            {name for name in names if name.lower() not in _NOBODY}, key=len, reverse=True
        )
        # An underscore ends a word here, unlike in \b: alice_laptop names alice.
        self._names = (
            re.compile(
                rf"(?<![^\W_])(?:{'|'.join(map(re.escape, words))})(?![^\W_])", re.IGNORECASE
            )
            if words
            else None
        )

    def text(self, text: str) -> str:
        """Take what is personal out of a text of any kind."""
        text = _QUOTED_FIELD.sub(lambda found: f'{found[1]}"{self._identity(found[2])}"', text)
        text = _LINE_FIELD.sub(lambda found: found[1] + self._identity(found[2]), text)
        text = _UUID.sub(self._each("uuid", "00000000-0000-4000-8000-{:012x}".format), text)
        text = _LONG_ID.sub(self._each("id", "{:032x}".format), text)
        text = _MAC.sub(
            self._each("mac", lambda n: f"02:00:00:00:{n >> 8:02x}:{n & 255:02x}"), text
        )
        text = _IPV6.sub(self._address, text)
        text = _IPV4.sub(self._address, text)
        for home in self._homes:
            text = text.replace(home, "/home/user")
        return self._names.sub("somebody", text) if self._names else text

    def file(self, path: str, content: str) -> str:
        """Take what is personal out of a file; all of it, where its name says so."""
        name = path.rpartition("/")[2]
        if content.strip() and _IDENTITY_NAME.search(name):
            return self._identity(content.strip()) + "\n"
        return self.text(content)

    def value(self, value: JsonValue, name: str = "") -> JsonValue:
        """Take what is personal out of all texts of a JSON value.

        Args:
            value: The value.
            name: The field it is in.
        """
        if isinstance(value, str):
            # A UUID keeps its form, and with it the kind of card that stands before it.
            if value and _IDENTITY_NAME.search(name) and not _UUID.search(value):
                return self._identity(value)
            return self.text(value)
        if isinstance(value, list):
            return [self.value(item, name) for item in value]
        if isinstance(value, dict):
            items = cast("dict[str, JsonValue]", value).items()
            return {self.text(key): self.value(item, key) for key, item in items}
        return value

    def _identity(self, original: str) -> str:
        # HIP's spelling of what amdgpu calls a card: both have to stay the same card.
        original = original.strip('"')
        kind = "GPU-" if original.startswith("GPU-") else ""
        number = self._number("identity", original.removeprefix(kind))
        return f"{kind}{number:016x}"

    def _number(self, kind: str, original: str) -> int:
        """Number what is replaced, from 1, in the order it is met."""
        return self._invented.setdefault((kind, original.lower()), len(self._invented) + 1)

    def _each(self, kind: str, invent: Callable[[int], str]) -> Callable[[re.Match[str]], str]:
        return lambda found: invent(self._number(kind, found[0]))

    def _address(self, found: re.Match[str]) -> str:
        try:
            address = ipaddress.ip_address(found[0])
        except ValueError:
            return found[0]  # a PCI address, a time, a version
        if address.is_unspecified or address.is_loopback:
            return found[0]  # of any machine; and "0::/" begins a line of /proc/self/cgroup
        number = self._number("address", found[0])
        if address.version == 6:
            return f"2001:db8::{number:x}"
        return f"192.0.2.{number % 256}"


def scrubber_of_this_machine() -> Scrubber:
    """Make one that knows the names of this host and user."""
    host = platform.node()
    home = str(Path.home())
    names = {host, host.partition(".")[0], Path(home).name, _user()}
    return Scrubber(names, () if home == "/root" else (home, home.replace("\\", "/")))


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user id without a name, as in some containers
        return ""
