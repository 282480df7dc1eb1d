"""Steps run with the real programs, and the load of others."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import psutil
import pytest

from hgx.bench.engine_run import Load, Runner
from hgx.bench.engine_steps import Step, Target
from hgx.engine.synthetic import Shape
from hgx.errors import EngineError
from hgx.units import GIB

if TYPE_CHECKING:
    from pathlib import Path

    from hgx.engine.binaries import Toolkit

CPU = Target("box/cpu:0", None, 1, 20e9, 2e11, 8 * GIB)
STEP = Step("x", False, Shape(2, 256, 256, 2, 1), "Q4_K", prompt=64, generate=16, depth=8)
HOG = "while True: pass"


@pytest.mark.parametrize("worker", [False, True])
def test_a_step(llama_cpp: Toolkit, tmp_path: Path, *, worker: bool) -> None:
    """It gives times, the model is gone, and so are all processes."""
    before = psutil.Process().children(recursive=True)
    runner = Runner(llama_cpp, CPU, tmp_path, "mains")
    timed = runner(STEP._replace(worker=worker), 3)
    assert (len(timed.times.prompt), len(timed.times.token)) == (3, 3)
    assert timed.conditions.power_source == "mains"
    assert timed.began.tzinfo is not None
    assert not [*tmp_path.glob("*.gguf")]
    assert psutil.Process().children(recursive=True) == before


def test_a_step_that_fails(llama_cpp: Toolkit, tmp_path: Path) -> None:
    """The model is gone then too."""
    broken = tmp_path / "llama-bench"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    runner = Runner(replace(llama_cpp, bench=broken), CPU, tmp_path, None)
    with pytest.raises(EngineError, match="ended with status 1"):
        runner(STEP, 1)
    assert not [*tmp_path.glob("*.gguf")]


class TestLoad:
    """Whose time it is."""

    def test_who_is_no_other_is_no_load(self) -> None:
        """What is used and is not own is others', as a share of all time there was."""
        load = Load()
        load.add(0.0, 0.0, 0.0)
        load.add(3.0, 2.0, 1.0)
        load.add(6.0, 1.0, 2.0)
        assert load.of_others() == pytest.approx((6.0 - 1.0) / 8.0)

    def test_a_real_process(self) -> None:
        """A process that is looked at uses time, and none of it counts as others'."""
        load = Load((os.getpid(),))
        with subprocess.Popen([sys.executable, "-c", HOG]) as hog:
            for _ in range(2):
                load.look(hog.pid)
                psutil.cpu_percent(0.3)
            load.look(hog.pid)
            hog.kill()
        others = load.of_others()
        assert others is not None
        assert 0.0 <= others <= 1.0
        load.look(hog.pid)  # it is gone: nothing is known of it any more
        assert load.of_others() == others

    def test_too_few_looks(self) -> None:
        """What ended at once says nothing."""
        load = Load()
        assert load.of_others() is None
        load.look(os.getpid())
        assert load.of_others() is None

    def test_no_time(self) -> None:
        """Clocks that stand still say nothing."""
        load = Load()
        load.add(1.0, 1.0, 1.0)
        load.add(1.0, 1.0, 1.0)
        assert load.of_others() is None
