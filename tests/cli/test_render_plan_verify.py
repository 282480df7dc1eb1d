"""A verified plan as people see it, where the real programs have nothing of that kind to say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hgx.cli.render.console import stdout
from hgx.cli.render.plan_verify import print_verified
from hgx.core.plan import Host, HostMemory
from hgx.core.verified import Share, Verified, VerifiedDevice, VerifiedPlan
from hgx.units import GIB, MIB
from tests.engine.plans import plan_of

if TYPE_CHECKING:
    from collections.abc import Sequence


HOW = "its figures are whole MiB, rounded down, and nothing was loaded"
UNCHECKED = "how a GPU aligns its memory and what its driver takes is not checked"


@pytest.fixture(autouse=True)
def no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what the tester's own terminal says."""
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


def share(layers: tuple[int, int] | None, *sizes_mib: float) -> Share:
    """A share of some layers: weights, KV and compute in MiB."""
    first, last = layers or (None, None)
    weights, kv, compute = (round(size * MIB) for size in sizes_mib)
    return Share(
        first_layer=first,
        last_layer=last,
        weights_bytes=weights,
        kv_bytes=kv,
        compute_bytes=compute,
    )


def shown(
    capsys: pytest.CaptureFixture[str],
    *rows: tuple[str | None, Share, Share],
    warnings: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> list[str]:
    """Print a verified plan of two devices, the first the host's; return its lines."""
    plan = plan_of(("cpu:0", 2), ("cuda:0", 3))
    memory = HostMemory(
        weights_bytes=0, kv_bytes=0, compute_bytes=0, total_bytes=0, capacity_bytes=None
    )
    devices = tuple(
        VerifiedDevice(
            device=name,
            engine=f"RPC{number}",
            stand_in=number > 0,
            planned=planned,
            llama_cpp=theirs,
            capacity_bytes=GIB,
        )
        for number, (name, planned, theirs) in enumerate(rows)
    )
    verified = Verified(
        build=9000,
        source="PATH",
        devices=devices,
        warnings=tuple(warnings),
        notes=tuple(notes),
    )
    host = Host(node="n", memory=memory)
    print_verified(
        VerifiedPlan.model_validate({**dict(plan), "host": host, "verified": verified}), stdout()
    )
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines() if line]


def test_differences(capsys: pytest.CaptureFixture[str]) -> None:
    """Differences have a sign, those below a MiB are left out, and warnings say that they are."""
    lines = shown(
        capsys,
        ("n/cpu:0", share((0, 1), 100, 20, 30), share((0, 1), 110, 20, 10)),
        ("n/cuda:0", share((2, 5), 10.4, 1, 1), share((2, 5), 10, 1, 1)),
        warnings=["more \x1b[31mweights"],
        notes=["less compute"],
    )
    assert lines == [
        "DEVICE LAYERS WEIGHTS KV COMPUTE TOTAL",
        "n/cpu:0 and host planned 0-1 100 MiB 20 MiB 30 MiB 150 MiB",
        "llama.cpp 0-1 110 MiB 20 MiB 10 MiB 140 MiB",
        "difference +10 MiB - -20 MiB -10 MiB",
        "n/cuda:0 planned 2-4 + head 10.4 MiB 1 MiB 1 MiB 12.4 MiB",
        "llama.cpp 2-4 + head 10 MiB 1 MiB 1 MiB 12 MiB",
        "difference - - - -",
        f"llama.cpp build 9000 (PATH) differs from the plan; {HOW}",
        r"warning: more \x1b[31mweights",
        "- less compute",
        f"- on this machine's loopback, stand-ins answered for n/cuda:0: {UNCHECKED}",
    ]


def test_layers_that_it_says_nothing_of(capsys: pytest.CaptureFixture[str]) -> None:
    """Unknown is not the same as none; the host alone needs no stand-in."""
    lines = shown(capsys, ("n/cpu:0", share((0, 5), 1, 1, 1), share(None, 1, 1, 1)))
    assert lines[2] == "llama.cpp ? 1 MiB 1 MiB 1 MiB 3 MiB"
    assert lines[-1].startswith("llama.cpp build 9000 (PATH) agrees with the plan")
    lines = shown(capsys, (None, share(None, 1, 1, 1), share(None, 1, 1, 1)))
    assert lines[1].startswith("n (host) planned embedding")
    assert lines[2].startswith("llama.cpp embedding")
