"""A service with principals, a short way to ask it as one of them, and to write policies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from smclient.testing import FakeClock
from smclient_embedded import EmbeddedService
from smclient_embedded.context import Principal
from smclient_embedded.errors import AccessDeniedException, ServiceError

HOME = "123456789012"
OTHER = "210987654321"
TAKES_TOKEN = ("CreateSecret", "PutSecretValue", "RotateSecret", "UpdateSecret")


def policy(*statements: Mapping[str, Any]) -> dict[str, Any]:
    """A document of the current version."""
    return {"Version": "2012-10-17", "Statement": [dict(each) for each in statements]}


def allow(*actions: str, on: Any = "*", **more: Any) -> dict[str, Any]:
    """An Allow; actions without a prefix are Secrets Manager's."""
    return {"Effect": "Allow", "Action": _full(actions), "Resource": on, **more}


def deny(*actions: str, on: Any = "*", **more: Any) -> dict[str, Any]:
    """A Deny."""
    return {"Effect": "Deny", "Action": _full(actions), "Resource": on, **more}


def _full(actions: tuple[str, ...]) -> list[str]:
    return [name if ":" in name or name == "*" else f"secretsmanager:{name}" for name in actions]


class Realm:
    """A service, its clock, and questions to it: ``realm(user, "ListSecrets", MaxResults=1)``."""

    def __init__(self, service: EmbeddedService, clock: FakeClock) -> None:
        self.service = service
        self.accounts = service.accounts
        self.clock = clock
        self._tokens = 0

    def __call__(
        self,
        caller: Principal | str | None,
        operation: str,
        *,
        context: Mapping[str, Any] | None = None,
        **request: Any,
    ) -> dict[str, Any]:
        if operation in TAKES_TOKEN:
            self._tokens += 1
            request.setdefault("ClientRequestToken", f"token-{self._tokens}".ljust(32, "0"))
        asked = replace(self.service.context(caller), **(context or {}))
        return self.service.call(operation, request, asked)

    def refused(
        self, caller: Principal | str | None, operation: str, **request: Any
    ) -> tuple[str, str]:
        """Code and message of the refusal; the test fails if the call is answered."""
        with pytest.raises(ServiceError) as caught:
            self(caller, operation, **request)
        return caught.value.code, str(caught.value)

    def may(self, caller: Principal | str | None, operation: str, **request: Any) -> bool:
        """Whether the call is answered; the test fails if it is refused for another reason."""
        try:
            self(caller, operation, **request)
        except AccessDeniedException:
            return False
        return True

    def secret(self, name: str = "prod/db", **more: Any) -> str:
        """A secret of the home account with a value; its ARN."""
        more.setdefault("SecretString", "the value")
        return str(self(None, "CreateSecret", Name=name, **more)["ARN"])

    def attach(self, arn: str, *documents: Any) -> None:
        """Resource policies on a secret, as they are kept."""
        texts = {f"policy-{index}": json.dumps(each) for index, each in enumerate(documents)}
        with self.service.door.store.transaction(write=True) as tx:
            secret = tx.secret(arn)
            assert secret is not None
            tx.put_secret(replace(secret, policies=texts))

    def user(self, name: str = "app", *statements: Any, **more: Any) -> str:
        """A user whose policy has these statements."""
        if statements:
            more["policies"] = policy(*statements)
        return self.accounts.create_user(name, **more)

    def session(self, name: str = "app", *statements: Any, **more: Any) -> Principal:
        """A session ``s-1`` of a role whose policy has these statements."""
        role = self.accounts.create_role(name, policies=policy(*statements) if statements else None)
        return self.accounts.assume_role(role, "s-1", **more).principal
