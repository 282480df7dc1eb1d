"""Tables of devices in windows of any width."""

from __future__ import annotations

import pytest

from hgx.cli.render.console import stdout
from hgx.cli.render.devices import devices_table
from hgx.core.registry import Device

GIB = 1024**3
WIDTHS = (40, 60, 80, 120)
LONG_ID = "n" * 60 + "/cuda:0"
FIGURES = ("22.5 GiB", "23.9 GiB", "57.6 GB/s", "33.3 TFLOP/s", "engine,")


def device(device_id: str = "tower/cuda:0", name: str | None = "RTX 4090 Laptop GPU") -> Device:
    """Make a device whose figures are as wide as figures are."""
    return Device.model_validate(
        {
            "id": device_id,
            "node": device_id.partition("/")[0],
            "backend": "cuda",
            "name": name,
            "memory_total_bytes": round(23.9 * GIB),
            "memory_free_bytes": round(22.5 * GIB),
            "memory_bandwidth_bytes_per_s": 57.6e9,
            "compute_flops_per_s": 33.3e12,
            "evidence": {
                "memory_bandwidth_bytes_per_s": "engine",
                "compute_flops_per_s": "vendor",
            },
        }
    )


def lines_of(
    *devices: Device, capsys: pytest.CaptureFixture[str], unpaired: tuple[str, ...] = ()
) -> list[str]:
    """Return the lines that are printed."""
    stdout().print(devices_table(devices, unpaired))
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("width", WIDTHS)
def test_no_width_cuts_a_figure(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In any window every figure is whole and every name is there."""
    monkeypatch.setenv("COLUMNS", str(width))
    lines = lines_of(device(), device("box/cuda:1", None), capsys=capsys)
    text = "\n".join(lines)
    assert max(map(len, lines)) <= width
    assert "…" not in text
    for figure in FIGURES:
        assert text.count(figure) == 2
    for word in ("RTX", "4090", "Laptop", "GPU", "vendor"):
        assert word in text


@pytest.mark.parametrize("width", WIDTHS)
def test_no_width_loses_an_id(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An id that is too long folds, and all of it is there."""
    monkeypatch.setenv("COLUMNS", str(width))
    lines = lines_of(device(LONG_ID), capsys=capsys)
    assert max(map(len, lines)) <= width
    # In a table the id is the first of a line's words; in a block it has the lines to itself.
    firsts = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert LONG_ID in "".join(firsts)


@pytest.mark.parametrize("width", [40, 60])
def test_blocks(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A narrow window shows the id on a line and each figure on one of its own."""
    monkeypatch.setenv("COLUMNS", str(width))
    lines = [line.rstrip() for line in lines_of(device(), capsys=capsys, unpaired=("tower",))]
    assert lines == [
        "tower/cuda:0",
        "  NAME       RTX 4090 Laptop GPU",
        "  FREE       22.5 GiB",
        "  TOTAL      23.9 GiB",
        "  BANDWIDTH  57.6 GB/s",
        "  COMPUTE    33.3 TFLOP/s",
        "  EVIDENCE   not paired",
    ]


def test_measured_with_the_engine(capsys: pytest.CaptureFixture[str]) -> None:
    """Where plans rest on the engine's own rates, that is where they come from."""
    rates = {"decode_s_per_byte": 1e-11, "prefill_s_per_flop": 1e-13}
    engine = {"types": {"Q4_K": rates}, "decode_layer_s": 1e-5, "prefill_layer_s": 1e-5}
    one = device()
    measured = Device.model_validate({**one.model_dump(), "engine": engine})
    (_, line) = lines_of(measured, capsys=capsys)
    assert line.split()[-1] == "engine"
    assert "vendor" in lines_of(one, capsys=capsys)[1]


def test_no_devices(capsys: pytest.CaptureFixture[str]) -> None:
    """Without devices there are the headings."""
    (line,) = lines_of(capsys=capsys)
    assert line.split()[:2] == ["DEVICE", "NAME"]
