"""The catalogue of devices that ``hgx plan --what-if`` can add."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from hgx.units import format_flops, format_rate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from hgx.core.catalogue import Offer


def print_catalogue(offers: Iterable[Offer], console: Console) -> None:
    """Print devices with their vendors' figures and where these are from."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("NAME", no_wrap=True)
    table.add_column("PRODUCT", no_wrap=True)
    for heading in ("MEMORY", "READS", "FP16"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("SOURCE", overflow="fold")
    for offer in offers:
        flops = format_flops(offer.fp16_tflops * 1e12)
        table.add_row(
            offer.name,
            offer.product,
            f"{offer.memory_gib} GiB",
            format_rate(offer.bandwidth_gb_per_s * 1e9),
            f"{flops} assumed" if offer.assumed else flops,
            offer.source,
        )
    console.print(table)
    console.print()
    console.print(
        Text(
            "all by their vendors, nothing measured: --what-if +NAME adds a machine with it, "
            "--what-if +NAME@NODE puts a card into one",
            style="dim",
        )
    )
