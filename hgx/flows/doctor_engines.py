"""The engines of this machine: are they there, do they run, and can they use its cards."""

from __future__ import annotations

import os
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, NamedTuple

from hgx.engine.binaries import find_toolkit
from hgx.engine.devices import match_devices
from hgx.engine.embedded import engine_devices
from hgx.engine.listing import list_devices
from hgx.engine.places import named_places
from hgx.engine.rpc_server import rpc_protocol
from hgx.engine.selftest import one_token
from hgx.errors import EngineError, HgxError, StorageError, Unavailable
from hgx.flows.doctor_check import Check, Part, failed, run_parts, split
from hgx.process.background import Background
from hgx.store.trust import trusted
from hgx.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from hgx.core.registry import Device
    from hgx.engine.base import EngineDevice
    from hgx.engine.binaries import Toolkit
    from hgx.engine.hello import Protocol
    from hgx.store.home import Home

_EMBEDDED, _PROGRAMS, _RPC, _TEST = "embedded engine", "llama.cpp", "rpc server", "self-test"
_EMBEDDED_PACKAGE = "xllamacpp"
_ASKING_S = 60.0
_LIMIT_S = 120.0
"""Programs of llama.cpp get themselves ready first, GPUs included, each of them."""

_CARDS_S = 120.0
"""Drivers are waited for here, and both engines."""

_CARDS = ("cuda", "rocm", "metal")
"""Backends whose devices llama.cpp can use, if it was built for them."""

_ANOTHER = "use another build of llama.cpp, named with --engine-dir or HGX_LLAMA_CPP"


class Engines(NamedTuple):
    """What is asked of the engines here; each question is answered any number of times.

    Attributes:
        named: Whether the user named a folder of llama.cpp's programs.
        paired: Says whether any machine is paired with this one.
        embedded: Lists the devices of the embedded engine.
        toolkit: Finds llama.cpp's programs.
        devices: Lists theirs.
        protocol: Says what their rpc server speaks.
        test: Makes one token with programs on a device of theirs, by its name.
        cards: Lists the devices of this machine.
    """

    named: bool
    paired: Callable[[], bool]
    embedded: Callable[[], tuple[EngineDevice, ...]]
    toolkit: Callable[[], Toolkit]
    devices: Callable[[], tuple[EngineDevice, ...]]
    protocol: Callable[[], Protocol]
    test: Callable[[Toolkit, str], object]
    cards: Callable[[], Sequence[Device]]


def ask_engines(
    home: Home, engine_dir: Path | None, cards: Callable[[], Sequence[Device]]
) -> Engines:
    """Begin to ask the engines of this machine, all at once and in the background.

    Args:
        home: Where the paired peers are.
        engine_dir: The folder of programs that the user named, or null.
        cards: Lists the devices of this machine.
    """
    toolkit = Background(partial(find_toolkit, engine_dir))
    return Engines(
        named=bool(named_places(engine_dir, os.environ)),
        paired=partial(_anybody_paired, home),
        embedded=Background(partial(engine_devices, _ASKING_S)).result,
        toolkit=toolkit.result,
        devices=Background(lambda: list_devices(toolkit.result())).result,
        protocol=Background(lambda: rpc_protocol(toolkit.result())).result,
        test=one_token,
        cards=cards,
    )


def engine_parts(engines: Engines) -> list[Part]:
    """List the checks of this area."""
    return [
        Part("engines", _EMBEDDED, partial(_embedded, engines), _LIMIT_S),
        Part("engines", _PROGRAMS, partial(_programs, engines), _LIMIT_S),
        Part("engines", "devices", partial(_devices, engines), _LIMIT_S),
        Part("engines", _RPC, partial(_rpc_server, engines), _LIMIT_S),
        Part("engines", _TEST, partial(_self_tests, engines), _LIMIT_S),
        Part("engines", "cards", partial(_cards, engines), _CARDS_S),
    ]


def _anybody_paired(home: Home) -> bool:
    try:
        return bool(trusted(home))
    except StorageError:  # another check says so
        return False


