"""Device drivers: one file each, named after its backend.

A driver is a module of this package with a function ``create() -> Driver``. Nothing else names
it: adding one touches its file and its test alone.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgx.drivers.base import Driver


def all_drivers() -> dict[str, Driver]:
    """Create one driver of each kind, by the name of its backend; none is initialized yet."""
    names = sorted(module.name for module in iter_modules(__path__))
    modules = {name: import_module(f"{__name__}.{name}") for name in names if name != "base"}
    return {name: cast("Callable[[], Driver]", module.create)() for name, module in modules.items()}
