"""The peers that this machine knows: do they answer, and are they who they were."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from hgx._version import __version__
from hgx.errors import PeerError
from hgx.flows.addresses import given_targets, parse_target
from hgx.flows.doctor_check import Check, Part, failed, run_parts
from hgx.flows.peer_list import known_peers
from hgx.net.peer import PeerClient
from hgx.store.registry_file import known_registry
from hgx.units import format_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hgx.flows.peer_list import KnownPeer
    from hgx.net.peer import Said
    from hgx.store.home import Home

_ALONE = "none is known; a model runs on this machine alone"
_FIND_ONE = "start `hgx serve` on another machine, then `hgx discover` and `hgx pair` here"


def peer_checks(home: Home) -> Sequence[Check]:
    """Check each peer that is paired or known, all at the same time.

    Args:
        home: Where the registry and the paired peers are.

    Raises:
        StorageError: The paired peers cannot be read.
        RegistryError: The registry is damaged.
    """
    paired = known_peers(home)
    nodes = [node for node in known_registry(home.registry).nodes if node.fingerprint]
    names = {node.fingerprint: node.id for node in nodes if node.fingerprint}
    names |= {peer.fingerprint: peer.name for peer in paired}
    prints = {peer.fingerprint for peer in paired}
    strangers = [node for node in nodes if node.address and node.fingerprint not in prints]
    parts = [
        *(Part("peers", peer.name, partial(_paired, peer, names)) for peer in paired),
        *(
            Part("peers", one.id, partial(_unpaired, one.id, one.address or ""))
            for one in strangers
        ),
    ]
    if not parts:
        parts.append(Part("peers", "others", _nobody))
    return run_parts([*parts, Part("peers", "peers.txt", partial(_named, home))])


def _nobody() -> Sequence[Check]:
    return [Check("peers", "others", "note", _ALONE, _FIND_ONE)]


def _named(home: Home) -> Sequence[Check]:
    """Check that the file of addresses can be read, where there is one."""
    targets = given_targets(home, (), None)
    shown = ", ".join(f"{target}" for target in targets)
    return [Check("peers", "peers.txt", "ok", f"names {shown}")] if targets else []


def _paired(peer: KnownPeer, names: Mapping[str, str]) -> Sequence[Check]:
    checks: list[Check] = []
    if not peer.pinned:
        found = "paired by an earlier hgx, which kept no certificate, so it cannot connect"
        checks.append(Check("peers", peer.name, "warning", found, "pair it again with `hgx pair`"))
    if peer.address is None:
        found = "paired, and never found from here"
        remedy = "start `hgx serve` there, and run `hgx discover` here"
        return [*checks, Check("peers", peer.name, "warning", found, remedy)]
    began_s = time.perf_counter()
    try:
        said = PeerClient(*parse_target(peer.address)).node()
    except PeerError as error:
        state = "fault" if error.fault == "version" else "warning"
        check = failed("peers", peer.name, error, state=state)
        seen = f"; it last answered at {peer.seen_at}" if peer.seen_at else ""
        return [*checks, check._replace(found=f"{check.found}{seen}")]
    took_s = time.perf_counter() - began_s
    return [*checks, _compared(peer, said, names, took_s)]


def _compared(peer: KnownPeer, said: Said, names: Mapping[str, str], took_s: float) -> Check:
    """Say whether the peer that answered is the one that was paired."""
    if said.fingerprint in names and said.fingerprint != peer.fingerprint:
        found = f"its address, {peer.address}, is that of {names[said.fingerprint]} now"
        return Check("peers", peer.name, "warning", found, "run `hgx discover` to find it anew")
    if said.fingerprint != peer.fingerprint:
        found = (
            f"another certificate answers at {peer.address}, {said.fingerprint[:16]}, not the "
            f"paired {peer.fingerprint[:16]}"
        )
        remedy = (
            "if hgx was set up anew there, pair it again with `hgx pair`; else find out who it is"
        )
        return Check("peers", peer.name, "fault", found, remedy)
    found = (
        f"answers at {peer.address} in {format_seconds(took_s)}, with the paired certificate "
        f"{peer.fingerprint[:16]} and hgx {said.hgx}"
    )
    if said.hgx == __version__:
        return Check("peers", peer.name, "ok", found)
    remedy = f"install the same hgx on both; this is {__version__}"
    return Check("peers", peer.name, "note", found, remedy)


def _unpaired(name: str, address: str) -> Sequence[Check]:
    try:
        said = PeerClient(*parse_target(address)).node()
    except PeerError as error:
        found = f"not paired; {error.reason}"
        return [Check("peers", name, "note", found)]
    found = f"not paired; hgx {said.hgx} answers at {address}"
    return [Check("peers", name, "note", found, "pair it with `hgx pair` to use it")]
