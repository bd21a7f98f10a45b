"""Keys that somebody else issues: ``ApiKey`` and ``OAuthClientCredentials``, with the provider's
calls plugged in.

Both keys are valid at once, so no request fails: the key that goes is the one before the current
one, at the next rotation, when AWSPREVIOUS has done its service.

    class Acme(KeyProvider):
        def issue(self, current, token): return {"key": post("/keys", idempotency=token)["key"]}
        def check(self, fields): get("/me", key=fields["key"])
        def revoke(self, fields): delete("/keys/" + fields["key_id"])

    lambda_handler = ApiKey(Acme())
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from smclient.errors import RotationStepError
from smclient.rotation.function import Rotation, RotationFunction
from smclient.secret import SecretValue


class KeyProvider(ABC):
    """The calls to whoever issues keys. Each may be made again after a crash."""

    @abstractmethod
    def issue(self, current: Mapping[str, Any], token: str) -> Mapping[str, Any]:
        """Make a new key beside the current one; the fields that change in the secret.

        ``token`` is the rotation's id: a provider that knows idempotency keys gives the same key
        again for it, so that a crash before the key was stored leaves none behind.
        """

    @abstractmethod
    def check(self, fields: Mapping[str, Any]) -> None:
        """Raise ``KeyRefused`` unless the provider takes this key."""

    @abstractmethod
    def revoke(self, fields: Mapping[str, Any]) -> None:
        """End a key. Of one that is ended already, do nothing."""


class KeyRefused(RotationStepError):
    """A provider does not take a key."""


class ApiKey(RotationFunction):
    """Rotates an API key: a JSON secret whose fields the provider fills.

    Args:
        provider: its calls.
        revoke_first: for providers that allow two keys only: the one before the current one is
            revoked before the new one is issued, not after the new one was tested.
    """

    def __init__(self, provider: KeyProvider, *, revoke_first: bool = False) -> None:
        super().__init__()
        self._provider = provider
        self._revoke_first = revoke_first

    def new_value(self, rotation: Rotation) -> Mapping[str, Any]:
        """The current secret with the fields of a new key."""
        current = rotation.current()
        if self._revoke_first:
            self._revoke_oldest(rotation, current)
        issued = self._provider.issue(current.fields, rotation.token)
        if not issued or all(current.fields.get(name) == new for name, new in issued.items()):
            raise RotationStepError(
                f"secret {rotation.arn}: {type(self._provider).__name__}.issue gave no new key"
            )
        return {**current.json(), **issued}

    def set_value(self, rotation: Rotation) -> None:
        """Nothing: a key is valid when it is issued."""
        rotation.the_pending()

    def test_value(self, rotation: Rotation) -> None:
        """Have the provider take the pending key; then the one before the current one may go. Not
        in a test run, whose pending key is the current one."""
        pending, current = rotation.the_pending(), rotation.current()
        self._provider.check(pending.fields)
        if not self._revoke_first and not pending.same_value(current):
            self._revoke_oldest(rotation, current)

    def works(self, rotation: Rotation, value: SecretValue) -> bool:
        """Whether the provider takes the key of a version."""
        try:
            self._provider.check(value.fields)
        except KeyRefused:
            return False
        return True

    def discard_value(self, rotation: Rotation, value: SecretValue) -> None:
        """Revoke a key that was issued and will never be used."""
        self._provider.revoke(value.fields)

    def _revoke_oldest(self, rotation: Rotation, current: SecretValue) -> None:
        oldest = rotation.previous()
        kept = [current, rotation.pending()]
        if oldest is not None and not any(one and oldest.same_value(one) for one in kept):
            self._provider.revoke(oldest.fields)
