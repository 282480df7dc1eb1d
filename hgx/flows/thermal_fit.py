"""A trace of a device, made into what the registry knows of its heat."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from hgx.core.registry import Registry
from hgx.errors import StorageError, Unavailable
from hgx.store.atomic import shown_path, storage_error
from hgx.store.registry_file import update_registry
from hgx.thermal.activity import learn_powers, with_powers
from hgx.thermal.fit import Refusal, fit
from hgx.thermal.trace import parse_trace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hgx.core.registry import Device
    from hgx.core.thermal import ThermalParameters
    from hgx.store.home import Home
    from hgx.thermal.trace import Trace

LARGEST_BYTES = 256 * 1024**2


class Fitted(NamedTuple):
    """What came of it.

    Attributes:
        device: Its id.
        parameters: What was learnt.
        trace: What it was learnt from.
        path: The registry it was written to.
        note: Why the model is the one that was known before; null where it is of this trace.
    """

    device: str
    parameters: ThermalParameters
    trace: Trace
    path: Path
    note: str | None = None


def read_trace(path: Path) -> Trace:
    """Read a trace.

    Raises:
        StorageError: The file cannot be read, or is no trace.
    """
    name = shown_path(path)
    try:
        if path.stat().st_size > LARGEST_BYTES:
            msg = f"{name} is larger than any trace: give one that `hgx thermal record` wrote"
            raise StorageError(msg)
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise storage_error("read", path, error) from error
    except UnicodeDecodeError as error:
        msg = f"{name} is not UTF-8 text: give a trace that `hgx thermal record` wrote"
        raise StorageError(msg) from error
    return parse_trace(text, name)


def fit_trace(
    home: Home,
    device: Device,
    path: Path,
    *,
    stages: int | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Fitted:
    """Fit a model to a trace, and keep it in the registry with its evidence.

    What activities draw adds up over traces: a trace of one activity alone gives no model, and
    still teaches that of a device which has one.

    Args:
        home: Where the registry is.
        device: Whose trace it is.
        path: The trace.
        stages: One or two; null for what fits.
        now: Returns the time, with its zone.

    Raises:
        Unavailable: The trace does not tell enough; says what kind of trace would.
        StorageError: The trace cannot be read, or the registry not written.
        RegistryError: The registry is damaged.
    """
    trace, before, note = read_trace(path), device.thermal, None
    source = f"{len(trace.time_s)} readings in {path.name}"
    found = fit(trace, stages=stages, source=source, fitted_at=now())
    if isinstance(found, Refusal):
        powers = learn_powers(trace)
        notes = f" ({'; '.join(found.notes)})" if found.notes else ""
        reason = f"{shown_path(path)} gives no model of {device.id}: {found.reason}{notes}"
        if before is None or not powers:
            raise Unavailable(reason, found.remedy)
        parameters, note = with_powers(before, powers), f"{reason}; only what it draws was learnt"
    else:
        parameters = with_powers(found, before.powers if before else ())
        parameters = with_powers(parameters, found.powers)

    def change(registry: Registry) -> Registry:
        devices = (
            one.model_copy(update={"thermal": parameters}) if one.id == device.id else one
            for one in registry.devices
        )
        return Registry.model_validate(dict(registry) | {"devices": tuple(devices)})

    update_registry(home.registry, change)
    return Fitted(device.id, parameters, trace, home.registry, note)
