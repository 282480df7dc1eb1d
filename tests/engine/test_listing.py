"""The devices of llama.cpp's programs: of the real ones, and of one that has cards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hgx.engine.base import EngineDevice
from hgx.engine.binaries import Toolkit
from hgx.engine.listing import list_devices
from hgx.errors import EngineError
from hgx.units import MIB

if TYPE_CHECKING:
    from pathlib import Path

CPU = EngineDevice(name="CPU", description="the processor", kind="cpu")


def pretending(tmp_path: Path, script: str) -> Toolkit:
    """A toolkit whose server is a shell script."""
    server = tmp_path / "llama-server"
    server.write_text(f"#!/bin/sh\n{script}\n")
    server.chmod(0o755)
    return Toolkit(server, None, None, None, None, None, None, "PATH")


def test_the_cpu_is_always_there(llama_cpp: Toolkit) -> None:
    """A build without any GPU has the processor."""
    assert list_devices(llama_cpp) == (CPU,)


def test_cards(tmp_path: Path) -> None:
    """Each card comes with its name, what the vendor calls it, and its memory."""
    text = (
        "Available devices:\n  CUDA0: NVIDIA (R) H100 80GB (81079 MiB, 80559 MiB free)\n"
        "  Vulkan1: AMD Radeon (RADV) (1 MiB, 0 MiB free)\n"
    )
    found = list_devices(pretending(tmp_path, f"cat <<'END'\nnoise: 1\n{text}END"))
    assert found[0] == CPU
    assert [(one.name, one.description, one.kind) for one in found[1:]] == [
        ("CUDA0", "NVIDIA (R) H100 80GB", "gpu"),
        ("Vulkan1", "AMD Radeon (RADV)", "gpu"),
    ]
    assert found[1].memory_total_bytes == 81079 * MIB


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 3", "ended with status 3: use another build"),
        ("kill -ILL $$", "was killed"),
        ("echo hm", "ended with status 0"),
    ],
)
def test_it_does_not_say(tmp_path: Path, script: str, words: str) -> None:
    """One that fails or says something else is an error with how it ended."""
    with pytest.raises(EngineError, match=words):
        list_devices(pretending(tmp_path, script))
