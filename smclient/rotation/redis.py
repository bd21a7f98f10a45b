"""Users of Redis or Valkey: ``RedisAclUser``.

A user may have several passwords there, so no login ever fails: setSecret adds the new one beside
the current one, and takes away those that are older.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar

from smclient.drivers import scrub
from smclient.errors import RotationStepError
from smclient.rotation.databases import (
    CONNECT_TIMEOUT,
    Engine,
    Login,
    ca_file,
    close_all,
    load_driver,
    log_in,
)
from smclient.rotation.function import Rotation
from smclient.rotation.users import SingleUser, expect_same
from smclient.secret import SecretValue

_NO_ACL_FILE = "not configured to use an ACL file"


class RedisEngine(Engine):
    """Redis 6 and later, Valkey. Driver: redis-py."""

    title: ClassVar[str] = "Redis"
    engines: ClassVar[frozenset[str]] = frozenset({"redis", "valkey"})
    port: ClassVar[int] = 6379

    def errors(self) -> tuple[type[Exception], ...]:
        """See ``Engine``."""
        return (load_driver("redis")[1].RedisError,)

    def connect(self, login: Login) -> Any:
        """See ``Engine``. Without ``ssl`` in the secret: with TLS, else without."""
        if login.use_tls is not None:
            return self._open(login, tls=login.use_tls, verified=True)
        redis = load_driver("redis")[1]
        try:
            return self._open(login, tls=True, verified=False)
        except redis.AuthenticationError:
            raise
        except (redis.ConnectionError, redis.TimeoutError):
            return self._open(login, tls=False, verified=False)

    def probe(self, session: Any) -> None:
        """See ``Engine``. Logging in is all that every user may do."""

    def set_password(self, session: Any, login: Login) -> None:
        """See ``Engine``: the password is added."""
        session.execute_command("ACL", "SETUSER", login.username, f"#{_digest(login.password)}")

    def _open(self, login: Login, *, tls: bool, verified: bool) -> Any:
        """A connection that has sent AUTH. Nothing else is sent: a user may be barred from PING."""
        _, redis = load_driver("redis")
        _, retry = load_driver("redis.retry")
        _, backoff = load_driver("redis.backoff")
        checks: dict[str, Any] = {}
        if tls:
            checks = {"ssl": True, "ssl_ca_certs": ca_file() if verified else None}
            checks |= {"ssl_cert_reqs": "required" if verified else "none"}
            checks["ssl_check_hostname"] = verified
        client = redis.Redis(
            host=login.host,
            port=login.port,
            username=login.username,
            password=str(login.password),
            socket_connect_timeout=CONNECT_TIMEOUT,
            socket_timeout=CONNECT_TIMEOUT,
            decode_responses=True,
            protocol=2,
            retry=retry.Retry(backoff.NoBackoff(), 0),  # else refused logins are repeated
            **checks,
        )
        try:
            client.connection_pool.release(client.connection_pool.get_connection())
        except BaseException:
            client.close()
            raise
        return client


class RedisAclUser(SingleUser):
    """Rotates the password of one user of Redis or Valkey.

    Secret: ``engine`` (``redis`` or ``valkey``), ``host``, ``username``, ``password``, and where
    wanted ``port``, ``ssl``; ``masterarn``, the ARN of a secret whose user may say ACL GETUSER, ACL
    SETUSER and ACL SAVE. Without it the user itself has to be allowed that. Users are kept per
    node: a cluster needs ACLs that its own control plane hands out.
    """

    engine = RedisEngine

    def set_value(self, rotation: Rotation) -> None:
        """Leave the user two passwords: the current and the pending one."""
        pending = self._login(rotation.the_pending(), "pending")
        value = rotation.current()
        current = self._login(value, "current")
        expect_same(pending, current, "host", "username")
        session = self._administrator(rotation, value, current, pending)
        try:
            rotation.expect_pending()
            self._doing(pending, "set the password", lambda: _set(session, current, pending))
        finally:
            close_all([session])

    def _administrator(
        self, rotation: Rotation, value: SecretValue, current: Login, pending: Login
    ) -> Any:
        if value.fields.get("masterarn"):
            return self._master(rotation, value, current)
        for login in (pending, current):
            session = log_in(self._engine, login)
            if session is not None:
                return session
        raise RotationStepError(f"secret {rotation.arn}: the server refuses the current password")

    def _master_login(self, secret: SecretValue, current: Login) -> Login:
        master = self._login(secret, "master")
        if (master.host, master.port) != (current.host, current.port):
            raise RotationStepError(
                f"secret {current.arn}: its host and port are not those of the secret that "
                f"masterarn names, {secret.arn}, and the master's password goes nowhere else"
            )
        return master


def _set(session: Any, current: Login, pending: Login) -> None:
    user = session.execute_command("ACL", "GETUSER", pending.username)
    if user is None:
        raise RotationStepError(
            f"secret {pending.arn}: the server has no user {pending.username!r}; make it first"
        )
    kept = {_digest(current.password), _digest(pending.password)}
    has = _passwords(user)
    changes = [f"#{_digest(pending.password)}"] if _digest(pending.password) not in has else []
    changes += [f"!{digest}" for digest in sorted(has - kept)]
    if changes:  # one command, so one change
        session.execute_command("ACL", "SETUSER", pending.username, *changes)
    _save(session)


def _passwords(user: Any) -> set[str]:
    """The digests in the answer to ACL GETUSER, which is a list of names and values, or a map."""
    if not isinstance(user, Mapping):
        user = dict(zip(user[::2], user[1::2], strict=True))
    return set(map(str, user["passwords"]))


def _save(session: Any) -> None:
    """Users outlive a restart only once they are saved; where there is no file, they never do."""
    try:
        session.execute_command("ACL", "SAVE")
    except load_driver("redis")[1].ResponseError as error:
        if _NO_ACL_FILE not in str(error):
            raise
        scrub(error)


def _digest(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()
