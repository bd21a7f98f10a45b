"""Rotating database users, on any engine: one user whose password changes, or two that take turns.

| after | single user | alternating users |
|---|---|---|
| createSecret | nothing in the database | nothing in the database |
| setSecret | only AWSPENDING logs in | both log in |
| finishSecret | only AWSCURRENT logs in | both log in |
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar

from smclient.errors import ResourceNotFoundError, RotationStepError
from smclient.rotation.databases import (
    Engine,
    Login,
    alternate,
    close_all,
    doing,
    log_in,
    read_login,
)
from smclient.rotation.function import Rotation, RotationFunction
from smclient.rotation.passwords import PasswordRules
from smclient.secret import AWSCURRENT, AWSPENDING, SecretRef, SecretValue


class _DatabaseUser(RotationFunction):
    engine: ClassVar[type[Engine]]

    def __init__(self, rules: PasswordRules | None = None) -> None:
        super().__init__()
        self._rules = rules
        self._engine = type(self).engine()

    def test_value(self, rotation: Rotation) -> None:
        """Log in with the pending password and ask something."""
        pending = self._login(rotation.the_pending(), "pending")
        if not self._logs_in(pending):
            raise RotationStepError(
                f"secret {rotation.arn}: the database refuses the pending password"
            )

    def works(self, rotation: Rotation, value: SecretValue) -> bool:
        """Whether the database lets this version in."""
        return self._logs_in(self._login(value, "stored"))

    def _logs_in(self, login: Login) -> bool:
        session = log_in(self._engine, login)
        try:
            if session is not None:
                self._doing(login, "answer a query", lambda: self._engine.probe(session))
            return session is not None
        finally:
            close_all([session])

    def _login(self, value: SecretValue, label: str) -> Login:
        return read_login(self._engine, value, label)

    def new_password(self, rotation: Rotation) -> str:
        """A password by the rules given, else by those of the environment."""
        rules = self._rules or PasswordRules.from_env(exclude_characters=self._engine.excluded)
        return rotation.random_password(rules)

    def _master(self, rotation: Rotation, value: SecretValue, current: Login) -> Any:
        arn = _master_arn(value)
        tried = False
        for stage in (AWSCURRENT, AWSPENDING):  # the master's own rotation may be under way
            try:
                secret = rotation.secrets.fetch(SecretRef(arn, stage)).value
            except ResourceNotFoundError:
                continue
            tried = True
            session = log_in(self._engine, self._master_login(secret, current))
            if session is not None:
                return session
        reason = "the database refuses the password in it" if tried else "it has no value"
        raise RotationStepError(
            f"secret {rotation.arn}: cannot log in with the secret that masterarn names, {arn}: "
            f"{reason}"
        )

    def _master_login(self, secret: SecretValue, current: Login) -> Login:
        raise NotImplementedError(f"{type(self).__name__} does not say where a master logs in")

    def _doing(self, login: Login, what: str, work: Callable[[], None]) -> None:
        doing(self._engine, login, what, work)


class SingleUser(_DatabaseUser):
    """Rotates the password of one user, who changes it himself.

    From setSecret to finishSecret only the pending password logs in; ``SecretsClient.connect``
    finds it. Secret: ``engine``, ``host``, ``username``, ``password``, and where wanted ``port``,
    ``dbname``, ``ssl``; other keys are kept.
    """

    def new_value(self, rotation: Rotation) -> Mapping[str, Any]:
        """The current secret with another password."""
        current = rotation.current()
        self._login(current, "current")
        return {**current.json(), "password": self.new_password(rotation)}

    def set_value(self, rotation: Rotation) -> None:
        """Log in with what works (pending, current, previous) and set the pending password."""
        pending = self._login(rotation.the_pending(), "pending")
        current = self._login(rotation.current(), "current")
        expect_same(pending, current, "host", "username")
        session = log_in(self._engine, pending)
        if session is not None:
            session.close()
            return
        session = log_in(self._engine, current)
        previous = rotation.previous() if session is None else None
        if previous is not None:
            before = self._login(previous, "previous")
            expect_same(pending, before, "host", "username")
            session = log_in(self._engine, before)
        if session is None:
            raise RotationStepError(
                f"secret {rotation.arn}: the database takes neither the pending nor the current "
                "nor the previous password; set the user's password to the one of AWSCURRENT"
            )
        try:
            rotation.expect_pending()
            self._doing(
                pending,
                "change the password",
                lambda: self._engine.set_password(session, pending),
            )
        finally:
            session.close()


class AlternatingUsers(_DatabaseUser):
    """Rotates between two users, ``name`` and ``name_clone``: whoever holds the current secret
    keeps logging in while the other gets a new password, and until the rotation after.

    Secret: as for a single user, and ``masterarn``, the ARN of a secret whose user may create users
    and grant. The clone gets the rights of the user it is made from.

    Args:
        rules: for passwords; by default those of the environment.
        master_hosts: hosts that the master's password may be sent to besides the one its secret
            names: replicas, or where a managed master secret has no host.
    """

    def __init__(
        self, rules: PasswordRules | None = None, *, master_hosts: Collection[str] = ()
    ) -> None:
        super().__init__(rules)
        self._master_hosts = frozenset(master_hosts)

    def new_value(self, rotation: Rotation) -> Mapping[str, Any]:
        """The current secret with the other user's name and another password."""
        value = rotation.current()
        current = self._login(value, "current")
        _master_arn(value)
        name = alternate(current.username)
        reason = self._engine.check_name(name)
        if not name or reason:
            raise RotationStepError(
                f"secret {rotation.arn}: the other user would be called {name!r}, which "
                f"{self._engine.title} does not take: {reason or 'it is empty'}"
            )
        return {**value.json(), "username": name, "password": self.new_password(rotation)}

    def set_value(self, rotation: Rotation) -> None:
        """As the master, make the other user, or give it the pending password.

        The current user has to log in first: who does not know its password cannot have its rights
        copied.
        """
        pending = self._login(rotation.the_pending(), "pending")
        value = rotation.current()
        current = self._login(value, "current")
        expect_same(pending, current, "host", "port", "dbname")
        if pending.username != alternate(current.username):
            raise RotationStepError(
                f"secret {rotation.arn}: the pending user is not the other user of the current "
                f"one, which would be {alternate(current.username)!r}"
            )
        done = log_in(self._engine, pending)
        if done is not None:
            done.close()
            return
        session = log_in(self._engine, current)
        master = None
        try:
            if session is None:
                raise RotationStepError(
                    f"secret {rotation.arn}: the database refuses the current password; its user's "
                    "rights are not copied to anyone before it logs in"
                )
            master = self._master(rotation, value, current)
            rotation.expect_pending()
            self._doing(
                pending,
                "make the other user",
                lambda: self._engine.clone(master, session, current, pending),
            )
        finally:
            close_all([master, session])

    def _master_login(self, secret: SecretValue, current: Login) -> Login:
        fields = secret.fields
        host = str(fields.get("host") or "")
        if host != current.host and current.host not in self._master_hosts:
            raise RotationStepError(
                f"secret {current.arn}: its host is not the one of the secret that masterarn "
                f"names, {secret.arn}, and the master's password goes nowhere else; if it may go "
                f"to {current.host!r}, say {type(self).__name__}(master_hosts=[...])"
            )
        same = {"host": current.host, "port": current.port, "dbname": current.dbname}
        return self._login(_with(secret, {**fields, **same}), "master")


def _with(secret: SecretValue, fields: Mapping[str, Any]) -> SecretValue:
    return SecretValue(
        arn=secret.arn,
        name=secret.name,
        version_id=secret.version_id,
        text=json.dumps(dict(fields)),
    )


def _master_arn(value: SecretValue) -> str:
    arn = value.fields.get("masterarn")
    if not isinstance(arn, str) or not arn:
        raise RotationStepError(
            f"secret {value.arn}: it has no masterarn; store the ARN of a secret whose user may "
            "create users, or use the single-user function"
        )
    return arn


def expect_same(pending: Login, other: Login, *names: str) -> None:
    """Raise ``RotationStepError`` where two versions differ in what no rotation changes."""
    for name in names:
        if getattr(pending, name) != getattr(other, name):
            raise RotationStepError(
                f"secret {pending.arn}: {name} differs between versions {pending.version_id} and "
                f"{other.version_id}; a rotation changes the credentials only"
            )
