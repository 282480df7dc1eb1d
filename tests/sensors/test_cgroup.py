"""Limits of control groups, from recorded file trees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hgx.sensors.cgroup import Limits, read_limits
from hgx.sensors.source import Machine
from tests.sensors.doubles import Told, write_files

if TYPE_CHECKING:
    from pathlib import Path


def test_no_groups(tmp_path: Path) -> None:
    """A system without control groups has no limits."""
    assert read_limits(Machine(tmp_path)) == Limits()


def test_version_2(tmp_path: Path) -> None:
    """The tightest group on the way to the root counts, and idle file pages are not in use."""
    write_files(
        tmp_path,
        {
            "proc/self/cgroup": "0::/outer/inner",
            "sys/fs/cgroup/outer/memory.max": "1000",
            "sys/fs/cgroup/outer/memory.current": "900",
            "sys/fs/cgroup/outer/memory.stat": "anon 500\ninactive_file 300",
            "sys/fs/cgroup/outer/cpu.max": "max 100000",
            "sys/fs/cgroup/outer/inner/memory.max": "max",
            "sys/fs/cgroup/outer/inner/cpu.max": "150000 100000",
        },
    )
    assert read_limits(Machine(tmp_path)) == Limits(1000, 400, 1.5)


def test_container_sees_its_group_as_the_root(tmp_path: Path) -> None:
    """A container whose path is not mounted finds its limits at the mount itself."""
    write_files(
        tmp_path,
        {
            "proc/self/cgroup": "0::/../elsewhere",
            "sys/fs/cgroup/memory.max": "1000",
            "sys/fs/cgroup/memory.current": "2000",
        },
    )
    assert read_limits(Machine(tmp_path)) == Limits(1000, 0, None)


def test_version_1(tmp_path: Path) -> None:
    """The older layout has one tree per controller, and a huge number for no limit."""
    write_files(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/box\n1:cpu,cpuacct:/box\n9:name=systemd:/\n0::/",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
            "sys/fs/cgroup/memory/box/memory.limit_in_bytes": "1000",
            "sys/fs/cgroup/memory/box/memory.usage_in_bytes": "600",
            "sys/fs/cgroup/memory/box/memory.stat": "cache 1\ntotal_inactive_file 100",
            "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "50000",
            "sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
    )
    assert read_limits(Machine(tmp_path)) == Limits(1000, 500, 0.5)


@pytest.mark.parametrize("line", ["", "0", "0::", ":::", "0:memory", "0:/etc:/", "0::/../../.."])
def test_damaged_groups(line: str) -> None:
    """A list of groups that is none limits nothing."""
    assert read_limits(Told({"proc/self/cgroup": line})) == Limits()


@pytest.mark.parametrize("limit", ["", "-5", "٣", "1e3", "9" * 5000])
def test_damaged_limits(limit: str) -> None:
    """A limit that is no number of the kernel's limits nothing."""
    files = {"proc/self/cgroup": "0::/", "sys/fs/cgroup/memory.max": limit}
    assert read_limits(Told(files)) == Limits()
