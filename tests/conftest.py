"""What holds for all tests: a home of their own, and patience with a busy machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.net.namespaces import Machine

# A busy machine is slow, not wrong. In CI the same examples run each time, so that a commit is
# not refused for what it did not change; elsewhere new ones are tried.
settings.register_profile(
    "hgx",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("hgx")


@pytest.fixture(autouse=True, scope="session")
def _home_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:
    """Keep what tests write by default out of the user's own home of hgx."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HGX_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture
def lan(network: tuple[Machine, ...]) -> Generator[tuple[Machine, ...]]:
    """The machines of a module's ``network``, with what a test leaves running ended."""
    try:
        yield network
    finally:
        for machine in network:
            machine.end()
