"""Who may knock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hgx.serve.guard import LOOPBACK, refusal


def _host(name: str, port: int | None) -> str:
    shown = f"[{name}]" if ":" in name else name
    return shown if port is None else f"{shown}:{port}"


_HOSTS = st.builds(_host, st.sampled_from(sorted(LOOPBACK)), st.none() | st.integers(1, 65535))


@given(_HOSTS)
def test_programs_of_this_machine_are_let_in(host: str) -> None:
    """Any name of loopback with any port is let in, also from a page of that very server."""
    assert refusal(host, None) is None
    assert refusal(host, f"http://{host}") is None


@given(st.text(max_size=30), st.text(max_size=30))
def test_whatever_is_sent_is_judged(host: str, origin: str) -> None:
    """No header makes the judgement fail, and what is let in is of loopback and no other page."""
    if refusal(host, origin) is None:
        assert any(name in host.casefold() for name in LOOPBACK)
        assert origin.casefold() == f"http://{host}".casefold()


@given(_HOSTS, st.sampled_from(["null", "https://example.com", "http://127.0.0.1:1", ""]))
def test_other_pages_are_refused(host: str, origin: str) -> None:
    """A page of another origin is refused, a page of another local port too."""
    if origin != f"http://{host}":
        assert refusal(host, origin) is not None


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "example.com",
        "127.0.0.1.example.com",
        "example.com:127.0.0.1",
        "[::1",
        "192.168.1.2",
    ],
)
def test_other_names_are_refused(host: str | None) -> None:
    """A name that merely resolves to this machine is refused, as is none."""
    assert refusal(host, None) is not None
