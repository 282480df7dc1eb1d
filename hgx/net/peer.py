"""What is asked of a peer: who it is, what it has, and how fast the link to it is."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, NamedTuple

from pydantic import ValidationError

from hgx._version import __version__
from hgx.core.registry import Device, Node
from hgx.errors import PeerError
from hgx.net.advert import API, PATH, is_name
from hgx.net.stranger import known_of_device, known_of_node, read_json
from hgx.net.windows import CHUNK_BYTES, MOST_BYTES, MOST_S, Windows
from hgx.net.wire import CONNECT_S, Connection, Target, connect
from hgx.units import KIB

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import JsonValue

WITHIN_S = 3.0
"""How long a peer may take to say what it has."""

MOST_DEVICES = 64
"""More than any machine has that a person owns: a node tells no more, and no more are heeded."""

MOST_ANSWER_BYTES = MOST_DEVICES * 4 * KIB
"""Of an answer; the largest of an honest node takes half of it."""

DOWN_PATH = "/v1/link/down"
UP_PATH = "/v1/link/up"

_BACKEND_AND_INDEX = re.compile(r"(?P<backend>[a-z0-9_-]{1,32}):[0-9]{1,4}")
_LINK_TEST_S = MOST_S + 10  # what is on the way when the test ends still has to arrive
_SENDING_S = MOST_S - 1


class Said(NamedTuple):
    """What a peer says of itself; only the fingerprint is proven.

    Attributes:
        fingerprint: Of the certificate that the peer holds the key of.
        hgx: Its version of hgx.
        node: As it describes itself.
        devices: On that node, by their ids; the first 64 where it has more.
    """

    fingerprint: str
    hgx: str
    node: Node
    devices: tuple[Device, ...]


class PeerClient:
    """Asks one peer; each question is a connection of its own.

    Args:
        host: A name or an address; link-local ones with their zone, as ``fe80::1%eth0``.
        port: Of its agent.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = Target(host, port)

    def node(self) -> Said:
        """Ask what the peer is and has.

        Raises:
            PeerError: It does not answer within 3 s, or not as an hgx node of this version does.
        """
        with Connection(self._target, WITHIN_S) as connection:
            status, body = connection.ask("GET", PATH)
            if status != 200:
                raise self._not_hgx(f"it answers {status}")
            document = self._document(body)
            return self._said(connection.fingerprint, document)

    def tcp_handshakes(self, count: int) -> list[float]:
        """Connect and close a number of times.

        Returns:
            Seconds per connection, in order.

        Raises:
            PeerError: It was not reached.
        """
        times_s: list[float] = []
        for _ in range(count):
            begin_s = time.perf_counter()
            opened = connect(self._target, CONNECT_S)
            times_s.append(time.perf_counter() - begin_s)
            opened.close()
        return times_s

    def download(self, size_bytes: int) -> list[float]:
        """Have the peer send; it ends after 5 s or 256 MiB at the latest.

        Returns:
            Bytes per second in windows of 0.1 s, as they arrived here, slow start included.

        Raises:
            PeerError: It does not answer, or is busy with another test.
        """
        with Connection(self._target, _LINK_TEST_S) as connection:
            size_bytes = min(size_bytes, MOST_BYTES)
            status, body = connection.ask("GET", f"{DOWN_PATH}?bytes={size_bytes}")
            self._check_link_test(status)
            windows = Windows(time.perf_counter())
            for data in body:
                windows.add(time.perf_counter(), len(data))
            return windows.rates()

    def upload(self, size_bytes: int) -> list[float]:
        """Send to the peer; ends after 4 s or 256 MiB at the latest.

        Returns:
            Bytes per second in windows of 0.1 s, as they arrived there, slow start included.

        Raises:
            PeerError: It does not answer, or is busy with another test.
        """
        with Connection(self._target, _LINK_TEST_S) as connection:
            status, body = connection.ask("POST", UP_PATH, _sent(min(size_bytes, MOST_BYTES)))
            self._check_link_test(status)
            document = self._document(body)
        match document:
            case {"rates": [*rates]} if all(isinstance(rate, float | int) for rate in rates):
                return [float(rate) for rate in rates if isinstance(rate, float | int)]
            case _:
                raise self._not_hgx("its answer to a test of the link is none")

    def _check_link_test(self, status: int) -> None:
        if status == 429:
            msg = f"{self._target} is busy with another test of a link"
            raise PeerError(msg, "busy", "try again in 10 s")
        if status != 200:
            raise self._not_hgx(f"it answers {status}")

    def _document(self, body: Iterator[bytes]) -> JsonValue:
        whole = bytearray()
        for data in body:
            whole += data
            if len(whole) > MOST_ANSWER_BYTES:
                raise self._not_hgx(f"its answer is longer than {MOST_ANSWER_BYTES // KIB} KiB")
        try:
            return read_json(bytes(whole))
        except (ValueError, RecursionError) as error:
            raise self._not_hgx("its answer is not JSON") from error

    def _said(self, fingerprint: str, document: JsonValue) -> Said:
        match document:
            case {"api": int(api), "hgx": str(version)} if api != API:
                msg = (
                    f"{self._target} runs hgx {version} and speaks version {api} of the protocol, "
                    f"this is hgx {__version__} and speaks version {API}"
                )
                raise PeerError(msg, "version", "install the same hgx on both")
            case {"api": int(), "hgx": str(version), "node": dict(node), "devices": [*devices]}:
                pass
            case _:
                raise self._not_hgx("it does not say what it is")
        try:
            # From text, because only there a strict tuple may be written as a JSON array.
            said = Said(
                fingerprint,
                version,
                Node.model_validate_json(json.dumps(known_of_node(node))),
                tuple(
                    Device.model_validate_json(json.dumps(known_of_device(device)))
                    for device in devices[:MOST_DEVICES]
                ),
            )
        except ValidationError as error:
            place = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise self._not_hgx(f"it describes itself wrongly, at {place!r}") from error
        self._check_ids(said)
        return said

    def _check_ids(self, said: Said) -> None:
        if not is_name(said.node.id):
            raise self._not_hgx("its node id is none")
        for device in said.devices:
            node, _, rest = device.id.partition("/")
            match = _BACKEND_AND_INDEX.fullmatch(rest)
            if {node, device.node} != {said.node.id} or not match:
                raise self._not_hgx("it lists a device that is not its own")
            if match["backend"] != device.backend:
                raise self._not_hgx("it lists a device under another backend's name")
        if len({device.id for device in said.devices}) < len(said.devices):
            raise self._not_hgx("it lists a device twice")

    def _not_hgx(self, why: str) -> PeerError:
        msg = f"{self._target} does not answer as an hgx node does, {why}"
        return PeerError(msg, "not hgx", "check the port")


def _sent(size_bytes: int) -> Iterator[bytes]:
    """Give so many bytes, as long as the test may last."""
    chunk = bytes(CHUNK_BYTES)
    end_s = time.perf_counter() + _SENDING_S
    for at in range(0, size_bytes, CHUNK_BYTES):
        if time.perf_counter() > end_s:
            return
        yield chunk[: size_bytes - at]
