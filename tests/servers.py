"""Programs that no wheel brings: where one cannot be had a test is skipped, unless servers are
required (``REQUIRE_SERVERS=1``): then it fails."""

from __future__ import annotations

import os
from typing import Any, NoReturn

import pytest

from smclient_demo.server_home import ServerUnavailableError


def started(server: Any) -> Any:
    """A server of ``smclient_demo``, started."""
    try:
        server.start()
    except ServerUnavailableError as error:
        absent(str(error))
    return server


def absent(why: str) -> NoReturn:
    """Something is not on this machine; ``why`` says what brings it."""
    if os.environ.get("REQUIRE_SERVERS") == "1":
        pytest.fail(f"REQUIRE_SERVERS=1, and {why}", pytrace=False)
    pytest.skip(why)
