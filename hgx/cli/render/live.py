"""What is shown again and again: in place of the last on a terminal, below it elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from rich.live import Live

from hgx.cli.render.console import stdout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rich.console import RenderableType

T = TypeVar("T")


def show_live(
    looks: Iterable[T],
    picture: Callable[[T], RenderableType],
    as_json: Callable[[T], str] | None,
) -> None:
    """Show each look at something.

    Args:
        looks: As they come.
        picture: Lays one out for people.
        as_json: The line of JSON to print of each instead; null prints none.
    """
    console = stdout()
    if as_json:
        for look in looks:
            print(as_json(look), file=console.file, flush=True)
    elif console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            for look in looks:
                live.update(picture(look), refresh=True)
    else:
        for look in looks:
            console.print(picture(look))
            console.file.flush()
