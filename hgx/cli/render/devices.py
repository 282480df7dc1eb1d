"""The table of devices, and how tables of devices become blocks in a narrow window."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hgx.cli.render.console import plain
from hgx.core.evidence import RATES, noisy, rank_of
from hgx.units import format_bytes, format_flops, format_rate

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from rich.console import Console, ConsoleOptions, RenderResult

    from hgx.core.registry import Device, EvidenceRank

_GAP = 2
_LEAST_GAP = 1
_WORDS_COLUMNS = 9
"""To so many columns words may fold in a table; where there are fewer each device is a block."""


class Column(NamedTuple):
    """One column of a table of devices.

    Attributes:
        heading: In capitals.
        words: Whether it holds words, which may fold, and not figures, which stay whole and stand
            at the right.
    """

    heading: str
    words: bool = False


class DeviceTable:
    """Devices, one per line; in a window too narrow for that, one below the other.

    Ids and words fold but never vanish, and numbers are never cut, down to 40 columns.

    Args:
        columns: The first is the id's.
        rows: A cell for each column, in the order to show them.
    """

    def __init__(self, columns: Sequence[Column], rows: Sequence[Sequence[Text]]) -> None:
        self._columns = columns
        self._rows = rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Choose what fits, as the library for terminal output asks for it."""
        for gap in (_GAP, _LEAST_GAP):
            if self._least_width(gap) <= options.max_width:
                yield self._table(gap)
                return
        yield from self._blocks()

    def _least_width(self, gap: int) -> int:
        """Return the width of the narrowest table in which no number is cut."""
        cells = zip(*self._rows, strict=True) if self._rows else [()] * len(self._columns)
        least = -gap  # there is none behind the last column
        for column, below in zip(self._columns, cells, strict=True):
            width = max((len(column.heading), *(text.cell_len for text in below)))
            least += gap + (min(width, _WORDS_COLUMNS) if column.words else width)
        return least

    def _table(self, gap: int) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
        for column in self._columns:
            table.add_column(
                column.heading,
                justify="left" if column.words else "right",
                no_wrap=not column.words,
                overflow="fold",
            )
        for row in self._rows:
            table.add_row(*row)
        return table

    def _blocks(self) -> RenderResult:
        for row in self._rows:
            name, *figures = row
            yield Text(name.plain, style="bold", overflow="fold")
            block = Table.grid(padding=(0, _GAP, 0, 0))
            block.add_column(no_wrap=True)
            block.add_column(overflow="fold")
            for column, figure in zip(self._columns[1:], figures, strict=True):
                if figure.plain:
                    block.add_row(column.heading, figure)
            yield Padding(block, (0, 0, 0, _GAP))


_COLUMNS = (
    Column("DEVICE", words=True),
    Column("NAME", words=True),
    *(Column(heading) for heading in ("FREE", "TOTAL", "BANDWIDTH", "COMPUTE")),
    Column("EVIDENCE", words=True),
)
_EVIDENCE: Mapping[EvidenceRank | None, str] = {
    "engine": "engine",
    "driver": "measured",
    "vendor": "vendor",
    "default": "assumed",
    None: "-",
}


def devices_table(devices: Iterable[Device], unpaired: Collection[str] = ()) -> DeviceTable:
    """Lay out devices: their memory, their rates, and where those come from.

    Args:
        devices: In the order to show them.
        unpaired: Ids of nodes whose devices are marked as not to be used.
    """
    return DeviceTable(_COLUMNS, [_cells(device, unpaired) for device in devices])


def _cells(device: Device, unpaired: Collection[str]) -> tuple[Text, ...]:
    free = device.memory_free_bytes
    return (
        Text(plain(device.id)),
        Text(plain(device.name or "-")),
        Text("-" if free is None else format_bytes(free)),
        Text(format_bytes(device.memory_total_bytes)),
        Text(format_rate(device.memory_bandwidth_bytes_per_s)),
        Text(format_flops(device.compute_flops_per_s)),
        Text("not paired" if device.node in unpaired else _evidence(device)),
    )


def _evidence(device: Device) -> str:
    """Name where bandwidth and compute come from, once if it is the same place, and any noise.

    Where the engine was measured on it plans rest on that, and only there.
    """
    if device.engine and device.engine.types:
        return _EVIDENCE["engine"]
    words = list(dict.fromkeys(_EVIDENCE[rank_of(device, field)] for field in RATES))
    if any(noisy(device, field) for field in RATES):
        words.append("noisy")
    return ", ".join(words)
