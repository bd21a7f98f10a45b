"""What the tests of reading one secret share: its times, its password, a new one."""

from __future__ import annotations

from typing import Any

from smclient import SecretsClient
from smclient.testing import FakeBackend

TTL, MAX_STALE = 300.0, 3600.0


def password(client: SecretsClient, **how: Any) -> str:
    return str(client.get("db", **how)["password"])


def put(backend: FakeBackend, text: str, **how: Any) -> str:
    return backend.put("db", {"password": text}, **how)
