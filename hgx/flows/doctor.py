"""Look at all that hgx needs on this machine and say what is wrong and what to do about it.

Nothing is announced, changed or kept; the home is not even made where there is none.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from hgx.flows.doctor_check import Part, run_parts
from hgx.flows.doctor_drivers import asked_once, driver_checks
from hgx.flows.doctor_engines import ask_engines, engine_parts
from hgx.flows.doctor_peers import peer_checks
from hgx.flows.doctor_permissions import permission_parts
from hgx.flows.doctor_place import place_parts
from hgx.flows.doctor_ports import MODEL_PORT, NODE_PORT, port_parts
from hgx.flows.local import find_local
from hgx.flows.sight import sight_of
from hgx.process.background import Background
from hgx.sensors.source import MACHINE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from hgx.core.registry import Device
    from hgx.flows.doctor_check import Check, State
    from hgx.flows.sight import Sight
    from hgx.sensors.source import Source
    from hgx.store.home import Home

_BAD: tuple[State, ...] = ("fault", "warning")
_ALL: tuple[State, ...] = (*_BAD, "note", "ok")
_DRIVERS_S = 60.0


class Wish(NamedTuple):
    """What to look at.

    Attributes:
        engine_dir: Folder of llama.cpp's programs that the user named, or null.
        multicast: Whether to try multicast, which sends a question into each network.
        node_port: Where a node listens.
        model_port: Where a served model is answered.
    """

    engine_dir: Path | None = None
    multicast: bool = True
    node_port: int = NODE_PORT
    model_port: int = MODEL_PORT


def examine(
    home: Home, wish: Wish | None = None, *, source: Source = MACHINE, sight: Sight | None = None
) -> tuple[Check, ...]:
    """Make all checks, at the same time; none that crashes or hangs stops the others.

    Args:
        home: Where everything is kept.
        wish: What to look at.
        source: The machine.
        sight: How to look at its devices; through the source where null.

    Returns:
        The checks by area, in the order in which it makes sense to mend things.
    """
    wish = wish or Wish()
    look = Background(lambda: asked_once(sight or sight_of(source))).result
    engines = ask_engines(home, wish.engine_dir, partial(_devices, look))
    return run_parts(
        [
            *place_parts(home, source),
            *permission_parts(home, source),
            *engine_parts(engines),
            Part("drivers", "backends", partial(driver_checks, look, source), _DRIVERS_S),
            *port_parts(home, wish.node_port, wish.model_port, multicast=wish.multicast),
            Part("peers", "others", partial(peer_checks, home)),
        ]
    )


def worst(checks: Sequence[Check]) -> State:
    """Return the worst state of any check."""
    return _ALL[min((_ALL.index(check.state) for check in checks), default=-1)]


def first_to_mend(checks: Sequence[Check]) -> Check | None:
    """Return the check to look at first; null where nothing is worse than a note."""
    bad = [check for state in _BAD for check in checks if check.state == state]
    return bad[0] if bad else None


def _devices(look: Callable[[], Sight]) -> Sequence[Device]:
    """List the devices of this machine; their node's id does not matter here."""
    return tuple(find_local("here", look(), datetime.now(UTC)).devices.values())
