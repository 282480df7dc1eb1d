"""How quickly the tool starts: ``hgx --version`` beside importing the library it is built on.

    python benchmarks/startup.py

The two run in turn, so that both meet the same load. Target: a ratio of at most 1.5.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 21


def seconds(*arguments: str) -> float:
    """Time one whole process."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def main() -> None:
    """Print medians and the median of the ratios, pair by pair."""
    pairs = [
        (seconds("-m", "hgx", "--version"), seconds("-c", "import typer")) for _ in range(RUNS)
    ]
    hgx, library = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(mine / other for mine, other in pairs)
    print(f"hgx --version             {hgx * 1e3:6.1f} ms")
    print(f"python -c 'import typer'  {library * 1e3:6.1f} ms")
    print(f"ratio                     {ratio:6.2f}    (median of {RUNS} pairs)")


if __name__ == "__main__":
    main()