def _embedded(engines: Engines) -> Sequence[Check]:
    try:
        devices = engines.embedded()
    except Unavailable as missing:
        state = "note" if _there(engines.toolkit) else "fault"
        return [failed("engines", _EMBEDDED, missing, state=state)]
    found = f"{_EMBEDDED_PACKAGE} {_version(_EMBEDDED_PACKAGE)} can use {_listed(devices)}"
    return [Check("engines", _EMBEDDED, "ok", found)]


def _programs(engines: Engines) -> Sequence[Check]:
    try:
        toolkit = engines.toolkit()
    except Unavailable as missing:
        state = "fault" if engines.named else "warning" if engines.paired() else "note"
        found = f"{missing.reason}; without them a model runs on one machine alone"
        return [Check("engines", _PROGRAMS, state, found, missing.remedy)]
    facts = [
        f"version {toolkit.version}" if toolkit.version else "",
        f"build {toolkit.build}" if toolkit.build else "",
        f"in {toolkit.server.parent} ({toolkit.source})",
    ]
    checks = [Check("engines", _PROGRAMS, "ok", ", ".join(fact for fact in facts if fact))]
    for note in toolkit.notes:
        found, remedy = split(note)
        checks.append(Check("engines", _PROGRAMS, "warning", found, remedy))
    return checks


def _devices(engines: Engines) -> Sequence[Check]:
    if not _there(engines.toolkit):  # another check says so
        return []
    return [Check("engines", "devices", "ok", f"llama.cpp can use {_listed(engines.devices())}")]


def _rpc_server(engines: Engines) -> Sequence[Check]:
    try:
        toolkit = engines.toolkit()
    except Unavailable:  # another check says so
        return []
    try:
        protocol = engines.protocol()
    except Unavailable as missing:
        state = "fault" if toolkit.rpc_server else "warning" if engines.paired() else "note"
        return [failed("engines", _RPC, missing, state=state)]
    except EngineError as error:
        check = failed("engines", _RPC, error, remedy=_ANOTHER)
        return [check._replace(found=check.found.partition(" (log: ")[0])]  # the log is gone
    return [Check("engines", _RPC, "ok", f"speaks protocol {protocol}")]


def _self_tests(engines: Engines) -> Sequence[Check]:
    """Make one token on each device that llama.cpp lists."""
    if not _there(engines.devices):  # another check says so
        return []
    return run_parts(
        [
            Part("engines", _TEST, partial(_self_test, engines, device.name), _LIMIT_S)
            for device in engines.devices()
        ]
    )


def _self_test(engines: Engines, device: str) -> Sequence[Check]:
    try:
        engines.test(engines.toolkit(), device)
    except EngineError as error:
        found, _, remedy = error.message.rpartition("; ")
        return [Check("engines", _TEST, "fault", found or error.message, remedy or _ANOTHER)]
    return [Check("engines", _TEST, "ok", f"llama.cpp made a token on {device}")]


def _cards(engines: Engines) -> Sequence[Check]:
    """Check for each card whether an engine can use it."""
    cards = [device for device in engines.cards() if device.backend in _CARDS]
    if not cards:
        return []
    users: dict[str, list[str]] = {card.id: [] for card in cards}
    for engine, ask in (
        ("the embedded engine", engines.embedded),
        ("llama.cpp's programs", engines.devices),
    ):
        try:
            devices = ask()
        except HgxError:  # another check says so
            continue
        for card in match_devices(cards, devices):
            users[card].append(engine)
    return [_card(card, users[card.id]) for card in cards]


def _card(card: Device, users: Sequence[str]) -> Check:
    what = card.id.partition("/")[2]
    name = card.name or what
    if users:
        return Check("engines", what, "ok", f"{name} can be used by {' and '.join(users)}")
    found = f"{name} is there, and no engine here can use it"
    remedy = f"install an xllamacpp for {card.backend.upper()}, or llama.cpp built for it"
    return Check("engines", what, "warning", found, remedy)


def _there(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except HgxError:
        return False
    return True


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # it was put there by hand
        return "of an unknown version"


def _listed(devices: Sequence[EngineDevice]) -> str:
    return ", ".join(_shown(device) for device in devices) or "no device"


def _shown(device: EngineDevice) -> str:
    size = f", {format_bytes(device.memory_total_bytes)}" if device.memory_total_bytes else ""
    return f"{device.name} ({device.description}{size})"
