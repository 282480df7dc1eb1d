"""The commands themselves, on machines of a network of their own."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from hgx.net.identity import own_identity
from hgx.store.home import Home
from tests.net.namespaces import Machine, line_with, machines

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Generator
    from pathlib import Path

DISCOVER = ("python", "-m", "hgx", "discover", "--no-measure", "--json")


@pytest.fixture
def lan(tmp_path: Path) -> Generator[tuple[Machine, ...]]:
    """Three machines that reach each other."""
    with machines(3, tmp_path) as made:
        yield made


def serve(machine: Machine, *options: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """Start a node and wait for what it says of itself."""
    process = machine.start("python", "-m", "hgx", "serve", "--json", *options)
    return process, json.loads(line_with(process, "fingerprint"))


def found(machine: Machine, *options: str) -> dict[str, Any]:
    """Discover from a machine; return its registry's nodes by id."""
    registry = json.loads(machine.run(*DISCOVER, *options))
    devices = {device["id"]: device for device in registry["devices"]}
    return {"nodes": {node["id"]: node for node in registry["nodes"]}, "devices": devices}


def test_nodes_are_found_and_marked(lan: tuple[Machine, ...]) -> None:
    """Two nodes of one name are found by a third under two, unpaired; one that is killed goes."""
    serve(lan[0], "--name", "tower", "--no-telemetry")
    second, said = serve(lan[1], "--name", "tower")
    assert said["name"] == "tower-2"
    seen = found(lan[2])
    for name in ("tower", "tower-2"):
        assert seen["nodes"][name]["paired"] is False
        device = seen["devices"][f"{name}/cpu:0"]
        assert device["paired"] is False
        assert device["fallback"] is True
        assert device["memory_total_bytes"] > 0
    second.send_signal(signal.SIGKILL)
    second.wait(60)
    seen = found(lan[2])
    assert "tower" in seen["nodes"]
    assert "tower-2" not in seen["nodes"]
    assert "tower-2/cpu:0" not in seen["devices"]


def test_a_trusted_peer_stays(lan: tuple[Machine, ...]) -> None:
    """A peer that is paired is not marked as a stranger, and stays known when it is away."""
    process, said = serve(lan[0], "--name", "tower")
    assert said["fingerprint"] == own_identity(Home(lan[0].home)).fingerprint
    trust = {"version": 1, "peers": [{"fingerprint": said["fingerprint"], "name": "tower"}]}
    (lan[1].home / "trusted.json").write_text(json.dumps(trust))
    assert found(lan[1])["nodes"]["tower"]["paired"] is True
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert "tower/cpu:0" in found(lan[1])["devices"]


def test_nobody_is_found(lan: tuple[Machine, ...]) -> None:
    """Who finds no other machine is told how to make one findable; stdout stays JSON, and quiet."""

    def said(*options: str) -> str:
        process = lan[0].start(*DISCOVER, *options)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0
        assert json.loads(out)["devices"]
        return err

    (hint,) = [line for line in said("--wait", "0.5").splitlines() if "no other machine" in line]
    for remedy in ("`hgx serve`", "`hgx discover --diagnose`", "--peer HOST:PORT"):
        assert remedy in hint
    assert said("--wait", "0.5", "--quiet") == ""
    assert "no other machine" not in said("--wait", "0")
    assert "no other machine" not in said("--local")
    process = lan[0].start("python", "-m", "hgx", "discover", "--diagnose", "--wait", "0.5")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.splitlines()[-1].endswith("but no other machine answered.")


def test_diagnosis(lan: tuple[Machine, ...]) -> None:
    """The diagnosis walks through to the version of a node, and names the step that fails."""
    serve(lan[0], "--name", "tower")
    diagnose = ("python", "-m", "hgx", "discover", "--diagnose", "--json")
    steps = json.loads(lan[1].run(*diagnose))
    assert steps["failing"] is None
    assert {"interface", "multicast join", "tcp", "tls", "version"} <= {
        step["name"] for step in steps["steps"] if step["outcome"] == "ok"
    }
    process = lan[1].start(*diagnose, "--peer", f"{lan[0].ipv4}:9475", "--wait", "0.5")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 10
    assert json.loads(out)["failing"] == "tcp"
