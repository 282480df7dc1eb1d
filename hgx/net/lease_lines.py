"""What coordinator and worker say to each other: JSON, one object per line, bounded in size.

The coordinator opens with ``PREFACE`` in the clear, so that the agent can tell it from HTTP, then
TLS, then its wish. On a lease's connection both sides send a beat every second from then on, also
while the worker still starts its rpc server; a tunnel's connection carries raw bytes once the
worker has said yes. Fields that are not known are ignored, so that a later version may add some.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from hgx.core.base import Bytes, Identifier, NonNegative

if TYPE_CHECKING:
    from hgx.net.tls_stream import TlsStream

PREFACE = b"HGX1"
"""The first bytes of such a connection; TLS begins with 0x16."""

HANDSHAKE_S = 5.0
"""How long it may take until the peer has said who it is, and again until it said what it wants."""

BEAT_S = 1.0
WORKER_SILENCE_S = 4.0
"""After so long without a beat of its worker a coordinator gives it up."""

COORDINATOR_SILENCE_S = 10.0
"""After so long without a beat of its coordinator a worker takes its devices back."""

MOST_LINE_BYTES = 16 * 1024
MOST_WORDS = 2000
"""Characters of a sentence in a line."""

ProtocolVersion = tuple[int, int, int]
"""Of llama.cpp's rpc: major, minor, patch."""

RefusalFault = Literal["held", "version", "engine", "devices", "lease", "busy", "request"]
"""Why a wish is refused: another coordinator has the device; versions do not fit; llama.cpp is not
there or does not work; no such device; no such lease; it has a tunnel; no such question."""


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)


class LeaseWish(_Line):
    """The wish for a worker's devices.

    Attributes:
        want: A lease.
        coordinator: Name of the node that asks.
        protocol: What its llama-server speaks.
        devices: Devices of the worker without its name, as ``cuda:0``, in the order wanted.
        threads: Threads for the CPU; the worker chooses where null.
        memory_bytes: Main memory that the rpc server may take, in bytes; null for no limit.
        cache: Whether the worker may keep weights on its disk for the next time.
        weight_bytes: How much of them will come; null where that is not known.
    """

    want: Literal["lease"] = "lease"
    coordinator: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,63}$")]
    protocol: ProtocolVersion
    devices: Annotated[tuple[Identifier, ...], Field(min_length=1, max_length=64)]
    threads: Annotated[int, Field(ge=1, le=4096)] | None = None
    memory_bytes: Annotated[int, Field(ge=1, lt=1 << 63)] | None = None
    cache: bool = False
    weight_bytes: Annotated[int, Field(ge=1, lt=1 << 63)] | None = None


class TunnelWish(_Line):
    """The wish for a connection to a lease's rpc server."""

    want: Literal["tunnel"] = "tunnel"
    lease: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class LentDevice(_Line):
    """A device of a lease.

    Attributes:
        device: As it was asked for.
        engine: llama.cpp's name for it on the worker, as ``CUDA0``.
        memory_total_bytes: All its memory as llama.cpp sees it, in bytes.
    """

    device: Identifier
    engine: Identifier
    memory_total_bytes: Bytes


class Granted(_Line):
    """A lease: its connection is the lease from now on.

    Attributes:
        ok: It is.
        lease: Its id, which opens tunnels.
        protocol: What the rpc server speaks.
        build: Of llama.cpp on the worker; null where whoever built it gave none.
        devices: In the order in which a client of the rpc server numbers them.
    """

    ok: Literal[True] = True
    lease: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    protocol: ProtocolVersion
    build: int | None
    devices: tuple[LentDevice, ...]


class Opened(_Line):
    """A tunnel: what follows are raw bytes."""

    ok: Literal[True] = True


class Refused(_Line):
    """No, and why; also at the end of a wish that could not be granted.

    Attributes:
        error: A sentence without its subject, which is the worker.
        fault: The same for programs; one of ``RefusalFault``.
    """

    error: Annotated[str, Field(max_length=MOST_WORDS)]
    fault: Annotated[str, Field(max_length=32)]


class Beat(_Line):
    """A sign of life. A coordinator's has only the number.

    Attributes:
        beat: Counts up.
        cpu_s: Processor time that the rpc server has used, in seconds; null before its start.
        stopped: Whether the system says that the rpc server is suspended; null before its start.
        sent_bytes: What went to the rpc server through all tunnels so far.
        received_bytes: What came from it.
        owes_s: For how long it has not said a word since it was last sent something; null where
            it owes none.
    """

    beat: Annotated[int, Field(ge=0)]
    cpu_s: NonNegative | None = None
    stopped: bool | None = None
    sent_bytes: Bytes = 0
    received_bytes: Bytes = 0
    owes_s: NonNegative | None = None


class Ended(_Line):
    """The worker's last word: why the lease is over, as a sentence without subject."""

    ended: Annotated[str, Field(max_length=MOST_WORDS)]


_Kind = TypeVar("_Kind")

WISHES: TypeAdapter[LeaseWish | TunnelWish] = TypeAdapter(
    Annotated[LeaseWish | TunnelWish, Field(discriminator="want")]
)
LEASE_ANSWERS: TypeAdapter[Granted | Refused | Ended | Beat] = TypeAdapter(
    Granted | Refused | Ended | Beat
)
TUNNEL_ANSWERS: TypeAdapter[Opened | Refused] = TypeAdapter(Opened | Refused)
BEATS: TypeAdapter[Beat] = TypeAdapter(Beat)


def read(kind: TypeAdapter[_Kind], line: bytes) -> _Kind | None:
    """Read a line from anybody; null where it is another one."""
    try:
        return kind.validate_json(line)
    except ValidationError:
        return None


def send(stream: TlsStream, said: BaseModel) -> None:
    """Send a line.

    Raises:
        OSError: As for ``TlsStream.send``.
    """
    stream.send(said.model_dump_json().encode() + b"\n")


def receive(stream: TlsStream, end_s: float) -> bytes:
    """Wait for a line, and take nothing of what follows it.

    Args:
        stream: Where it comes from.
        end_s: Until when, by ``time.monotonic``.

    Returns:
        The line; nothing where the peer has ended the connection.

    Raises:
        OSError: It did not come in time (``TimeoutError``), is too long, or the connection broke.
    """
    line = bytearray(MOST_LINE_BYTES)
    for at in range(MOST_LINE_BYTES):
        left_s = end_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        stream.silence_at_most(left_s)
        if not stream.receive_into(memoryview(line)[at : at + 1]):
            return b""
        if line[at] == ord("\n"):
            return bytes(line[: at + 1])
    msg = "the line is too long"
    raise OSError(msg)
