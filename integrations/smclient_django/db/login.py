"""``RotatingCredentialsMixin``: a Django database wrapper whose logins follow a secret.

Django's wrappers read user, password and address from their ``settings_dict``. For each login the
wrapper sees that dict as if somebody had just written the secret into it; which version of the
secret, the client's login ladder says. The dict itself is shared by all threads and never changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db.utils import OperationalError

from smclient import LoginHeldBackError, SecretsClient, SecretValue, SmclientError, TransientError
from smclient_django.clients import clients
from smclient_django.db.wanted import Wanted, wanted_by
from smclient_django.errors import told


class RotatingCredentialsMixin:
    """Put before a ``DatabaseWrapper`` of Django's or of others:

        class DatabaseWrapper(RotatingCredentialsMixin, base.DatabaseWrapper):
            client_class = type("DatabaseClient", (RotatingClientMixin, base.DatabaseClient), {})

    An entry of ``DATABASES`` without ``SECRET`` is left as it is.
    """

    alias: str
    settings_dict: dict[str, Any]
    _version: SecretValue | None = None

    @property
    def wanted(self) -> Wanted | None:
        """The secret that this connection logs in with. Raises ``SecretConfigError``."""
        return wanted_by(self.alias, self.settings_dict)

    @property
    def secrets_client(self) -> SecretsClient:
        """The client that reads it."""
        assert self.wanted is not None
        return clients[self.wanted.alias]

    def get_connection_params(self) -> dict[str, Any]:
        """Django's, with the credentials of the login under way, else of AWSCURRENT."""
        wanted = self.wanted
        if wanted is None:
            return super().get_connection_params()  # type: ignore[misc,no-any-return]
        if self._version is None:
            return self._params_of_current(wanted)
        with self.seen_with(self._version):
            return super().get_connection_params()  # type: ignore[misc,no-any-return]

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Log in, through a rotation if need be. Raises the driver's error, with the versions tried
        as a note; ``SecretConfigError`` or ``OperationalError`` if the secret cannot be read."""
        wanted = self.wanted
        if wanted is None:
            return self._djangos_connection(conn_params)
        return self.log_in(wanted, self._open)

    def log_in(self, wanted: Wanted, attempt: Any) -> Any:
        """``attempt(version)`` for one version of the secret after the other, until one logs in."""
        try:
            return clients[wanted.alias].login(
                wanted.secret_id, attempt, fields=wanted.login_fields
            )
        except SmclientError as error:
            raise unreadable(wanted, error) from error

    @contextmanager
    def seen_with(self, version: SecretValue | None) -> Iterator[None]:
        """Let ``settings_dict`` show a version of the secret, to Django's own code on this
        connection."""
        shared, wanted = self.settings_dict, self.wanted
        if wanted is None or version is None:
            yield
            return
        before, self._version = self._version, version
        try:
            self.settings_dict = _Seen(wanted.filled(shared, version), wanted)
            yield
        finally:
            self.settings_dict, self._version = shared, before

    def winning_version(self) -> SecretValue | None:
        """The version that logs in at this moment, found by logging in once and leaving again."""
        wanted = self.wanted
        if wanted is None:
            return None

        def try_it(version: SecretValue) -> SecretValue:
            self._open(version).close()
            return version

        found: SecretValue = self.log_in(wanted, try_it)
        return found

    def _open(self, version: SecretValue) -> Any:
        before, self._version = self._version, version
        try:
            params = self.get_connection_params()
            with self.seen_with(version):
                return self._djangos_connection(params)
        finally:
            self._version = before

    def _djangos_connection(self, params: dict[str, Any]) -> Any:
        return super().get_new_connection(params)  # type: ignore[misc]

    def _params_of_current(self, wanted: Wanted) -> dict[str, Any]:
        try:
            with self.seen_with(self._current(wanted)):
                return super().get_connection_params()  # type: ignore[misc,no-any-return]
        except SmclientError as error:
            raise unreadable(wanted, error) from error

    def _current(self, wanted: Wanted) -> SecretValue:
        try:
            return clients[wanted.alias].get(wanted.secret_id)
        except SmclientError as error:
            raise unreadable(wanted, error) from error


class _Seen(dict[str, Any]):
    """An entry of ``DATABASES`` with the credentials in it. Knows no other secret."""

    def __init__(self, entry: dict[str, Any], wanted: Wanted) -> None:
        super().__init__(entry)
        self.pop("SECRET", None)  # what Django makes of this dict logs in with what is in it
        self.wanted = wanted

    def __repr__(self) -> str:
        return f"<settings.DATABASES[{self.wanted.database!r}] with its secret>"


class RotatingClientMixin:
    """``manage.py dbshell`` with the credentials that log in at this moment."""

    connection: Any

    def runshell(self, parameters: Any) -> None:
        """Django's, on a connection that shows those credentials; the password goes through the
        environment, as Django does it."""
        with self.connection.seen_with(self.connection.winning_version()):
            super().runshell(parameters)  # type: ignore[misc]


def unreadable(wanted: Wanted, error: SmclientError) -> Exception:
    """A database whose secret cannot be read is not to be reached just now, or not configured."""
    sentence = told(wanted.where, error)
    passing = isinstance(error, TransientError | LoginHeldBackError)
    return OperationalError(str(sentence)) if passing else sentence
