"""``service.managed``: secrets that belong to a database service, made, watched and given up."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from smclient.errors import ConfigError
from smclient.secret import AWSCURRENT
from smclient_embedded.finding import locate
from smclient_embedded.managed.passwords import SetsPasswords
from smclient_embedded.managed.rotation import (
    Attached,
    DepsFor,
    KeysFor,
    ManagedRotation,
    new_password,
    sealed,
)
from smclient_embedded.rotation.machine import plan_next
from smclient_embedded.rotation.managed_kinds import OWNERS, KindName, kind_of
from smclient_embedded.store.ports import Store
from smclient_embedded.store.records import (
    RotationSettings,
    Scope,
    SecretRecord,
    VersionRecord,
)

WINDOW_SECONDS = 60.0
"""AWS says that a managed rotation typically takes less than a minute."""

Status = Literal["active", "rotating", "impaired"]


class ManagedSecrets:
    """What RDS, Aurora, DocumentDB and Redshift do with the password of their master user.

    Such a secret has an OwningService, no function, and rules of its own; it can be read, described
    and rotated (RotateSecret, also with other rules), and nothing else by anybody but its owner.
    """

    def __init__(self, store: Store, deps_for: DepsFor, keys_for: KeysFor, home: Scope) -> None:
        self._store = store
        self._deps_for = deps_for
        self._keys_for = keys_for
        self._home = home
        self._attached: dict[str, Attached] = {}

    def rotation(self) -> ManagedRotation:
        """What the scheduler asks."""
        return ManagedRotation(self._store, self._deps_for, self._keys_for, self._attached)

    def create(
        self,
        kind: KindName,
        username: str,
        passwords: SetsPasswords,
        *,
        database: str,
        kms_key_id: str | None = None,
        days: int | None = None,
        window: float = WINDOW_SECONDS,
    ) -> str:
        """Make the secret of a database's master user, set a password, and return the ARN.

        Args:
            passwords: sets the password; kept as long as this service, see ``attach``.
            database: the identifier of the instance or cluster.
            kms_key_id: a customer key instead of ``aws/secretsmanager``.
            days: between rotations; 7, for Redshift 30.
            window: seconds from the rotation's begin until AWSCURRENT moves.

        Raises:
            ConfigError: no such kind, or the secret is there already.
            ServiceError: the KMS key cannot be used.
            Exception: what ``passwords`` raises; then there is no secret.
        """
        made = kind_of(kind)
        with self._store.transaction(write=True) as tx:
            deps = self._deps_for(self._home, tx)
            name = made.name(database, username, deps.ids.uuid())
            if tx.secret_named(self._home, name) is not None:
                raise ConfigError(f"there is a secret {name!r} already")
            place = f"{self._home.region}:{self._home.account}"
            settings = RotationSettings(enabled=True, automatically_after_days=days or made.days)
            secret = SecretRecord(
                arn=f"arn:aws:secretsmanager:{place}:secret:{name}-{deps.ids.suffix()}",
                scope=self._home,
                name=name,
                created_at=deps.now,
                changed_at=deps.now,
                description=f"Master user of {database}, managed by {made.owner}",
                kms_key_id=kms_key_id,
                tags=made.tags(database, region=self._home.region, account=self._home.account),
                rotation=plan_next(settings, now=deps.now, anchor=deps.now),
                owning_service=made.owner,
            )
            tx.put_secret(secret)
            fields = {"username": username, "password": new_password(deps, secret)}
            version = VersionRecord(secret.arn, deps.ids.uuid(), created_at=deps.now)
            tx.put_version(sealed(self._keys_for(self._home, tx), secret, version, fields))
            tx.put_label(secret.arn, AWSCURRENT, version.version_id)
        try:
            passwords.set_password(username, fields["password"])
        except BaseException:
            self.release(secret.arn)
            raise
        self.attach(secret.arn, passwords, window=window)
        return secret.arn

    def attach(
        self, secret_id: str, passwords: SetsPasswords, *, window: float = WINDOW_SECONDS
    ) -> None:
        """Say who sets the password of a managed secret, after this process was started anew.

        Raises:
            ConfigError: there is no such secret, or no database service owns it.
        """
        secret = self._find(secret_id)
        self._attached[secret.arn] = Attached(passwords, timedelta(seconds=window))

    def status(self, secret_id: str) -> Status:
        """SecretStatus as RDS shows it: ``impaired`` when the last attempt to rotate failed."""
        secret = self._find(secret_id)
        with self._store.transaction(write=False) as tx:
            job = tx.rotation_job(secret.arn)
        if job is None:
            return "active"
        return "rotating" if job.last_error is None else "impaired"

    def release(self, secret_id: str) -> None:
        """Delete the secret, as its owner does when the database goes or takes its password back.

        Raises:
            ConfigError: there is no such secret, or no database service owns it.
        """
        secret = self._find(secret_id)
        with self._store.transaction(write=True) as tx:
            tx.remove_secret(secret.arn)
        self._attached.pop(secret.arn, None)

    def _find(self, secret_id: str) -> SecretRecord:
        with self._store.transaction(write=False) as tx:
            secret = locate(tx, self._home, secret_id)
        if secret is None or secret.owning_service not in OWNERS:
            raise ConfigError(f"there is no managed secret {secret_id!r}")
        return secret
