"""Device drivers: one file each, named after its backend.

A driver is a module of this package with two functions. ``create() -> Driver`` makes it.
``absent() -> Unavailable | None`` says, without loading anything, that it cannot work here: the
package is not installed, or the system is another. Nothing else names the module: adding a driver
touches its file and its test alone. Modules whose names begin with an underscore are shared parts.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from hgx.drivers.base import Driver
    from hgx.errors import Unavailable


class Backend(NamedTuple):
    """A way to devices.

    Attributes:
        name: ``cpu``, ``cuda``, ...
        create: Makes its driver, not initialized.
        absent: Says why it cannot work here, as far as that can be told without trying.
    """

    name: str
    create: Callable[[], Driver]
    absent: Callable[[], Unavailable | None]


def backends() -> tuple[Backend, ...]:
    """Find all backends, in the order of their names."""
    names = sorted(module.name for module in iter_modules(__path__))
    return tuple(_backend(name) for name in names if name != "base" and not name.startswith("_"))


def backend(name: str) -> Backend:
    """Find one backend.

    Raises:
        KeyError: There is none of that name.
    """
    return {found.name: found for found in backends()}[name]


def _backend(name: str) -> Backend:
    module: ModuleType = import_module(f"{__name__}.{name}")
    return Backend(
        name,
        cast("Callable[[], Driver]", module.create),
        cast("Callable[[], Unavailable | None]", module.absent),
    )
