"""Real servers for these tests: processes of `smclient serve`, and servers in a thread."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from smclient_embedded import EmbeddedService
from smclient_embedded.http import server
from smclient_embedded.http.app import HttpApp, HttpSettings
from tests.backends.embedded.http.served import (
    ACCESS_KEY,
    SECRET_KEY,
    Serve,
    Served,
    ThreadServed,
    end,
    start_server,
)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start `smclient serve` on a free port; all are stopped at the end."""
    with ExitStack() as stack:

        def start(*arguments: str, keys: bool = True, **environment: str) -> Served:
            if keys:
                environment = {
                    "SMCLIENT_ACCESS_KEY": ACCESS_KEY,
                    "SMCLIENT_SECRET_KEY": SECRET_KEY,
                    **environment,
                }
            served = start_server(tmp_path, *arguments, **environment)
            stack.callback(end, served.process)
            line = served.output.line()
            assert line is not None, served.errors.all()
            served.ready = json.loads(line)
            return served

        yield start


@pytest.fixture
def in_thread() -> Iterator[Callable[..., ThreadServed]]:
    """Start a server in a thread, unsigned, with settings as given."""
    with ExitStack() as stack:

        def start(*, serving: server.Serving | None = None, **settings: Any) -> ThreadServed:
            service = stack.enter_context(EmbeddedService())
            pool = stack.enter_context(ThreadPoolExecutor(4))
            settings.setdefault("find_key", None)
            http = HttpSettings(account=service.account, region=service.region, **settings)
            app = HttpApp(service.door, http, inline=lambda _: True, pool=pool)
            listener = server.listen("127.0.0.1", 0)
            running = server.in_thread(app, listener, serving or server.Serving())
            return ThreadServed(stack.enter_context(running), service)

        yield start


@pytest.fixture(scope="module")
def unsigned() -> Iterator[ThreadServed]:
    """One unsigned server in a thread, for a whole file."""
    with EmbeddedService() as service, ThreadPoolExecutor(4) as pool:
        http = HttpSettings(account=service.account, region=service.region, find_key=None)
        app = HttpApp(service.door, http, inline=lambda _: True, pool=pool)
        with server.in_thread(app, server.listen("127.0.0.1", 0), server.Serving()) as endpoint:
            yield ThreadServed(endpoint, service)
