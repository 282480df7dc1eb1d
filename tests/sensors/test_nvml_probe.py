"""NVML in a process of its own, whatever becomes of that process."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from hgx.sensors.card import survey_to_json
from hgx.sensors.nvml import Card, Survey, read_cards
from hgx.sensors.nvml_probe import describe_cards, has_nvidia, probe_cards
from hgx.sensors.source import Machine
from tests.sensors.doubles import H200, FakeNvml, Told, write_files

if TYPE_CHECKING:
    from pathlib import Path


def python(code: str) -> tuple[str, ...]:
    """Return the command that runs a line of Python."""
    return (sys.executable, "-S", "-c", code)


def test_answer_comes_through() -> None:
    """Cards and reasons that the process prints are what the probe returns."""
    answer = {
        "cards": [{"index": 3, "name": "x", "throttles": ["power cap"], "power_w": 5}],
        "missing": [["lost", "find it"]],
    }
    cards, (missing,), sure = probe_cards(command=python(f"print({json.dumps(answer)!r})"))
    assert sure
    assert cards == (Card(3, name="x", throttles=("power cap",), power_w=5),)
    assert (missing.reason, missing.remedy) == ("lost", "find it")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os; os.abort()", "reading NVML crashed (SIGABRT)"),
        ("raise SystemExit('no')", "reading NVML ended with status 1, saying 'no'"),
        ("raise SystemExit(3)", "reading NVML ended with status 3"),
        ("print('hello')", "reading NVML gave no usable answer"),
        ("print('{}')", "reading NVML gave no usable answer"),
        ("print('[' * 100000)", "reading NVML gave no usable answer"),
        ("", "reading NVML gave no usable answer"),
    ],
)
def test_process_fails(code: str, reason: str) -> None:
    """A library that crashes or talks nonsense costs its cards only."""
    cards, (missing,), sure = probe_cards(command=python(code))
    assert not sure
    assert cards == ()
    assert missing.reason.startswith(reason)
    assert "nvidia-smi" in missing.remedy


def test_process_hangs() -> None:
    """A library that hangs is given up."""
    cards, (missing,), sure = probe_cards(0.2, python("import time; time.sleep(60)"))
    assert not sure
    assert (cards, missing.reason) == ((), "reading NVML did not answer in 0.2 s")


def test_process_cannot_start() -> None:
    """A program that is not there is a reason."""
    cards, (missing,), sure = probe_cards(command=("no-such-program-of-hgx",))
    assert not sure
    assert (cards, missing.reason.split(":")[0]) == ((), "reading NVML could not start")


def test_this_machine() -> None:
    """On any machine the real probe returns cards or a reason why there are none."""
    survey = probe_cards()
    assert survey.cards or survey.missing


def test_recorded() -> None:
    """A recording gives the cards it holds, and none where it holds none or cannot have any."""
    answers = {"nvml": survey_to_json(read_cards(FakeNvml((H200,))))}
    assert describe_cards(Told(answers=answers)).cards[0].name == "NVIDIA H200"
    assert describe_cards(Told(answers=answers, system="Darwin")) == Survey()
    assert describe_cards(Told(answers={"nvml": 5})) == Survey()
    assert describe_cards(Told()) == Survey()


@pytest.mark.parametrize(
    ("vendors", "expected"),
    [(("0x8086", "0x10de"), True), (("0x8086",), False), ((), None)],
)
def test_whether_a_card_is_plugged_in(
    tmp_path: Path, vendors: tuple[str, ...], *, expected: bool | None
) -> None:
    """The PCI bus tells whether there is a card, driver or not; a system without one does not."""
    write_files(
        tmp_path,
        {f"sys/bus/pci/devices/0000:0{n}:00.0/vendor": text for n, text in enumerate(vendors)},
    )
    assert has_nvidia(Machine(tmp_path)) is expected
