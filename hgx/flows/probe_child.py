"""The process that looks at one backend: ``python -m hgx.flows.probe_child BACKEND [INDEX]``.

It prints one line of JSON: the devices, or quick benchmarks of the device of that index.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hgx.drivers import backend
from hgx.drivers.base import DeviceError
from hgx.errors import HgxError, Unavailable
from hgx.flows.probe import Missing, Probe, Quick, Seen
from hgx.process.child import answers_to_parent

if TYPE_CHECKING:
    from hgx.drivers.base import DeviceInfo, Driver


def look(driver: Driver) -> Probe:
    """List the devices of a driver that is not initialized yet."""
    try:
        driver.initialize()
    except Unavailable as absent:
        return Probe(missing=Missing(reason=absent.reason, remedy=absent.remedy))
    return Probe(devices=tuple(_seen(driver, info) for info in driver.list_devices()))


def measure(driver: Driver, index: int) -> Quick:
    """Measure a device of a driver that is not initialized yet."""
    from hgx.bench.compute import quick_rates  # noqa: PLC0415 - looking does not need it

    try:
        driver.initialize()
        info = driver.get_device(index)
        return Quick(benchmarks=quick_rates(driver, info, now=lambda: datetime.now(UTC)))
    except HgxError as error:
        return Quick(problem=error.message)


def _seen(driver: Driver, info: DeviceInfo) -> Seen:
    try:
        free, temperature = (
            driver.memory_info(info.index).free_bytes,
            driver.temperature(info.index),
        )
    except DeviceError:
        free = temperature = None  # the device is there, and what it fails at shows when it is used
    return Seen(
        index=info.index,
        name=info.name,
        memory_total_bytes=info.memory_total_bytes,
        memory_free_bytes=free,
        unified_memory=info.unified_memory,
        uuid=info.uuid,
        fallback=info.fallback,
        temperature_c=temperature,
    )


def main() -> None:
    """Answer the parent, and only then let go of the vendor's library, which may crash."""
    answers = answers_to_parent()
    driver = backend(sys.argv[1]).create()
    found = look(driver) if len(sys.argv) == 2 else measure(driver, int(sys.argv[2]))
    answers.write(found.model_dump_json() + "\n")
    answers.flush()
    driver.shutdown()


if __name__ == "__main__":
    main()
