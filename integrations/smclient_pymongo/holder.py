"""``MongoHolder`` and ``AsyncMongoHolder``: the MongoDB client of the newest login that works."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pymongo import AsyncMongoClient, MongoClient
from pymongo.errors import PyMongoError

from smclient import AsyncSecretsClient, SecretsClient, SecretValue, SmclientError
from smclient.clock import SYSTEM_CLOCK, Clock
from smclient.drivers import (
    Verdict,
    argument_fields,
    login_arguments,
    refuse_login_arguments,
    verdict,
)
from smclient_pymongo.shelf import Made, Shelf

T = TypeVar("T")
logger = logging.getLogger("smclient")

GRACE = 60.0
"""Seconds that a client which was taken with ``client`` stays open after the swap."""


class MongoHolder:
    """A ``MongoClient`` that is swapped for another when the secret's credentials move.

    PyMongo keeps the user and password that a client was made with, so the client itself changes.
    Each is logged in through the ladder of ``SecretsClient.login`` before anybody gets it.

    Args:
        client: reads the secret.
        secret_id: a JSON secret with ``username``, ``password``, ``host`` and ``port``.
        grace: seconds until a swapped-out client may be closed; work begun with ``run`` is always
            waited for. Closing is done by later uses, no thread waits for it.
        options: ``MongoClient``'s own, over the secret's; no user and no password.

    Raises:
        ConfigError: user or password among the options.
    """

    def __init__(
        self,
        client: SecretsClient,
        secret_id: str,
        *,
        grace: float = GRACE,
        clock: Clock = SYSTEM_CLOCK,
        **options: Any,
    ) -> None:
        refuse_login_arguments(secret_id, options, argument_fields(MongoClient, None))
        self._secrets, self._secret_id, self._options = client, secret_id, options
        self._shelf: Shelf[MongoClient[Any]] = Shelf(grace, clock.monotonic)
        self._swapping = threading.Lock()

    @property
    def client(self) -> MongoClient[Any]:
        """A client that is logged in. Take it anew for each use, and do not close it.

        Raises:
            What ``SecretsClient.login`` raises, if there is none yet; PyMongo's own errors.
        """
        return self._up_to_date().client

    def run(self, work: Callable[[MongoClient[Any]], T]) -> T:
        """``work(client)``. If the server refuses the login of a connection that this opens, the
        client is swapped and ``work`` is called once more; what it did before on a connection that
        was open already is then done twice, so keep it to one operation."""
        made = self._begin()
        try:
            return work(made.client)
        except PyMongoError as error:
            if verdict(error) is not Verdict.YES:
                raise
        finally:
            self._shelf.end(made)
        self._swap(instead_of=made)
        made = self._begin()
        try:
            return work(made.client)
        finally:
            self._shelf.end(made)

    def close(self) -> None:
        """Close all of them. A later use makes another."""
        for client in self._shelf.empty():
            client.close()

    def _begin(self) -> Made[MongoClient[Any]]:
        self._up_to_date()
        return self._shelf.begin() or self._begin()  # closed meanwhile: another one

    def _up_to_date(self) -> Made[MongoClient[Any]]:
        for client in self._shelf.over():
            client.close()
        made = self._shelf.current
        if made is None:
            return self._swap(instead_of=None)
        if not _is_behind(made, self._secrets.peek(self._secret_id)):
            return made
        if not self._swapping.acquire(blocking=False):
            return made  # another thread is at it; this one logged in, too
        try:
            return self._replace()
        except (PyMongoError, SmclientError) as error:
            _log(self._secret_id, error)
            return made
        finally:
            self._swapping.release()

    def _swap(self, instead_of: Made[MongoClient[Any]] | None) -> Made[MongoClient[Any]]:
        with self._swapping:
            made = self._shelf.current
            return made if made is not None and made is not instead_of else self._replace()

    def _replace(self) -> Made[MongoClient[Any]]:
        made = self._secrets.login(self._secret_id, self._log_in)
        made.settles_for(self._secrets.peek(self._secret_id))
        self._shelf.swap(made)
        return made

    def _log_in(self, value: SecretValue) -> Made[MongoClient[Any]]:
        mapping = argument_fields(MongoClient, None)
        client: MongoClient[Any] = MongoClient(**login_arguments(value, mapping, (), self._options))
        try:
            client.admin.command("ping")  # the login happens here
        except BaseException:
            client.close()
            raise
        return Made(client, {value.version_id})


class AsyncMongoHolder:
    """``MongoHolder`` for asyncio: an ``AsyncMongoClient``, on one event loop."""

    def __init__(
        self,
        client: AsyncSecretsClient,
        secret_id: str,
        *,
        grace: float = GRACE,
        clock: Clock = SYSTEM_CLOCK,
        **options: Any,
    ) -> None:
        refuse_login_arguments(secret_id, options, argument_fields(AsyncMongoClient, None))
        self._secrets, self._secret_id, self._options = client, secret_id, options
        self._shelf: Shelf[AsyncMongoClient[Any]] = Shelf(grace, clock.monotonic)
        self._swapping = asyncio.Lock()

    async def client(self) -> AsyncMongoClient[Any]:
        """See ``MongoHolder.client``."""
        return (await self._up_to_date()).client

    async def run(self, work: Callable[[AsyncMongoClient[Any]], Awaitable[T]]) -> T:
        """See ``MongoHolder.run``; ``work`` is awaited."""
        made = await self._begin()
        try:
            return await work(made.client)
        except PyMongoError as error:
            if verdict(error) is not Verdict.YES:
                raise
        finally:
            self._shelf.end(made)
        await self._swap(instead_of=made)
        made = await self._begin()
        try:
            return await work(made.client)
        finally:
            self._shelf.end(made)

    async def close(self) -> None:
        """See ``MongoHolder.close``."""
        for client in self._shelf.empty():
            await client.close()

    async def _begin(self) -> Made[AsyncMongoClient[Any]]:
        await self._up_to_date()
        return self._shelf.begin() or await self._begin()

    async def _up_to_date(self) -> Made[AsyncMongoClient[Any]]:
        for client in self._shelf.over():
            await client.close()
        made = self._shelf.current
        if made is None:
            return await self._swap(instead_of=None)
        if self._swapping.locked() or not _is_behind(made, self._secrets.peek(self._secret_id)):
            return made
        try:
            return await self._swap(instead_of=made)
        except (PyMongoError, SmclientError) as error:
            _log(self._secret_id, error)
            return made

    async def _swap(
        self, instead_of: Made[AsyncMongoClient[Any]] | None
    ) -> Made[AsyncMongoClient[Any]]:
        async with self._swapping:
            made = self._shelf.current
            if made is not None and made is not instead_of:
                return made
            made = await self._secrets.login(self._secret_id, self._log_in)
            made.settles_for(self._secrets.peek(self._secret_id))
            self._shelf.swap(made)
            return made

    async def _log_in(self, value: SecretValue) -> Made[AsyncMongoClient[Any]]:
        mapping = argument_fields(AsyncMongoClient, None)
        client: AsyncMongoClient[Any] = AsyncMongoClient(
            **login_arguments(value, mapping, (), self._options)
        )
        try:
            await client.admin.command("ping")
        except BaseException:
            await client.close()
            raise
        return Made(client, {value.version_id})


def _is_behind(made: Made[Any], current: SecretValue | None) -> bool:
    return current is not None and current.version_id not in made.versions


def _log(secret_id: str, error: BaseException) -> None:
    logger.error(
        "secret %s moved, and MongoDB gave no login: %s; the client before is used on",
        secret_id,
        type(error).__name__,
    )
