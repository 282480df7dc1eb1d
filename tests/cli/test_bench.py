"""``hgx bench``, as a user runs it."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hgx.bench.events import EVENT, Failed, Progress, Refused, Result, Started, Written
from hgx.bench.parent import PATIENCE, Patience
from hgx.cli.main import run
from hgx.cli.render.bench import Screen, print_comparison
from hgx.cli.render.console import stdout
from hgx.core.benchmark import Conditions
from hgx.flows import bench as flow
from hgx.flows import bench_engine as engine_flow
from hgx.flows.bench_engine import EngineWish
from hgx.flows.compare import Compared
from hgx.store.registry_file import load_registry
from tests.bench.doubles import benchmark

if TYPE_CHECKING:
    from collections.abc import Callable

    from hgx.bench.events import Event
    from hgx.flows.bench import Wish
    from hgx.store.home import Home

CPU = "box/cpu:0"
CALM = Conditions(load=0.034, temperature_c=54.4, clock_hz=2.4e9, power_source="battery")
EVENTS: tuple[Event, ...] = (
    Started(subject=CPU, names=("read",)),
    Progress(subject=CPU, name="read", done=0.5),
    Result(
        subject=CPU,
        benchmark=benchmark("read", (33.6e9, 33.9e9, 34e9, 34e9, 34.1e9), conditions=CALM),
    ),
    Result(subject=CPU, benchmark=benchmark("matmul_float32", noisy=True)),
    Refused(subject=CPU, benchmark=benchmark("host_to_device", noisy=True)),
    Failed(subject=CPU, name="device_to_host", reason="a copy arrived changed\x1b[31m"),
    Started(subject="box>laptop", names=("rtt",)),
    Result(subject="box>laptop", benchmark=benchmark("rtt", (0.9e-3, 1e-3, 1e-3, 1e-3, 2e-3))),
    Failed(subject="box/cuda:0", reason="no driver: install it"),
    Written(path="/home/x/registry.json", kept=(f"{CPU} read",)),
)


@pytest.fixture(autouse=True)
def no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what the tester's own terminal says."""
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "HGX_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Wish]:
    """Let the flow tell the events above, and remember what was wished for."""
    wishes: list[Wish] = []

    def play(
        home: Home, wish: Wish, emit: Callable[[Event], object], *, registry_path: Path | None
    ) -> None:
        del home, registry_path
        wishes.append(wish)
        for event in EVENTS:
            emit(event)

    monkeypatch.setattr(flow, "bench", play)
    return wishes


