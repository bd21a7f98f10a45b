"""Who asks, and where: what an operation knows of its caller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from smclient_embedded.store.records import Scope


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller. The administrator of an account may do everything in it."""

    arn: str
    account: str
    kind: Literal["administrator", "user", "role", "service"] = "user"

    @classmethod
    def administrator(cls, account: str) -> Principal:
        """The zero-configuration caller: the account's root."""
        return cls(f"arn:aws:iam::{account}:root", account, "administrator")


@dataclass(frozen=True, slots=True)
class RequestContext:
    """One request: its caller, the account and region it is asked in, and how it came."""

    principal: Principal
    region: str
    request_id: str
    source_ip: str = "127.0.0.1"
    user_agent: str = "smclient-embedded"
    access_key_id: str | None = None

    @property
    def scope(self) -> Scope:
        """Where bare names are looked up: the caller's account, in this region."""
        return Scope(self.principal.account, self.region)
