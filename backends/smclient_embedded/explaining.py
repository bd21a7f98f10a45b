"""Why somebody may or may not do something, in sentences, asked of a store as it is now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from smclient.errors import ConfigError
from smclient_embedded.access import AccessRequest
from smclient_embedded.accounts.authority import PolicyAuthoriser
from smclient_embedded.condition_keys import encryption_context_keys
from smclient_embedded.context import Principal
from smclient_embedded.door import Door
from smclient_embedded.gate import Call, also
from smclient_embedded.needs import NEEDS
from smclient_embedded.policy import Decision
from smclient_embedded.store import KeyRecord, Transaction

KMS_ACTIONS = {
    "GetSecretValue": "Decrypt",
    "PutSecretValue": "GenerateDataKey",
    "UpdateSecret": "GenerateDataKey",
}
"""What an operation on a secret with a value asks of its key."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The decisions that a call would meet, in their order; the first that refuses ends it."""

    decisions: tuple[Decision, ...]

    @property
    def allowed(self) -> bool:
        """Whether the call would be let in."""
        return self.decisions[-1].allowed

    @property
    def decision(self) -> str:
        """``allow``, ``implicitDeny`` or ``explicitDeny``."""
        return str(self.decisions[-1].reason)

    def sentences(self) -> list[str]:
        """Each decision in words: the action, what decided, and what would have been needed."""
        return [
            f"{each.request.action} on {each.request.resource}: {sentence}"
            for each in self.decisions
            for sentence in each.explain()
        ]


class Explains:
    """The part of ``EmbeddedService`` that explains decisions. Needs an open door."""

    _door: Door
    _policies: PolicyAuthoriser

    def explain(
        self,
        principal: Principal | str | None,
        action: str,
        secret: str | None = None,
        *,
        region: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        keys: Mapping[str, str] | None = None,
    ) -> Explanation:
        """Why a caller may or may not do something now. Nothing is done and nothing recorded.

        Args:
            action: ``secretsmanager:GetSecretValue``, or without the prefix.
            secret: name or ARN; for CreateSecret the name it would have.
            parameters: further parameters of the call, in AWS's names.
            keys: condition keys in place of those that the call would have.

        Raises:
            ConfigError: there is no such principal, or the action is not of Secrets Manager.
        """
        prefix, _, operation = action.rpartition(":")
        if prefix not in ("", "secretsmanager") or operation not in self._door.model.operations:
            raise ConfigError(f"{action!r} is no action of Secrets Manager")
        service: Any = self  # what is mixed in does not know how a context is made
        call = Call(operation, service.context(principal, region), dict(parameters or {}))
        if secret is not None:
            call.parameters = {
                **call.parameters,
                "Name" if operation == "CreateSecret" else "SecretId": secret,
            }
        with self._door.store.transaction(write=False) as tx:
            questions = self._questions(call, tx, dict(keys or {}))
            decisions: list[Decision] = []
            for question in questions:
                decisions.append(self._policies.decide(question))
                if not decisions[-1].allowed:
                    break
        return Explanation(tuple(decisions))

    def _questions(self, call: Call, tx: Transaction, keys: dict[str, Any]) -> list[AccessRequest]:
        asked = self._door.gate.question(call, tx)
        asked = replace(asked, keys={**asked.keys, **keys})
        needs = NEEDS.get(call.operation)
        found = [asked]
        found += [
            also(asked, need) for need in (needs(call.parameters, asked.secret) if needs else ())
        ]
        action = KMS_ACTIONS.get(call.operation)
        if action is not None and asked.secret is not None and self._door.store.keyring() is None:
            labels = tx.labels(asked.secret.arn)
            version_id = call.parameters.get("VersionId") or labels.get(
                call.parameters.get("VersionStage", "AWSCURRENT"), ""
            )
            version = tx.version(asked.secret.arn, version_id)
            key = (
                None if version is None or version.sealed is None else tx.key(version.sealed.key_id)
            )
            if key is not None:
                pairs = {"SecretARN": asked.secret.arn, "SecretVersionId": version_id}
                found.append(_of_key(asked, action, key, pairs))
        return found


def _of_key(
    asked: AccessRequest, action: str, key: KeyRecord, pairs: Mapping[str, str]
) -> AccessRequest:
    return replace(
        asked,
        action=f"kms:{action}",
        resource=key.arn,
        named=key.arn,
        owner=key.scope.account,
        keys=encryption_context_keys(pairs),
        parameters={},
        secret=None,
        key=key,
    )
