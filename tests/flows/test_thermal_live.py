"""Looks at temperatures and limits, of devices that are made up."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hgx.core.reading import Reading
from hgx.core.registry import Device, Node, Registry
from hgx.flows import thermal_live
from hgx.flows.thermal_live import NOT_FITTED, Heat, looks
from hgx.flows.watch import Row, Snapshot
from hgx.store.home import Home
from hgx.store.registry_file import update_registry
from hgx.thermal.twins import laptop, parameters_of
from tests.sensors.doubles import always

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *readings: Reading, note: str = ""
) -> list[Heat]:
    """Look at one device that was fitted and one that was not, ten seconds apart."""
    (tmp_path / "node.json").write_text('{"id": "n"}')
    rates = {"memory_bandwidth_bytes_per_s": 1.0, "compute_flops_per_s": 1.0}
    fixed = {"node": "n", "backend": "cpu", "memory_total_bytes": 1, **rates}
    fitted = Device.model_validate(
        {"id": "n/cpu:0", "thermal": parameters_of(laptop()), "temperature_limit_c": 80.0} | fixed
    )
    registry = Registry(nodes=(Node(id="n"),), devices=(fitted,))
    update_registry(tmp_path / "registry.json", lambda _: registry)
    snapshots = [
        Snapshot(NOON, (Row("n/cpu:0", None, one, note), Row("n/x:0", None, one)), None)
        for one in readings
    ]
    monkeypatch.setattr(thermal_live, "snapshots", always(iter(snapshots)))
    times = iter(range(0, 1000, 10))
    found = list(looks(Home(tmp_path), 1.0, None, lambda: float(next(times))))
    assert [look.at for look in found] == [NOON] * len(readings)
    assert all(look.devices[1].to_limit is None for look in found)
    return [look.devices[0] for look in found]


def test_when_the_limit_is_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that draws much reaches its limit, the lower of two; one that draws little never."""
    busy = Reading(temperature_c=70.0, power_w=45.0, slowdown_c=90.0)
    rest = busy.model_copy(update={"power_w": 6.0, "temperature_c": 58.0})
    hot, cool = seen(tmp_path, monkeypatch, busy, rest)
    assert (hot.limit_c, hot.notes) == (80.0, ())
    assert hot.to_limit is not None
    assert 0 < hot.to_limit.expected_s < 600
    assert cool.to_limit is not None
    assert cool.to_limit.expected_s == float("inf")


def test_unknown_is_not_never(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a temperature there is no time to a limit, and why is said."""
    (blind,) = seen(tmp_path, monkeypatch, Reading(power_w=6.0))
    assert blind.to_limit is None
    assert "no temperature" in blind.notes[0]


def test_an_old_reading_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reading whose sensor does not answer any more is not believed after some seconds."""
    old = Reading(temperature_c=40.0, power_w=6.0)
    *_, last = seen(tmp_path, monkeypatch, old, old, old, note="old: nvml hangs")
    assert last.to_limit is None
    assert last.notes[0] == "old: nvml hangs"


def test_what_was_not_fitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that was never fitted says how that is done."""
    reading = Reading(temperature_c=40.0)
    seen(tmp_path, monkeypatch, reading)
    monkeypatch.setattr(
        thermal_live,
        "snapshots",
        always(iter([Snapshot(NOON, (Row("n/x:0", None, reading),), None)])),
    )
    (look,) = looks(Home(tmp_path), 1.0, 1)
    assert look.devices[0].notes == (NOT_FITTED,)
