"""Options of ``hgx plan`` that say who may take part, and how they speak with each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hgx.cli.options import complete_names

if TYPE_CHECKING:
    from typer.models import OptionInfo


def _named(option: str, help_text: str) -> OptionInfo:
    """An option that names devices or nodes, once each."""
    return typer.Option(
        option,
        metavar="NAME",
        autocompletion=complete_names,
        help=f"{help_text}; repeatable.",
    )


ExcludeOption = Annotated[list[str] | None, _named("--exclude", "Leave out a device or a node")]
OnlyOption = Annotated[
    list[str] | None, _named("--only", "Use no device or node but those named so")
]
RequireOption = Annotated[
    list[str] | None, _named("--require", "Use this device, or one of this node")
]
MaxNodesOption = Annotated[
    int | None,
    typer.Option(
        "--max-nodes", min=1, help="Most machines that take part, the coordinator included."
    ),
]
NodeToleranceOption = Annotated[
    float | None,
    typer.Option(
        "--node-tolerance",
        min=0.0,
        metavar="PERCENT",
        help="Take fewer machines where that makes it slower by no more than this.",
    ),
]
DurationOption = Annotated[
    float | None,
    typer.Option(
        "--duration",
        min=1.0,
        metavar="SECONDS",
        help="Plan for a run of this length: devices count with what their heat allows, and "
        "machines whose batteries do not last so long are left out, unless required.",
    ),
]
CpuExpertsOption = Annotated[
    int | None,
    typer.Option(
        "--cpu-experts",
        min=0,
        metavar="BLOCKS",
        help="Of so many blocks, from the first on, the routed experts stay in the coordinator's "
        "RAM, beside its card. Default: whatever is best; 0 leaves none there.",
    ),
]
RpcOption = Annotated[
    Literal["sync", "async"],
    typer.Option(
        "--rpc",
        help="sync: parts of a prompt wait for each other, as before version 6 of llama.cpp's "
        "protocol. async: they follow each other through the stages.",
    ),
]


def part(percent: float | None) -> float | None:
    """Turn per cent into a part of one."""
    return None if percent is None else percent / 100
