"""The ports of this machine, free, hgx's own or somebody else's; and whether multicast works."""

from __future__ import annotations

import http.client
import json
from functools import partial
from typing import TYPE_CHECKING

import psutil

from hgx.errors import PeerError, StorageError, Unavailable
from hgx.flows.diagnose import own_steps
from hgx.flows.doctor_check import Check, Part
from hgx.net.advert import DEFAULT_PORT
from hgx.net.identity import known_fingerprint
from hgx.net.interfaces import own_addresses
from hgx.net.peer import PeerClient
from hgx.node.listening import listen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hgx.flows.diagnose import Step
    from hgx.flows.doctor_check import State
    from hgx.net.peer import Said
    from hgx.store.home import Home

NODE_PORT, MODEL_PORT = DEFAULT_PORT, 8080
"""Where `hgx serve` listens unless told otherwise: without a model, and with one."""

_LOOPBACK = "127.0.0.1"
_ASKING_S = 2.0
_MOST_BYTES = 64 * 1024
_NOBODY = frozenset({"refused", "no route"})
_STATES: dict[str, State] = {"ok": "ok", "failed": "warning", "skipped": "note"}


def port_parts(home: Home, node_port: int, model_port: int, *, multicast: bool) -> list[Part]:
    """List the checks of this area.

    Args:
        home: Where this node's identity is.
        node_port: Where a node listens.
        model_port: Where a served model is answered.
        multicast: Whether to try it, which sends a question of a few bytes into each network.
    """
    return [
        Part("ports", f"port {node_port}", partial(_node_port, home, node_port)),
        Part("ports", f"port {model_port}", partial(_model_port, model_port)),
        *([Part("ports", "multicast", _multicast)] if multicast else []),
    ]


def _node_port(home: Home, port: int) -> Sequence[Check]:
    what, answer = f"port {port}", _node_at(port)
    if answer is None:
        refused = _refused(None, port)
        if refused is None:
            return [Check("ports", what, "ok", "free, for `hgx serve` to be a node")]
        return [_taken(what, refused.reason, port)]
    if isinstance(answer, PeerError):
        return [_taken(what, answer.reason, port)]
    if answer.fingerprint == _own_fingerprint(home):
        found = f"this node answers there, with hgx {answer.hgx}"
        return [Check("ports", what, "ok", found)]
    found = f"another node of this machine answers there, certificate {answer.fingerprint[:16]}"
    return [_taken(what, found, port)]


def _node_at(port: int) -> Said | PeerError | None:
    """Ask who is at a port of this machine; null where nobody takes the connection."""
    for address in (_LOOPBACK, *own_addresses()):
        try:
            return PeerClient(address, port).node()
        except PeerError as error:
            if error.fault not in _NOBODY:
                return error
    return None


def _own_fingerprint(home: Home) -> str | None:
    try:
        return known_fingerprint(home)
    except StorageError:  # another check says so
        return None


def _model_port(port: int) -> Sequence[Check]:
    what, refused = f"port {port}", _refused(_LOOPBACK, port)
    if refused is None:
        return [Check("ports", what, "ok", "free, for `hgx serve MODEL`")]
    model = _model_at(port)
    if model is None:
        return [_taken(what, refused.reason, port)]
    return [Check("ports", what, "ok", f"`hgx serve` answers there with {model}")]


def _model_at(port: int) -> str | None:
    """Ask an hgx for the model that it serves; null where it is none."""
    connection = http.client.HTTPConnection(_LOOPBACK, port, timeout=_ASKING_S)
    try:
        connection.request("GET", "/v1/models")
        match json.loads(connection.getresponse().read(_MOST_BYTES)):
            case {"data": [{"id": str(model), "owned_by": "hgx"}, *_]}:
                return model
            case _:
                return None
    except (OSError, http.client.HTTPException, ValueError, RecursionError):
        return None
    finally:
        connection.close()


def _refused(host: str | None, port: int) -> Unavailable | None:
    """Open a port for a moment; say why that cannot be done, null where it can."""
    try:
        with listen(host, port):
            return None
    except Unavailable as refused:
        return refused


def _taken(what: str, found: str, port: int) -> Check:
    owner = _owner(port)
    by = f"; it is {owner}'s" if owner else ""
    remedy = "end what has it, or choose another with `hgx serve --port`"
    return Check("ports", what, "warning", f"{found}{by}", remedy)


def _owner(port: int) -> str | None:
    """Name the program that listens at a port, where the system tells this user."""
    try:
        for one in psutil.net_connections(kind="tcp"):
            where = one.laddr
            if one.status == psutil.CONN_LISTEN and where and where.port == port and one.pid:
                return f"{psutil.Process(one.pid).name()} (process {one.pid})"
    except psutil.Error:
        pass
    return None


def _multicast() -> Sequence[Check]:
    steps, _ = own_steps()
    return [_of_step(step) for step in steps]


def _of_step(step: Step) -> Check:
    found = step.detail.removesuffix(".")
    return Check("ports", step.name, _STATES[step.outcome], found, step.remedy)
