"""A small engine, and the gateway in front of it, both on real loopback sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from hgx.engine.base import Endpoint
from hgx.serve.app import create_app
from hgx.serve.gateway import Gateway
from tests.serve.small_engine import SmallEngine, serving

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture
def engine() -> Generator[SmallEngine]:
    """An engine that does what the prompt says."""
    small = SmallEngine()
    routes = [
        Route(path, small.answer, methods=["POST"])
        for path in ("/v1/completions", "/v1/chat/completions")
    ]
    with serving(Starlette(routes=routes)) as url:
        small.url = url
        yield small
        small.more.set()


@pytest.fixture
def gateway(engine: SmallEngine) -> Generator[str]:
    """The URL of the gateway in front of that engine."""
    with serving(
        create_app(Gateway(Endpoint(engine.url, "the-key"), engine.alive), "small")
    ) as url:
        yield url
