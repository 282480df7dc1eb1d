"""Facts that happened in the cluster; whoever records one gives it a number."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from hgx.core.base import Identifier, Strict
from hgx.core.reading import Battery, Reading


class DeviceGPUStateUpdated(Strict):
    """A device's state differs enough from the one last sent, or could not be read any more.

    Attributes:
        device: Its id, NODE/BACKEND:INDEX.
        at: When it was read.
        reading: The whole state, so that a reader needs no earlier event.
        battery: Of the device's machine, where it has one.
        stale: Why the reading is an old one: its driver no longer answers. Null where it is fresh.
    """

    kind: Literal["device_gpu_state_updated"] = "device_gpu_state_updated"
    device: Identifier
    at: AwareDatetime
    reading: Reading
    battery: Battery | None = None
    stale: str | None = None
