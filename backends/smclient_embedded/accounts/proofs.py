"""How principals prove who they are: access keys, sessions of roles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from smclient.errors import ConfigError
from smclient_embedded.access import Access, AccessRequest, denial, refuse_ended_session
from smclient_embedded.accounts.authority import PolicyAuthoriser
from smclient_embedded.accounts.directory import Accounts, StoredDirectory
from smclient_embedded.accounts.documents import Documents, named_documents
from smclient_embedded.accounts.keys import (
    Credentials,
    new_key_pair,
    seal_secret,
    seal_session,
)
from smclient_embedded.accounts.naming import (
    ACCOUNT,
    SERVICE_NAME,
    SESSION_NAME,
    account_of,
    role_session,
)
from smclient_embedded.accounts.people import PeopleAdmin
from smclient_embedded.accounts.records import Identity, KeptAccessKey
from smclient_embedded.context import Principal
from smclient_embedded.store.ports import Keyring

SHORTEST, LONGEST = 1.0, 43_200.0
"""Seconds that a session may last."""

SealWith = Callable[[Callable[[Keyring], str], str], str]
"""Calls its first argument with the keys of an account, in a transaction."""


@dataclass(frozen=True, slots=True)
class AssumedRole:
    """A session: who it is in this process, and what to sign with over HTTP."""

    principal: Principal
    credentials: Credentials


class ProofAdmin(PeopleAdmin):
    """The part of ``AccountsAdmin`` that is about proving who one is."""

    def __init__(
        self,
        directory: StoredDirectory,
        authoriser: PolicyAuthoriser,
        *,
        seal_with: SealWith,
        now: Callable[[], datetime],
        home: str,
    ) -> None:
        super().__init__(directory, home)
        self._authoriser = authoriser
        self._seal_with = seal_with
        self._now = now

    def create_access_key(self, user: str) -> Credentials:
        """An access key of a user, for HTTP. Its secret is shown this once.

        Raises:
            ConfigError: there is no such user.
        """
        self._identity(user, "user")
        access_key_id, secret = new_key_pair("AKIA")
        self.put_access_key(user, access_key_id, secret)
        return Credentials(access_key_id, secret)

    def put_access_key(self, user: str, access_key_id: str, secret: str) -> None:
        """Let a user sign with a key pair that is known already. The root user may have one too.

        Raises:
            ConfigError: there is no such user, or the id is another's.
        """
        account = account_of(user)
        if user != f"arn:aws:iam::{account}:root":
            self._identity(user, "user")
        sealed = self._seal_with(lambda keys: seal_secret(keys, access_key_id, secret), account)
        made = KeptAccessKey(access_key_id, user, sealed)

        def add(accounts: Accounts) -> Accounts:
            other = accounts.access_key(access_key_id)
            if other is not None and other.principal != user:
                raise ConfigError(f"the access key {access_key_id} belongs to {other.principal}")
            kept = accounts.account(account)
            return accounts.with_account(
                replace(kept, access_keys={**kept.access_keys, access_key_id: made})
            )

        self._directory.change(add)

    def remove_access_key(self, access_key_id: str) -> None:
        """Let a key in no longer. Raises ``ConfigError`` if there is none of that id."""

        def remove(accounts: Accounts) -> Accounts:
            found = accounts.access_key(access_key_id)
            if found is None:
                raise ConfigError(f"there is no access key {access_key_id}")
            kept = accounts.account(account_of(found.principal))
            keys = {key: each for key, each in kept.access_keys.items() if key != access_key_id}
            return accounts.with_account(replace(kept, access_keys=keys))

        self._directory.change(remove)

    def assume_role(
        self,
        role: str,
        session_name: str,
        *,
        caller: Principal | None = None,
        policies: Documents | None = None,
        tags: Mapping[str, str] | None = None,
        seconds: float = 3600.0,
    ) -> AssumedRole:
        """Begin a session of a role.

        Args:
            caller: who asks; the role's trust policy and the caller's own policies decide, of
                ``sts:TagSession`` too if there are tags. Without one nobody is asked: whoever runs
                in this process can be anybody.
            policies: session policies; the session may do only what they allow too.
            tags: session tags, ``aws:PrincipalTag`` in conditions.
            seconds: how long it lasts.

        Raises:
            ConfigError: there is no such role, a bad name or duration, a policy that is none.
            AccessDeniedException: the caller may not assume it, or not with tags.
            ExpiredTokenException: the caller is a session that is over.
        """
        identity = self._identity(role, "role")
        if not SESSION_NAME.fullmatch(session_name):
            raise ConfigError(f"{session_name!r} is no name for a session: letters, digits, +=,.@-")
        now = self._now()
        if caller is not None:
            self._check_trust(caller, identity, tags or {}, now)
        passed = named_documents(policies, "identity", f"{role}, session {session_name},")
        principal = role_session(
            role,
            session_name,
            policies=None if policies is None else tuple(passed.values()),
            tags=tuple((tags or {}).items()),
            issued_at=now,
            expires_at=now + timedelta(seconds=_duration(seconds)),
            source_id=identity.unique_id,
        )
        return AssumedRole(principal, self.session_credentials(principal))

    def session_credentials(self, principal: Principal) -> Credentials:
        """What a session signs with over HTTP. The token holds the session; nothing is kept."""
        if principal.session is None:
            raise ConfigError(f"{principal.arn} is no session; a user has create_access_key()")
        access_key_id, secret = new_key_pair("ASIA")
        token = self._seal_with(
            lambda keys: seal_session(keys, access_key_id, secret, principal), principal.account
        )
        return Credentials(access_key_id, secret, token, principal.session.expires_at)

    def principal(self, name: str) -> Principal | None:
        """A caller by ARN: an administrator, user, role, session of a role; or a service by name.
        ``None`` if there is none."""
        if SERVICE_NAME.fullmatch(name):
            return Principal(name, self._home, "service")
        parts = name.split(":", 5)
        if len(parts) != 6 or not ACCOUNT.fullmatch(parts[4]):
            return None
        if parts[5] == "root":
            return Principal.administrator(parts[4])
        identity = self._directory.current().identity(name)
        if identity is None:
            return None
        if ":user/" in identity.arn:
            return Principal(identity.arn, parts[4])
        session = parts[5].split("/")[2] if parts[2] == "sts" else "smclient"
        return role_session(identity.arn, session)

    def _check_trust(
        self, caller: Principal, role: Identity, tags: Mapping[str, str], now: datetime
    ) -> None:
        refuse_ended_session(caller, now)
        keys: dict[str, str | Sequence[str]] = {f"aws:RequestTag/{k}": v for k, v in tags.items()}
        if tags:
            keys["aws:TagKeys"] = list(tags)
        for action in ("sts:AssumeRole", "sts:TagSession") if tags else ("sts:AssumeRole",):
            request = AccessRequest(
                caller,
                action,
                role.arn,
                role.arn,
                account_of(role.arn),
                keys,
                at=now,
                policies=(role.trust or "",),
            )
            decision = self._authoriser.decide_trust(request)
            if not decision.allowed:
                raise denial(request, Access(False, decision.blame()))


def _duration(seconds: float) -> float:
    if not SHORTEST <= seconds <= LONGEST:
        raise ConfigError(f"a session lasts {SHORTEST:g} to {LONGEST:g} seconds, not {seconds:g}")
    return seconds
