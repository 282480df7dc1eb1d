"""The diagnosis as it is printed."""

from __future__ import annotations

import json

import pytest

from hgx.cli.render.diagnose import show_steps
from hgx.flows.diagnose import Step

STEPS = (
    Step("interface", "ok", "eth0 has 10.0.0.2"),
    Step("tcp", "ok", "it answers", peer="10.0.0.3:9474"),
    Step("tls", "failed", "this is no \x1b[31mTLS", "start hgx serve there", "10.0.0.3:9474"),
    Step("version", "skipped", "tls failed", peer="10.0.0.3:9474"),
)


def test_the_failing_step_is_named_last(capsys: pytest.CaptureFixture[str]) -> None:
    """Each step is a line, what to do stands below, and the last line is the verdict."""
    show_steps(STEPS, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["ok", "interface", "eth0", "has", "10.0.0.2"]
    assert lines[1] == "10.0.0.3:9474:"
    assert lines[3].split()[0] == "FAILED"
    assert r"this is no \x1b[31mTLS" in lines[3]
    assert lines[4].strip() == "-> start hgx serve there"
    assert lines[-1] == "The failing step is: tls to 10.0.0.3:9474"


def test_nothing_fails(capsys: pytest.CaptureFixture[str]) -> None:
    """Where all is well that is said."""
    show_steps(STEPS[:2], as_json=False)
    assert capsys.readouterr().out.splitlines()[-1] == "Nothing fails."


def test_nobody_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    """Where nobody answered the verdict says so, with what was checked; what to do is above."""
    nobody = Step("tcp", "skipped", "nobody was heard in 3 s.", "start `hgx serve` there")
    show_steps((STEPS[0], Step("firewall", "ok", "it lets all pass"), nobody), as_json=False)
    assert capsys.readouterr().out.splitlines()[-2:] == [
        f"{'':24} -> start `hgx serve` there",
        "Nothing fails on this machine (interface, firewall), but no other machine answered.",
    ]


@pytest.mark.parametrize(("steps", "failing"), [(STEPS, "tls"), (STEPS[:2], None)])
def test_json(
    capsys: pytest.CaptureFixture[str], steps: tuple[Step, ...], failing: str | None
) -> None:
    """With --json it is one object."""
    show_steps(steps, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["failing"] == failing
    assert [step["name"] for step in found["steps"]] == [step.name for step in steps]
