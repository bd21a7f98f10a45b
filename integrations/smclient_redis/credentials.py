"""``SecretCredentials``: redis-py logs in with what a secret says, through a rotation."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

import redis
from redis.backoff import NoBackoff
from redis.credentials import StreamingCredentialProvider
from redis.retry import Retry

from smclient import SecretsClient, SecretValue
from smclient.drivers import login_arguments
from smclient.hooks import SecretEvent, Subscription
from smclient.shared import default_client
from smclient_redis.streaming import Listener, Listeners, Login

Check = Callable[[SecretValue], object]


class SecretCredentials(StreamingCredentialProvider):
    """A credential provider for redis-py, sync and asyncio, and all that is built on it: kombu and
    Celery, django-redis, Flask-Session.

    For each new connection the versions of the secret are tried as in ``SecretsClient.connect``,
    until the server takes one; redis-py then logs in with that. So a rotation fails no connection,
    for the price of a short second connection beside each new one.

    Open connections follow, too: when AWSCURRENT is seen to move, a login that the server takes is
    found and passed to redis-py. Idle connections re-authenticate at once, those in use when they
    come back to their pool. So they live on when the old user is deleted later (alternating users);
    Redis by itself cuts none when a password changes. Subscribed connections can do so with RESP3
    only. It needs a ``Redis`` object that is given this provider and kept.

    Args:
        client: reads the secret; without one, that of the process for the ``SMCLIENT_…`` variables:
            kombu makes a provider for each of its channels.
        secret_id: a JSON secret with ``username`` and ``password``; without ``username``, the
            default user's. A subclass may name it as an attribute: Celery's URLs take a class.
        check: called with a version, raises ``redis.AuthenticationError`` if the server refuses it.
            Default: a connection to ``host`` and ``port`` of the secret.
        connection: what that connection needs beside, over the secret's: ``host``, ``port``,
            ``ssl=True``, ….

    Raises:
        TypeError: nothing names the secret.
    """

    secret_id: ClassVar[str] = ""
    connection: ClassVar[dict[str, Any]] = {}

    def __init__(
        self,
        client: SecretsClient | None = None,
        secret_id: str = "",
        *,
        check: Check | None = None,
        **connection: Any,
    ) -> None:
        self._secret_id = secret_id or self.secret_id
        if not self._secret_id:
            raise TypeError("SecretCredentials needs the name of a secret")
        self._given = client
        self._connection = {**self.connection, **connection}
        self._check = check or self._log_in_once
        self._listeners = Listeners()
        self._subscription: Subscription | None = None
        self._subscribed_to: SecretsClient | None = None

    @property
    def client(self) -> SecretsClient:
        """The client that reads the secret: a shared one is another once somebody closed it."""
        return self._given or default_client()

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """User and password, or the password of the default user.

        Raises:
            What ``SecretsClient.login`` raises; redis-py's own errors.
        """
        if self._subscription is not None:
            self._subscribe()
        return self.client.login(self._secret_id, self._try, fields=("username", "password"))

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        """The same, off the event loop."""
        self._listeners.seen_on_loop()
        return await asyncio.to_thread(self.get_credentials)

    # --- what redis-py asks of a provider that streams ------------------------------------------

    def on_next(self, callback: Listener) -> None:
        """Pass each new login to a pool; redis-py registers its pools by itself."""
        self._listeners.add(callback)
        self._subscribe()

    def on_error(self, callback: Callable[[Exception], None]) -> None:
        """Not used: what goes wrong is logged, and open connections stay logged in as they are."""

    def is_streaming(self) -> bool:
        """Whether new logins are passed on."""
        return self._subscription is not None

    def close(self) -> None:
        """Pass on no more logins. New connections still get theirs."""
        if self._subscription is not None:
            self._subscription.cancel()
            self._subscription = None

    # --- inside ---------------------------------------------------------------------------------

    def _subscribe(self) -> None:
        """Hear of rotations from the client of now, once."""
        client = self.client
        if self._subscription is None or self._subscribed_to is not client:
            self.close()
            self._subscribed_to = client
            self._subscription = client.on_rotate(_weakly(self._rotated))
            weakref.finalize(self, self._subscription.cancel)

    def _rotated(self, event: SecretEvent) -> None:
        current = self.client.peek(self._secret_id)
        if current is None or current.version_id == event.new_version_id:
            self._listeners.tell(Login(self.get_credentials()))

    def _try(self, value: SecretValue) -> tuple[str] | tuple[str, str]:
        self._check(value)
        arguments = login_arguments(value, _login_fields(value), (), {})
        if "username" in arguments:
            return str(arguments["username"]), str(arguments["password"])
        return (str(arguments["password"]),)

    def _log_in_once(self, value: SecretValue) -> None:
        mapping = {**_login_fields(value), "host": "host", "port": "port"}
        arguments = login_arguments(value, mapping, (), self._connection)
        connection = redis.Redis(**arguments, retry=Retry(NoBackoff(), 0))
        try:
            connection.ping()
        finally:
            connection.close()


def _weakly(callback: Callable[[SecretEvent], object]) -> Callable[[SecretEvent], object]:
    """The same, as long as its object lives: the client may outlive it."""
    alive = weakref.WeakMethod(callback)

    def call(event: SecretEvent) -> None:
        found = alive()
        if found is not None:
            found(event)

    return call


def _login_fields(value: SecretValue) -> dict[str, str]:
    names = ("username", "password") if value.fields.get("username") else ("password",)
    return {name: name for name in names}
