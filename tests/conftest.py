"""What holds for all tests: a home of their own, and patience with a busy machine."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.llama_cpp import NotBuiltError, toolkit

if TYPE_CHECKING:
    from collections.abc import Generator

    from hgx.engine.binaries import Toolkit
    from tests.net.namespaces import Machine

# A busy machine is slow, not wrong; and where most drawn questions have no answer at all, more are
# drawn until enough have one, which takes a few milliseconds each. In CI the same examples run each
# time, so that a commit is not refused for what it did not change; elsewhere new ones are tried.
settings.register_profile(
    "hgx",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
settings.load_profile("hgx")

_PROGRAMS = pytest.StashKey["Toolkit | NotBuiltError"]()


def pytest_configure() -> None:
    """Let signals do what they do, also for tests that a shell runs in the background.

    Such a shell has interrupts ignored, and ``nohup`` the end of a session; both is inherited.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(tryfirst=True)  # before what -m leaves out is decided
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses llama.cpp's programs."""
    for item in items:
        if "llama_cpp" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.llama_cpp)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build llama.cpp's programs where a test needs them: no test has as much time as that."""
    config = session.config
    needed = any(item.get_closest_marker("llama_cpp") for item in session.items)
    if not needed or config.getoption("collectonly"):
        return
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    try:
        config.stash[_PROGRAMS] = toolkit(terminal.write_line if terminal else print)
    except NotBuiltError as error:
        config.stash[_PROGRAMS] = error


@pytest.fixture(scope="session")
def llama_cpp(pytestconfig: pytest.Config) -> Toolkit:
    """llama.cpp's programs, built once."""
    programs = pytestconfig.stash[_PROGRAMS]
    if isinstance(programs, NotBuiltError):
        pytest.fail(str(programs), pytrace=False)
    return programs


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
