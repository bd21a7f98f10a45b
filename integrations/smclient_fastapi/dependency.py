"""``Secret``: a dependency that gives what a reference says now.

Annotations are objects here, not text: older FastAPIs do not resolve those of a callable object.
"""

import logging
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from smclient import SmclientError
from smclient.fresh import note
from smclient.references import parse, shown
from smclient.remedies import with_remedy
from smclient_fastapi.fresh import freshen
from smclient_fastapi.lifespan import client_of

logger = logging.getLogger("smclient")


class SecretUnavailableError(HTTPException):
    """A request needs a secret that cannot be read. The answer is 503 and names nothing; the log
    names the reference and what to do."""


class Secret:
    """``key: Annotated[str, Depends(Secret("secret://prod/app#api_key"))]``, for requests and
    websockets. In Starlette: ``await Secret("…")(request)``.

    Args:
        reference: any reference, or a name and a key.
        key: one key of the JSON.

    Raises:
        InvalidReferenceError: at once, for a bad reference.
        SecretUnavailableError: when it is used. ConfigError: then too, without our lifespan.
    """

    def __init__(self, reference: str, key: str | None = None) -> None:
        text = reference if ":" in reference else f"secret://{reference}"
        if key is not None:
            quoted = key.replace("%", "%25").replace("#", "%23").replace("?", "%3F")
            text = f"{text}#{quoted}"
        self.reference = parse(text)

    async def __call__(self, connection: HTTPConnection) -> Any:
        """The value of this moment; does not wait where the client holds it within its ttl."""
        client = client_of(connection)
        note(client.sync, self.reference.refs(), optional=self.reference.optional)
        await freshen(client)
        try:
            return await client.resolve(self.reference)
        except SmclientError as error:
            logger.error("%s: %s", self, with_remedy(error))
            raise SecretUnavailableError(503, "a secret that this needs cannot be read") from error

    def __repr__(self) -> str:
        return f"Secret({shown(self.reference)!r})"
