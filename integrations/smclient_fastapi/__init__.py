"""FastAPI and Starlette: a client in the lifespan, secrets as dependencies, sessions that last."""

from smclient_fastapi.dependency import Secret, SecretUnavailableError
from smclient_fastapi.fresh import FreshSecretsMiddleware
from smclient_fastapi.lifespan import SecretStartError, client_of, lifespan
from smclient_fastapi.sessions import KeyRingSessionMiddleware

__all__ = [
    "FreshSecretsMiddleware",
    "KeyRingSessionMiddleware",
    "Secret",
    "SecretStartError",
    "SecretUnavailableError",
    "client_of",
    "lifespan",
]
