"""GetSecretValue."""

from __future__ import annotations

from typing import Any

from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, Request
from smclient_embedded.finding import find_live_secret
from smclient_embedded.values import find_version, read_value, refuse_foreign_default_key


def get_secret_value(context: RequestContext, deps: Deps, request: Request) -> dict[str, Any]:
    """Read one version; AWSCURRENT unless named otherwise.

    Raises:
        ResourceNotFoundException, InvalidRequestException, DecryptionFailure
    """
    secret = find_live_secret(context, deps, request["SecretId"])
    labels = deps.tx.labels(secret.arn)
    version = find_version(deps, secret, labels, request)
    refuse_foreign_default_key(context, secret)
    return read_value(deps, secret, version, labels)
