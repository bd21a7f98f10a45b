"""How a function's process reaches the service."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Session:
    """How a function reaches the service: an endpoint, and keys of its role until ``ends_at``, on
    the machine's monotonic clock."""

    endpoint: str
    access_key_id: str
    secret_key: str = field(repr=False)
    session_token: str = field(repr=False)
    ends_at: float
