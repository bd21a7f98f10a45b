"""The client of an app: made when a worker starts, closed when it ends, kept in the app's state."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from starlette.requests import HTTPConnection

from smclient import AsyncSecretsClient, ClientConfig, ConfigError, SecretsClient, SmclientError
from smclient.fresh import note
from smclient.references import AnyReference, parse, shown
from smclient.remedies import with_remedy

STATE = "smclient"
Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]
AnyClient = SecretsClient | AsyncSecretsClient


class SecretStartError(ConfigError):
    """Secrets that the app needs from the start cannot be read; names each and what to do."""


def lifespan(
    client: AnyClient | None = None,
    *,
    warm: Iterable[str] = (),
    inner: Lifespan | None = None,
) -> Lifespan:
    """A lifespan for ``FastAPI(lifespan=…)`` or ``Starlette(lifespan=…)``.

    Args:
        client: used and left open; without one, each worker makes one from the ``SMCLIENT_…``
            variables of its environment and closes it.
        warm: references or names that are read in one batch before the first request.
        inner: another lifespan, which runs inside this one; what it yields is state too.

    Raises:
        InvalidReferenceError: at once, for a bad reference.
        SecretStartError: when the app starts, for secrets that cannot be read.
    """
    wanted = [_parsed(text) for text in warm]

    @asynccontextmanager
    async def run(app: Any) -> AsyncIterator[dict[str, Any]]:
        async with AsyncExitStack() as stack:
            found = as_async(client or SecretsClient.from_config(ClientConfig.from_env()))
            if client is None:
                stack.push_async_callback(found.close)
            await _warm(found, wanted)
            more = await stack.enter_async_context(inner(app)) if inner is not None else None
            yield {STATE: found, **(more or {})}

    return run


def client_of(connection: HTTPConnection) -> AsyncSecretsClient:
    """The client of the app that a request or websocket belongs to.

    Raises:
        ConfigError: the app has no ``lifespan`` of ours.
    """
    return client_in(connection.scope)


def client_in(scope: Any) -> AsyncSecretsClient:
    """The same, for middleware."""
    found = scope.get("state", {}).get(STATE)
    if not isinstance(found, AsyncSecretsClient):
        raise ConfigError(
            "this app has no secrets client; make it with lifespan=smclient_fastapi.lifespan(…), "
            "and in tests enter it: `with TestClient(app) as browser`"
        )
    return found


def as_async(client: AnyClient) -> AsyncSecretsClient:
    """The async face of a client; both share one cache."""
    if isinstance(client, AsyncSecretsClient):
        return client
    return AsyncSecretsClient(sync=client)


def _parsed(text: str) -> AnyReference:
    return parse(text if ":" in text else f"secret://{text}")


async def _warm(client: AsyncSecretsClient, wanted: list[AnyReference]) -> None:
    refs = [ref for reference in wanted for ref in reference.refs()]
    current = dict.fromkeys(ref.secret_id for ref in refs if ref.is_current)
    errors = (await client.preload(current)).errors if current else {}
    messages = []
    for reference in wanted:
        note(client.sync, reference.refs(), optional=reference.optional)
        known = [errors[ref.secret_id] for ref in reference.refs() if ref.secret_id in errors]
        if known and not reference.optional:
            messages.append(_told(reference, known[0]))
            continue
        try:
            await client.resolve(reference)
        except SmclientError as error:
            messages.append(_told(reference, error))
    if messages:
        raise SecretStartError("\n".join(messages))


def _told(reference: AnyReference, error: SmclientError) -> str:
    return f"{shown(reference)}: {with_remedy(error)}"
