"""How far a model's loading has got."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

from rich.console import Console

from hgx.cli.render.loading import Bars
from hgx.cli.render.serve import Screen
from hgx.serve.team import Sent
from hgx.units import MIB

if TYPE_CHECKING:
    import pytest


def test_a_bar_for_each_worker() -> None:
    """Once weights go to workers each has a bar with bytes; nothing of it stays."""
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=100, color_system=None)
    with Bars(console, "Loading m") as bars:
        bars(1.0, ())
        bars(2.0, (Sent("lap\x1btop", 3 * MIB, 4 * MIB), Sent("tower", 9 * MIB, 8 * MIB)))
        bars(3.0, (Sent("lap\x1btop", 4 * MIB, 4 * MIB), Sent("tower", 9 * MIB, 8 * MIB)))
    text = shown.getvalue()
    assert "Loading m" in text
    assert "Loading m on lap\\x1btop" in text
    assert "8.0/8.0 MiB" in text


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON it is a line a second, and none where there are no workers."""
    with Screen(as_json=True, quiet=False).loading("m") as progress:
        progress(0.0, ())
        for tenths in range(1, 25):
            progress(tenths / 10, (Sent("far", tenths, 30),))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["seconds"] for line in lines] == [0.1, 1.1, 2.1]
    assert lines[1]["workers"] == [{"worker": "far", "sent_bytes": 11, "total_bytes": 30}]
