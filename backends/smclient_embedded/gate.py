"""What a call needs to be allowed, asked of the authoriser: the door's part that says no.

In audit-only mode every denial is noted with the call and the call goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from smclient_embedded.access import (
    ALLOWED,
    Access,
    AccessRequest,
    Authoriser,
    ReadSetting,
    denial,
    refuse_ended_session,
)
from smclient_embedded.audit import Later, at_once
from smclient_embedded.condition_keys import encryption_context_keys
from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Request
from smclient_embedded.errors import AccessDeniedException
from smclient_embedded.finding import locate, would_be_arn
from smclient_embedded.kms import KeyUse, KmsAccessDenied, key_arn
from smclient_embedded.needs import CHANGES_TAGS, NEEDS, Need, tags_after
from smclient_embedded.policy import LazyContext
from smclient_embedded.store.ports import Transaction
from smclient_embedded.store.records import KeyRecord, Scope, SecretRecord

SERVICE = "secretsmanager"
_NO_KEYS: Mapping[str, str | Sequence[str]] = {}


@dataclass(slots=True)
class Call:
    """One call on its way through, and what is known of it so far."""

    operation: str
    context: RequestContext
    parameters: Request = field(default_factory=dict)
    secret_arn: str | None = None
    item_arns: Mapping[str, str] | None = None
    """The secrets that an operation decided one by one, by what the caller called them."""
    let_through: list[str] = field(default_factory=list)
    """The denials of an audit-only door."""
    key_uses: list[KeyUse] = field(default_factory=list)
    """What it took of KMS, refused uses too."""
    later: Later = at_once
    """Takes what a read has to write."""
    stamps: set[str | None] = field(default_factory=set)
    """The states of the accounts by which it was let in; ``None`` among them if more had a part."""
    raw: bytes | None = None
    """Its body as it came, where it came as bytes."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Lets calls through or not.

    Attributes:
        now: the service's clock.
        new_id: makes the ids in refusals of KMS.
        audit_only: decide and note every denial, and let the call through.
        may_exist: whether a policy may name a principal.
        stamp: the state that the accounts are in, as in ``Access.stamp``; ``None`` where the
            authoriser decides by something else.
    """

    authoriser: Authoriser
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    audit_only: bool = False
    may_exist: Callable[[str, ReadSetting], bool] = lambda principal, setting: True
    stamp: Callable[[], str | None] = lambda: None

    def check(self, call: Call, tx: Transaction) -> None:
        """Everything that the call needs to be allowed before its values are looked at."""
        refuse_ended_session(call.context.principal, self.now())
        asked = self.question(call, tx)
        self._demand(call, asked)
        for more in further_questions(call, asked):
            self._demand(call, more)

    def question(self, call: Call, tx: Transaction) -> AccessRequest:
        """The first thing that a call needs: its own action on what it is about."""
        context, parameters = call.context, call.parameters
        principal, named = context.principal, "*"
        resource, owner = "*", principal.account
        secret: SecretRecord | None = None
        if "SecretId" in parameters:
            named = parameters["SecretId"]
            secret = locate(tx, context.scope, named)
            if secret is not None:
                call.secret_arn = resource = secret.arn
                owner = secret.scope.account
            else:
                resource = would_be_arn(context, named)
                owner = resource.split(":")[4]
        elif "Name" in parameters:
            named = parameters["Name"]
            resource = would_be_arn(context, named)
        keys = _NO_KEYS
        if parameters.get("KmsKeyId"):
            scope = context.scope if secret is None else secret.scope
            keys = LazyContext(partial(_named_key, tx, scope, parameters["KmsKeyId"]))
        return AccessRequest(
            principal,
            f"{SERVICE}:{call.operation}",
            resource,
            named,
            owner,
            keys,
            parameters,
            context,
            self.now(),
            secret,
            setting=tx.setting,
        )

    def _demand(self, call: Call, request: AccessRequest) -> None:
        access = self.authoriser(request)
        call.stamps.add(access.stamp)
        if not access.allowed:
            self._deny(call, denial(request, access))

    def _deny(self, call: Call, error: AccessDeniedException) -> None:
        if not self.audit_only:
            raise error
        call.let_through.append(str(error))

    def authorise(
        self,
        call: Call,
        tx: Transaction,
        action: str,
        resource: str,
        *,
        named: str | None = None,
        policies: Sequence[str] | None = None,
        **keys: str | list[str],
    ) -> Access:
        request = self.question_about(
            call, tx, action, resource, named=named, policies=policies, keys=keys
        )
        if request.secret is not None and named is not None:
            call.item_arns = {**(call.item_arns or {}), named: request.secret.arn}
        access = self.authoriser(request)
        if access.allowed or policies is not None or not self.audit_only:
            return access
        call.let_through.append(str(denial(request, access)))
        return ALLOWED

    def question_about(
        self,
        call: Call,
        tx: Transaction,
        action: str,
        resource: str,
        *,
        named: str | None = None,
        policies: Sequence[str] | None = None,
        keys: Mapping[str, str | Sequence[str]] = _NO_KEYS,
    ) -> AccessRequest:
        """What an operation asks by itself, such as for each secret of a batch."""
        context = call.context
        parts = resource.split(":")
        is_arn = len(parts) > 5
        return AccessRequest(
            context.principal,
            action,
            resource,
            named or resource,
            parts[4] if is_arn else context.principal.account,
            keys,
            context=context,
            at=self.now(),
            secret=tx.secret(resource) if is_arn and parts[2] == SERVICE else None,
            policies=policies,
            setting=tx.setting,
        )

    def permit(
        self,
        call: Call,
        tx: Transaction,
        action: str,
        key: KeyRecord,
        pairs: Mapping[str, str],
    ) -> None:
        """See ``kms.Permit``: Secrets Manager uses keys with the caller's rights."""
        request = self.key_question(call, tx, action, key, pairs)
        access = self.authoriser(request)
        call.stamps.add(access.stamp)
        if access.allowed:
            return
        if self.audit_only:
            call.let_through.append(str(denial(request, access)))
        else:
            raise KmsAccessDenied(str(denial(request, access)), self.new_id())

    def key_question(
        self,
        call: Call,
        tx: Transaction,
        action: str,
        key: KeyRecord,
        pairs: Mapping[str, str],
    ) -> AccessRequest:
        """What a use of a key needs: the action without ``kms:``, under an encryption context."""
        context = call.context
        return AccessRequest(
            context.principal,
            f"kms:{action}",
            key.arn,
            key.arn,
            key.scope.account,
            encryption_context_keys(pairs),
            context=context,
            at=self.now(),
            key=key,
            setting=tx.setting,
        )


def further_questions(call: Call, asked: AccessRequest) -> Sequence[AccessRequest]:
    """What a call needs beside its own action, before its values are looked at: further actions,
    and its own once more on the secret with the tags that it would have."""
    needs = NEEDS.get(call.operation)
    if needs is not None:
        return [_also(asked, need) for need in needs(call.parameters, asked.secret)]
    if asked.secret is not None and call.operation in CHANGES_TAGS:
        return [replace(asked, secret=tags_after(call.operation, call.parameters, asked.secret))]
    return ()


def _also(asked: AccessRequest, need: Need) -> AccessRequest:
    if need.resource is None:
        return replace(asked, action=need.action)
    parts = need.resource.split(":")
    owner = parts[4] if len(parts) > 5 else asked.principal.account
    return replace(
        asked,
        action=need.action,
        resource=need.resource,
        named=need.resource,
        owner=owner,
        secret=None,
        parameters={},
    )


def _named_key(tx: Transaction, scope: Scope, key_id: str) -> dict[str, str]:
    """The KMS key that a request names, as a condition key; looked up if a condition asks."""
    arn = key_arn(tx, scope, key_id)
    return {} if arn is None else {"secretsmanager:KmsKeyArn": arn}