def test_for_real(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quick benchmark of the real processor prints a table and writes the registry."""
    monkeypatch.setitem(PATIENCE, "quick", Patience(120, 600))  # a busy machine is slow, not wrong
    assert run(["bench", "cpu:0", "--quick", "--home", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert "BENCHMARK" in out
    assert "read" in out
    assert f"Wrote {tmp_path / 'registry.json'}" in err or "refused" in out
    registry = load_registry(tmp_path / "registry.json")
    device = next(device for device in registry.devices if device.backend == "cpu")
    assert '"driver"' in json.dumps(device.evidence)


def test_tables(told: list[Wish], capsys: pytest.CaptureFixture[str]) -> None:
    """Each thing measured has a table: median, middle half, spread, note, conditions, reasons."""
    assert run(["bench"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == CPU
    assert lines[1].split() == ["BENCHMARK", "MEDIAN", "MIDDLE", "HALF", "SPREAD", "NOTE"]
    assert lines[2].split() == ["read", "34", "GB/s", *("34", "to", "34", "GB/s"), "0.3%"]
    assert lines[3].split()[-1] == "noisy"
    assert lines[4].split()[-1] == "refused"
    assert lines[5] == "load of others up to 3%, up to 54 °C, 2.40 GHz, on battery"
    assert lines[6] == "- matmul_float32, host_to_device: a reason"
    assert lines[7] == r"- device_to_host failed: a copy arrived changed\x1b[31m"
    assert lines[9] == "box>laptop"
    assert lines[11].split() == [
        "rtt",
        "1",
        "ms",
        "1",
        "to",
        "1",
        "ms",
        "0.0%",
        "95",
        "%",
        "in",
        "1",
        "ms",
    ]
    assert lines[13:] == ["box/cuda:0", "- failed: no driver: install it"]
    assert err.splitlines() == [
        "Measuring box/cpu:0",
        "Measuring box>laptop",
        "note: these are noisy, and earlier results of them stay: box/cpu:0 read",
        "Wrote /home/x/registry.json",
    ]
    (wish,) = told
    assert wish == flow.Wish()


def test_options(told: list[Wish]) -> None:
    """What is typed is what is wished for."""
    words = ["cpu:0", "cuda:0", "--quick", "--sustained", "60", "--no-disk", "--no-links"]
    assert run(["bench", *words]) == 0
    assert told == [flow.Wish(("cpu:0", "cuda:0"), "quick", 60.0, disk=False, links=False)]


def test_with_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --engine another flow is asked, and its events are shown in the same way."""
    wishes: list[EngineWish] = []

    def play(
        home: Home, wish: EngineWish, emit: Callable[[Event], object], *, registry_path: Path | None
    ) -> None:
        assert (home.path, registry_path) == (tmp_path, None)
        wishes.append(wish)
        emit(EVENTS[0])
        emit(EVENTS[2])

    monkeypatch.setattr(engine_flow, "bench_engine", play)
    where = ["--home", str(tmp_path)]
    words = ["cpu:0", "--quick", "--model", "x.gguf", "--engine-dir", "there"]
    assert run(["bench", "--engine", *where]) == 0
    assert run(["bench", "--engine", *words, *where]) == 0
    assert wishes == [
        EngineWish(),
        EngineWish(("cpu:0",), "quick", Path("x.gguf"), Path("there")),
    ]
    assert capsys.readouterr().out.count("34 GB/s") == 4


def test_quiet(told: list[Wish], capsys: pytest.CaptureFixture[str]) -> None:
    """With --quiet there are tables and nothing else."""
    assert run(["--quiet", "bench"]) == 0
    out, err = capsys.readouterr()
    assert "box/cpu:0" in out
    assert err == ""
    assert told


def test_json(told: list[Wish], capsys: pytest.CaptureFixture[str]) -> None:
    """With --json each event is a line on stdout, and nothing else is printed."""
    assert run(["bench", "--json"]) == 0
    out, err = capsys.readouterr()
    assert tuple(EVENT.validate_json(line) for line in out.splitlines()) == EVENTS
    assert err == ""
    assert told


def test_tables_fit_80_columns(
    told: list[Wish], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In 80 columns no line is cut, and numbers stay whole."""
    monkeypatch.setenv("COLUMNS", "80")
    run(["bench"])
    out, _ = capsys.readouterr()
    assert max(map(len, out.splitlines())) <= 80
    assert "34 to 34 GB/s" in out
    assert told


class Window(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_progress_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal a bar shows what is measured and how far it is, and goes before the table."""
    window = Window()
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "stderr", window)
    with Screen(quiet=False) as show:
        for event in EVENTS[:2]:
            show(event)
        show(Progress(subject=CPU, name="read", done=1.0))
    assert "Measuring box/cpu:0" in window.getvalue()
    assert "100 %" in window.getvalue()
    assert window.getvalue().endswith("\x1b[2K")


def test_interrupt_keeps_what_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    """What was found before an interrupt is still shown."""
    with pytest.raises(KeyboardInterrupt), Screen(quiet=True) as show:
        for event in EVENTS[:3]:
            show(event)
        raise KeyboardInterrupt
    assert "read" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["toast:0"], 4, "hgx: error: there is no device 'toast:0' on this machine"),
        (["--registry", "/nowhere/r.json"], 4, "hgx: error: /nowhere/r.json does not exist"),
        (["--compare", "/nowhere/a", "/nowhere/b"], 4, "hgx: error: /nowhere/a could not be read"),
        (["--compare", "one"], 2, "requires 2 arguments"),
        (["--sustained", "-1"], 2, "'--sustained'"),
        (["--sustained", "4.9"], 2, "4.9 s are too short for a burst and a steady part"),
        (["--sustained", "2"], 2, "give at least 5"),
        (["--model", "x.gguf"], 2, "it says what to measure with --engine"),
        (["--engine", "--engine-dir", "/nowhere"], 7, "there is no llama-server in /nowhere"),
    ],
)
def test_wrong_words(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    said: str,
) -> None:
    """Wrong devices, files and options are one line and an exit code."""
    assert run(["bench", "--home", str(tmp_path), *words]) == code
    assert said in capsys.readouterr().err


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Save two runs: a faster read, the same product, a noisy copy, too few, and one more."""
    kinds = (("read", 2e9), ("matmul_float32", 1e9), ("disk_read", 5e11), ("rtt", 1e9))
    first = [benchmark(name) for name, _ in kinds]
    second = [
        *(benchmark(name, (value,) * 5, noisy=name == "disk_read") for name, value in kinds[:3]),
        benchmark("rtt", (1e9,)),
        benchmark("matmul_float64"),
    ]
    paths: list[str] = []
    for name, results in (("a", first), ("b", second)):
        path = tmp_path / f"{name}.jsonl"
        told = [Result(subject=CPU, benchmark=result) for result in results]
        path.write_text("".join(json.dumps(event.model_dump(mode="json")) + "\n" for event in told))
        paths.append(str(path))
    return paths


def test_compare(
    files: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A comparison says, per benchmark, how much faster, how sure, and the verdict."""
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["bench", "--compare", *files]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [CPU, lines[1]]
    assert [line.split()[-2:] for line in lines[2:6]] == [
        ["2.00-2.00", "faster"],
        ["real", "difference"],
        ["faster", "(noisy)"],
        ["few", "samples"],
    ]
    assert lines[2].split() == [*("read", "1", "GB/s", "2", "GB/s", "2.00", "2.00-2.00", "faster")]
    assert lines[-1] == "- only in B: box/cpu:0 matmul_float64"
    footer = " ".join(" ".join(lines[-3:-1]).split())
    assert footer.endswith("chance: under 5%, 15% without rounds, 50% where noisy.")
    assert max(map(len, lines)) <= 80


def test_compare_as_json(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With --json a comparison is a line per benchmark."""
    assert run(["bench", "--compare", *files, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["difference"] for row in rows] == [
        *("faster", "no real difference", "faster", "too few samples"),
    ]
    assert rows[0]["event"] == "compared"
    assert rows[3]["ratio"] is None


def test_nothing_to_compare(capsys: pytest.CaptureFixture[str]) -> None:
    """An empty comparison is no crash."""
    print_comparison(Compared((), (), ()), stdout(), as_json=False)
    assert "SPEED" in capsys.readouterr().out
