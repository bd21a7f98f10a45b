"""Who asks, and where: what an operation knows of its caller."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from smclient_embedded.store.records import Scope

PrincipalKind = Literal["administrator", "user", "role", "federated", "service"]


@dataclass(frozen=True, slots=True)
class Session:
    """What makes a role or a federated user of a principal: temporary, and perhaps narrowed.

    Attributes:
        name: the session's own name, the end of its ARN.
        source: ARN of the role, with its path; of a federated user the user who asked.
        policies: session policies as JSON text; ``None`` if none were passed, which is not the
            same as passing empty ones.
        grants: policies as JSON text that the session brings beside those of its source: those of
            a rotation function that was given no role.
        tags: session tags; they win over tags of the source.
        source_id: unique id of the source, so that another one of the same name, made later, is
            another; empty if that does not matter.
        issued_at, expires_at: when it was made and when it ends; ``None`` ends with the process.
    """

    name: str
    source: str
    policies: tuple[str, ...] | None = None
    grants: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    issued_at: datetime | None = None
    expires_at: datetime | None = None
    source_id: str = ""


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller. The administrator of an account is its root user: nothing in the account is closed
    to it but by an explicit deny, a key policy, or the account's organisation."""

    arn: str
    account: str
    kind: PrincipalKind = "user"
    session: Session | None = None

    @classmethod
    def administrator(cls, account: str) -> Principal:
        """The zero-configuration caller: the account's root."""
        return cls(f"arn:aws:iam::{account}:root", account, "administrator")


@dataclass(frozen=True, slots=True)
class RequestContext:
    """One request: its caller, the account and region it is asked in, and how it came.

    ``is_secure`` says that nobody on the way could read it: TLS, or no network at all.
    """

    principal: Principal
    region: str
    request_id: str
    source_ip: str = "127.0.0.1"
    user_agent: str = "smclient-embedded"
    is_secure: bool = True
    access_key_id: str | None = None

    @property
    def scope(self) -> Scope:
        """Where bare names are looked up: the caller's account, in this region."""
        return _scope(self.principal.account, self.region)


@functools.lru_cache(maxsize=1024)
def _scope(account: str, region: str) -> Scope:
    """One object for each, as every request asks for it several times."""
    return Scope(account, region)
