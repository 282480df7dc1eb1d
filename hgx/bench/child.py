"""One device measured in a process of its own: ``python -m hgx.bench.child BACKEND INDEX ...``.

It prints events as lines of JSON. What a vendor's library does to this process, it does to
nothing else.
"""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, get_args

import psutil

from hgx.bench.conditions import Watch, device_reader
from hgx.bench.device import EFFORTS, Tools, measure_device
from hgx.bench.events import Failed
from hgx.core.reading import PowerSource
from hgx.drivers import backend
from hgx.errors import HgxError
from hgx.process.child import answers_to_parent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hgx.bench.device import Effort
    from hgx.bench.events import Event
    from hgx.drivers.base import DeviceInfo, Driver

_LEAST_S = 1.0
"""To measure in, however long a vendor's library took to load."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the device that the arguments name, and tell the parent."""
    wanted = _parsed(arguments)
    answers = answers_to_parent()
    driver = backend(wanted.backend).create()

    def emit(event: Event) -> None:
        answers.write(event.model_dump_json() + "\n")
        answers.flush()

    try:
        driver.initialize()
        try:
            info = find_device(driver, wanted.index, wanted.uuid)
            name = wanted.subject.partition("/")[2]
            read = device_reader(driver, info.index, name)
            tools = Tools(lambda: datetime.now(UTC), lambda: Watch(read, wanted.power))
            effort = _remaining(EFFORTS[wanted.effort])._replace(sustained_s=wanted.sustained)
            measure_device(driver, info, effort, subject=wanted.subject, emit=emit, tools=tools)
        finally:
            driver.shutdown()
    except HgxError as error:
        emit(Failed(subject=wanted.subject, reason=error.message))


def find_device(driver: Driver, index: int, uuid: str | None) -> DeviceInfo:
    """Return a device by its identity, or by its index where it has none.

    Args:
        driver: An initialized driver.
        index: Its number in the registry, which may count devices that are hidden from the driver.
        uuid: Its identity where the registry has one.

    Raises:
        DeviceError: There is no such device.
    """
    same = [info for info in driver.list_devices() if uuid and info.uuid == uuid]
    return same[0] if same else driver.get_device(index)


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("backend")
    parser.add_argument("index", type=int)
    parser.add_argument("subject")
    parser.add_argument("--uuid")
    parser.add_argument("--power", choices=get_args(PowerSource))
    parser.add_argument("--effort", choices=sorted(EFFORTS), default="normal")
    parser.add_argument("--sustained", type=float, default=0.0)
    return parser.parse_args(arguments)


def _remaining(effort: Effort) -> Effort:
    """Take off what the start of this process took: loading a runtime may last seconds."""
    spent = time.time() - psutil.Process().create_time()
    return effort._replace(seconds=max(_LEAST_S, effort.seconds - spent))


if __name__ == "__main__":
    main()
