"""``hgx discover``, as a user runs it."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hgx.cli.main import run
from hgx.cli.render.console import plain, stderr, stdout
from hgx.cli.render.devices import devices_table
from hgx.core.registry import Device
from hgx.store.registry_file import load_registry, parse_registry

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import JsonValue


@pytest.fixture(autouse=True)
def no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what the tester's own terminal says."""
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "HGX_HOME"):
        monkeypatch.delenv(name, raising=False)


def device(**fields: JsonValue) -> Device:
    """Make a device with some fields of its own."""
    return Device.model_validate(
        {
            "id": "tower/cuda:0",
            "node": "tower",
            "backend": "cuda",
            "name": "NVIDIA GeForce RTX 4090 Laptop GPU",
            "memory_total_bytes": 16 * 1024**3,
            "memory_bandwidth_bytes_per_s": 576e9,
            "compute_flops_per_s": 33e12,
        }
        | fields
    )


def show(*devices: Device, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the table as it is printed."""
    stdout().print(devices_table(devices))
    return capsys.readouterr().out


def test_table_and_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table is on stdout; notes and where the registry was written are on stderr."""
    assert run(["discover", "--local", "--home", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0].split() == [
        *("DEVICE", "NAME", "FREE", "TOTAL", "BANDWIDTH", "COMPUTE", "EVIDENCE")
    ]
    assert "/cpu:0" in out
    assert f"Wrote {tmp_path / 'registry.json'}\n" in err


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json stdout is the registry, which holds this machine only, and nothing else."""
    file = tmp_path / "lab.json"
    assert (
        run(["discover", "--local", "--json", "--registry", str(file), "--home", str(tmp_path)])
        == 0
    )
    out, _ = capsys.readouterr()
    assert parse_registry(out.encode(), "stdout") == load_registry(file)
    assert not (tmp_path / "registry.json").exists()


@pytest.mark.parametrize("place", ["before", "after"])
def test_quiet(tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str) -> None:
    """With --quiet, on either side of the command, there is nothing but the table."""
    words = ["--quiet", "discover"] if place == "before" else ["discover", "--quiet"]
    assert run([*words, "--local", "--home", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert out
    assert err == ""


def test_help_opens_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    """The help shows what to type before it lists options."""
    assert run(["discover", "--help"]) == 0
    out = capsys.readouterr().out
    assert out.index("hgx discover --watch") < out.index("Options:")


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [("registry.json", "{", 4), ("node.json", "{", 8), ("trusted.json", "{", 8)],
)
def test_damaged_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: str, code: int
) -> None:
    """A damaged file ends in one line, its exit code, and no traceback."""
    (tmp_path / name).write_text(content)
    assert run(["discover", "--wait", "0", "--home", str(tmp_path)]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("hgx: error: ")
    assert err.count("\n") == 1


def test_real_process(tmp_path: Path) -> None:
    """As a process with HGX_HOME, two runs keep one device and print pure JSON in any locale."""
    environment = os.environ | {"HGX_HOME": str(tmp_path), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "hgx", "discover", "--local", "--json"]
    subprocess.run(command, capture_output=True, env=environment, check=True)
    done = subprocess.run(command, capture_output=True, env=environment, check=True, text=True)
    assert parse_registry(done.stdout.encode(), "stdout") == load_registry(
        tmp_path / "registry.json"
    )
    assert {file.name for file in tmp_path.iterdir()} - {"registry.json.lock"} == {
        "node.json",
        "registry.json",
    }
    assert json.loads((tmp_path / "node.json").read_text())["id"]


def test_why_backends_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where only the processor is found that is said; with --verbose, of every backend why."""
    assert run(["discover", "--local", "--no-measure", "--home", str(tmp_path)]) == 0
    brief = capsys.readouterr().err
    assert run(["discover", "--local", "-v", "--no-measure", "--home", str(tmp_path)]) == 0
    full = capsys.readouterr().err
    assert "the processor is the fallback" in brief
    assert "DirectML" not in brief
    assert "DirectML is a part of Windows" in full


def test_a_peer_that_does_not_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A peer that was named and is not there is an error of its own; all else is found."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
    words = ["discover", "--wait", "0", "--peer", place, "--no-measure", "--home", str(tmp_path)]
    assert run(words) == 10
    out, err = capsys.readouterr()
    assert "/cpu:0" in out
    assert f"hgx: error: {place}" in err
    assert err.count(place) == 1
    assert "no other machine was found" not in err
    assert load_registry(tmp_path / "registry.json").devices


def test_several_peers_that_do_not_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each of them is told of once: the first as the error, the others as notes."""
    with (
        socket.create_server(("127.0.0.1", 0)) as first,
        socket.create_server(("127.0.0.1", 0)) as second,
    ):
        places = [f"127.0.0.1:{taken.getsockname()[1]}" for taken in (first, second)]
    words = ["discover", "--wait", "0", "--no-measure", "--home", str(tmp_path)]
    assert run([*words, "--peer", places[0], "--peer", places[1]]) == 10
    err = capsys.readouterr().err
    assert [err.count(place) for place in places] == [1, 1]
    assert f"note: {places[1]}" in err


def test_local_shows_this_machine_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --local known peers are kept in the registry, and neither shown nor printed."""
    words = ["discover", "--local", "--no-measure", "--home", str(tmp_path)]
    assert run(words) == 0
    file = tmp_path / "registry.json"
    document = json.loads(file.read_text())
    here = document["nodes"][0]["id"]
    document["nodes"].append({"id": "tower", "paired": False, "fingerprint": "f" * 64})
    document["devices"].append(document["devices"][0] | {"id": "tower/cpu:0", "node": "tower"})
    for ends in ((here, here), (here, "tower")):
        link = {"from": ends[0], "to": ends[1], "rtt_s": 0.1, "bandwidth_bytes_per_s": 1.0}
        document["links"].append(link)
    file.write_text(json.dumps(document))
    capsys.readouterr()
    assert run(words) == 0
    out, err = capsys.readouterr()
    assert f"{here}/cpu:0" in out
    assert "tower" not in out + err
    assert run([*words, "--json"]) == 0
    shown = parse_registry(capsys.readouterr().out.encode(), "stdout")
    assert {node.id for node in shown.nodes} == {device.node for device in shown.devices} == {here}
    assert [(link.source, link.target) for link in shown.links] == [(here, here)]
    kept = load_registry(file)
    assert {node.id for node in kept.nodes} == {here, "tower"}
    assert len(kept.links) == 2
    assert run(["discover", "--wait", "0", "--no-measure", "--home", str(tmp_path)]) == 0
    assert "tower/cpu:0" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [["--watch", "--diagnose"], ["--record", "a", "--replay", "b"]], ids=" ".join
)
def test_one_thing_at_a_time(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Modes that exclude each other are wrong usage."""
    assert run(["discover", *words]) == 2
    assert "choose one" in capsys.readouterr().err


def test_recording_and_replaying(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A recorded machine is shown as it was, and no registry is written of it."""
    home, place = tmp_path / "home", tmp_path / "recording"
    assert run(["discover", "--record", str(place)]) == 0
    assert "look it through" in capsys.readouterr().err
    assert run(["discover", "--replay", str(place)]) == 0
    assert {"BANDWIDTH", "THROTTLED"} <= set(capsys.readouterr().out.split())
    assert run(["discover", "--replay", str(place), "--json", "--home", str(home)]) == 0
    registry = parse_registry(capsys.readouterr().out.encode(), "stdout")
    assert registry.devices[0].id == "recorded/cpu:0"
    assert registry.devices[0].fallback
    assert not home.exists()
    assert run(["discover", "--record", str(place)]) == 8
    assert "is not empty" in capsys.readouterr().err
    assert run(["discover", "--replay", str(home)]) == 8


def test_watching(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each look is a table of readings, or with --json a line."""
    words = ["discover", "--watch", "--local", "--interval", "0.1", "--home", str(tmp_path)]
    assert run([*words, "--count", "2"]) == 0
    out = capsys.readouterr().out
    assert out.count("DEVICE") == 2
    assert out.count("/cpu:0") == 2
    assert run([*words, "--count", "3", "--json"]) == 0
    looks = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(looks) == 3
    assert all(look["devices"][0]["reading"]["memory_total_bytes"] > 0 for look in looks)


def test_watching_ends_with_an_interrupt(tmp_path: Path) -> None:
    """Ctrl+C ends --watch at once, without a traceback."""
    command = [sys.executable, "-m", "hgx", "--home", str(tmp_path), "discover", "--watch"]
    command += ["--local", "--json", "--interval", "0.1"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            json.loads(process.stdout.readline())
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "Traceback" not in err


def test_piped_table_is_not_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a window every device has one line, however long its name is."""
    out = show(device(name="long " * 30, memory_free_bytes=0), capsys=capsys)
    assert len(out.splitlines()) == 2
    for words in ("tower/cuda:0", ("long " * 30).strip(), " 0 B", "16 GiB", "576 GB/s"):
        assert words in out


@pytest.mark.parametrize("width", [80, 100])
def test_narrow_table_loses_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    """In 80 columns long ids and names fold, and numbers stay whole."""
    monkeypatch.setenv("COLUMNS", str(width))
    long_id = "n" * 60 + "/cuda:0"
    out = show(device(id=long_id, memory_free_bytes=15 * 1024**3), device(), capsys=capsys)
    lines = out.splitlines()
    assert max(len(line) for line in lines) <= width
    for words in ("15 GiB", "16 GiB", "576 GB/s", "33 TFLOP/s", "EVIDENCE"):
        assert words in out
    end = lines[0].index("NAME")
    assert "".join(line[:end].strip() for line in lines[1:]).startswith(long_id)


def test_usual_table_fits_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In 80 columns an ordinary id stays whole while a long name folds at its spaces."""
    monkeypatch.setenv("COLUMNS", "80")
    out = show(device(memory_free_bytes=15 * 1024**3), capsys=capsys)
    assert "tower/cuda:0 " in out
    assert "GeForce" in out


@pytest.mark.parametrize(
    ("evidence", "shown"),
    [
        (None, "-"),
        ({"memory_bandwidth_bytes_per_s": 1}, "-"),
        ({"memory_bandwidth_bytes_per_s": {"rank": "engine"}}, "engine, -"),
        (
            {
                "memory_bandwidth_bytes_per_s": {"rank": "driver"},
                "compute_flops_per_s": {"rank": "vendor"},
            },
            "measured, vendor",
        ),
        (
            {
                "memory_bandwidth_bytes_per_s": {"rank": "driver"},
                "compute_flops_per_s": {"rank": "driver"},
            },
            "measured",
        ),
        (
            {
                "memory_bandwidth_bytes_per_s": {"rank": "driver", "noisy": False},
                "compute_flops_per_s": {"rank": "driver", "noisy": True},
            },
            "measured, noisy",
        ),
        ("default", "assumed"),
    ],
)
def test_evidence(evidence: JsonValue, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The evidence of both rates is named, once if it is the same, and whether one is noisy."""
    out = show(device(evidence=evidence), capsys=capsys)
    assert out.rstrip().endswith(f"33 TFLOP/s  {shown}")


def test_names_cannot_write_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters, markup and emoji codes in a name are shown, not obeyed."""
    out = show(device(name="\x1b[31mred\n[bold]b[/bold] :smile:\u202e"), capsys=capsys)
    assert r"\x1b[31mred\n[bold]b[/bold] :smile:\u202e" in out


def test_plain_text_stays() -> None:
    """Printable text of any script is left as it is."""
    assert plain("Gerät 测试 [x]") == "Gerät 测试 [x]"


class Window(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


@pytest.mark.parametrize("no_color", ["", "1"])
def test_styles_are_for_terminals(monkeypatch: pytest.MonkeyPatch, no_color: str) -> None:
    """A terminal gets styles, unless NO_COLOR is set."""
    window = Window()
    monkeypatch.setattr(sys, "stderr", window)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", no_color)
    stderr().print("note", style="bold red")
    assert ("\x1b[" in window.getvalue()) == (not no_color)


def test_no_styles_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A pipe gets text only."""
    stderr().print("note", style="bold red")
    assert capsys.readouterr().err == "note\n"


def test_old_code_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that cannot encode a letter shows an escape instead of failing."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    stdout().print("Gerät")
    sys.stdout.flush()
    assert raw.getvalue() == b"Ger\\xe4t" + os.linesep.encode()
