"""The table of devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from hgx.cli.render.console import plain
from hgx.core.evidence import RATES, rank_of
from hgx.units import format_bytes, format_flops, format_rate

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from hgx.core.registry import Device


def devices_table(devices: Iterable[Device], unpaired: Collection[str] = ()) -> Table:
    """Lay out devices, one per line; a narrow window folds ids and names, never numbers.

    Args:
        devices: In the order to show them.
        unpaired: Ids of nodes whose devices are marked as not to be used.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("DEVICE", overflow="fold")
    table.add_column("NAME", overflow="fold")
    for heading in ("FREE", "TOTAL", "BANDWIDTH", "COMPUTE"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("EVIDENCE", no_wrap=True)
    for device in devices:
        free = device.memory_free_bytes
        table.add_row(
            Text(plain(device.id)),
            Text(plain(device.name or "-")),
            "-" if free is None else format_bytes(free),
            format_bytes(device.memory_total_bytes),
            format_rate(device.memory_bandwidth_bytes_per_s),
            format_flops(device.compute_flops_per_s),
            Text("not paired" if device.node in unpaired else _evidence(device)),
        )
    return table


def _evidence(device: Device) -> str:
    """Name where bandwidth and compute come from; once if it is the same place."""
    return "/".join(dict.fromkeys(rank_of(device, field) or "-" for field in RATES))
