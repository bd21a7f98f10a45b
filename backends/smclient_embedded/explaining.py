"""Why somebody may or may not do something, in sentences, asked of a store as it is now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from smclient.errors import ConfigError
from smclient.secret import AWSCURRENT
from smclient_embedded.access import AccessRequest
from smclient_embedded.accounts.authority import PolicyAuthoriser
from smclient_embedded.context import Principal
from smclient_embedded.door import Door
from smclient_embedded.finding import locate, would_be_arn
from smclient_embedded.gate import Call, further_questions
from smclient_embedded.kms import MANAGED_ALIAS, VALIDATION, encryption_context, find_key
from smclient_embedded.policy import Decision
from smclient_embedded.store import Transaction
from smclient_embedded.store.records import SecretRecord
from smclient_embedded.values import KIND

Alternatives = Sequence[AccessRequest]
"""Questions of which one has to be answered with yes: the keys that open one value."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The decisions that a call would meet, in their order; the first that refuses ends it, except
    that any one key of a value is enough to read it.

    Attributes:
        items: those about each secret that a batch names; a refusal is an entry in the answer's
            ``Errors``.
    """

    decisions: tuple[Decision, ...]
    items: tuple[Decision, ...] = ()

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
            for each in (*self.decisions, *self.items)
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
            asked = self._door.gate.question(call, tx)
            asked = replace(asked, keys={**asked.keys, **(keys or {})})
            decisions = self._decided(self._questions(call, tx, asked))
            items = self._items(call, tx) if decisions[-1].allowed else ()
        return Explanation(tuple(decisions), tuple(items))

    def _decided(self, questions: Iterable[Alternatives]) -> list[Decision]:
        """Decisions up to the first refusal that ends it."""
        decisions: list[Decision] = []
        for alternatives in questions:
            for question in alternatives:
                decisions.append(self._policies.decide(question))
                if decisions[-1].allowed:
                    break
            else:
                break
        return decisions

    def _questions(
        self, call: Call, tx: Transaction, asked: AccessRequest
    ) -> Iterator[Alternatives]:
        """What the door asks for a call, in its order, and then what KMS asks."""
        yield [asked]
        for more in further_questions(call, asked):
            yield [more]
        yield from self._key_questions(call, tx, asked)

    def _key_questions(
        self, call: Call, tx: Transaction, asked: AccessRequest
    ) -> Iterator[Alternatives]:
        if self._door.store.keyring() is not None:
            return
        given, secret = call.parameters, asked.secret
        if call.operation == "GetSecretValue" and secret is not None:
            yield from self._reading(call, tx, secret)
        elif call.operation in ("CreateSecret", "PutSecretValue", "UpdateSecret"):
            scope = call.context.scope if secret is None else secret.scope
            named = given.get("KmsKeyId") or (None if secret is None else secret.kms_key_id)
            key = find_key(tx, scope, named or MANAGED_ALIAS)
            if key is None:
                return  # there is no such key; the default one, made by its first use, lets in
            if given.get("KmsKeyId") and not key.managed:
                pairs = encryption_context(asked.resource, VALIDATION)
                for action in ("GenerateDataKey", "Decrypt"):
                    yield [self._door.gate.key_question(call, tx, action, key, pairs)]
            if call.operation == "PutSecretValue" or given.keys() & KIND.keys():
                pairs = encryption_context(asked.resource, given.get("ClientRequestToken", ""))
                yield [self._door.gate.key_question(call, tx, "GenerateDataKey", key, pairs)]

    def _reading(self, call: Call, tx: Transaction, secret: SecretRecord) -> Iterator[Alternatives]:
        """Any one of the keys of a value opens it."""
        given = call.parameters
        stage = given.get("VersionStage", AWSCURRENT)
        version_id = given.get("VersionId") or tx.labels(secret.arn).get(stage, "")
        version = tx.version(secret.arn, version_id)
        if version is not None and version.sealed is not None:
            keys = filter(None, map(tx.key, version.sealed.key_ids))
            pairs = encryption_context(secret.arn, version_id)
            ask = self._door.gate.key_question
            yield [ask(call, tx, "Decrypt", key, pairs) for key in keys]

    def _items(self, call: Call, tx: Transaction) -> list[Decision]:
        """About each secret that a batch names, as far as it is there."""
        found: list[Decision] = []
        if call.operation != "BatchGetSecretValue":
            return found
        for named in dict.fromkeys(call.parameters.get("SecretIdList") or ()):
            secret = locate(tx, call.context.scope, named)
            resource = would_be_arn(call.context, named) if secret is None else secret.arn
            asked = self._door.gate.question_about(
                call, tx, "secretsmanager:GetSecretValue", resource, named=named
            )
            reading = Call("GetSecretValue", call.context)
            found += self._decided([[asked], *self._key_questions(reading, tx, asked)])
        return found
