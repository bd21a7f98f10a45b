"""Who may use a KMS key: its policy and its grants."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from smclient.errors import ConfigError
from smclient_embedded.accounts.directory import Accounts, StoredDirectory
from smclient_embedded.accounts.documents import Document, checked
from smclient_embedded.accounts.keys import random_id
from smclient_embedded.accounts.naming import account_of
from smclient_embedded.accounts.records import KeyGrantRecord, KeyRules


class KeyAdmin:
    """The part of ``AccountsAdmin`` that is about KMS keys."""

    _directory: StoredDirectory

    def put_key_policy(self, key_arn: str, document: Document | None) -> None:
        """Say who may use a KMS key; ``None`` is KMS's default, which leaves it to the account.

        Raises:
            ConfigError: it is not a policy.
        """
        text = None if document is None else checked(document, "resource", f"{key_arn} policy")
        self._change_key(key_arn, lambda rules: replace(rules, policy=text))

    def create_grant(
        self,
        key_arn: str,
        grantee: str,
        operations: Sequence[str],
        *,
        constraints: Mapping[str, Mapping[str, str]] | None = None,
    ) -> str:
        """Grant the use of a KMS key beside its policy, and return the grant's id. ``constraints``
        are ``EncryptionContextSubset`` and ``EncryptionContextEquals``."""
        grant = _grant(grantee, operations, constraints or {})
        self._change_key(key_arn, lambda rules: replace(rules, grants=(*rules.grants, grant)))
        return grant.grant_id

    def put_key_rules(
        self,
        key_arn: str,
        policy: str | None,
        grants: Sequence[tuple[str, Sequence[str], Mapping[str, Mapping[str, str]]]],
    ) -> None:
        """Give a key this policy and these grants (grantee, operations, constraints), no others."""
        text = None if policy is None else checked(policy, "resource", f"{key_arn} policy")
        made = tuple(_grant(*grant) for grant in grants)
        self._change_key(key_arn, lambda rules: KeyRules(text, made))

    def revoke_grant(self, key_arn: str, grant_id: str) -> None:
        """Take a grant back. Raises ``ConfigError`` if there is none of that id."""

        def revoke(rules: KeyRules) -> KeyRules:
            left = tuple(grant for grant in rules.grants if grant.grant_id != grant_id)
            if len(left) == len(rules.grants):
                raise ConfigError(f"{key_arn} has no grant {grant_id}")
            return replace(rules, grants=left)

        self._change_key(key_arn, revoke)

    def _change_key(self, key_arn: str, change: Callable[[KeyRules], KeyRules]) -> None:
        account = account_of(key_arn)

        def changed(accounts: Accounts) -> Accounts:
            kept = accounts.account(account)
            rules = change(accounts.key_rules(key_arn, account))
            return accounts.with_account(
                replace(kept, key_rules={**kept.key_rules, key_arn: rules})
            )

        self._directory.change(changed)


def _grant(
    grantee: str, operations: Sequence[str], constraints: Mapping[str, Mapping[str, str]]
) -> KeyGrantRecord:
    return KeyGrantRecord(
        random_id(64).lower(),
        grantee,
        tuple(name.removeprefix("kms:") for name in operations),
        {name: dict(pairs) for name, pairs in constraints.items()},
    )
