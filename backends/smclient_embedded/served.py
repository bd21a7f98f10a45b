"""A service over HTTP for the length of a test: a free port, a thread, a key pair."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from smclient_embedded.http import server
from smclient_embedded.http.app import HttpApp, HttpSettings
from smclient_embedded.http.keys import AccessKeys
from smclient_embedded.http.sigv4 import AccessKey
from smclient_embedded.service import EmbeddedService

ACCESS_KEY = "AKIASMCLIENTTESTS000"
SECRET_KEY = "smclient-tests-secret-access-key"  # noqa: S105  for a server that lives for one test
WORKERS = 4


@dataclass(frozen=True, slots=True)
class ServedService:
    """A running server and how it is reached."""

    endpoint: str
    region: str
    service: EmbeddedService
    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY

    @property
    def environment(self) -> dict[str, str]:
        """What any AWS SDK or the aws CLI needs to find it."""
        return {
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": self.region,
        }

    def client(self, **more: Any) -> Any:
        """An unmodified boto3 client; ``more`` is what ``boto3.client`` takes."""
        import boto3

        given = {
            "endpoint_url": self.endpoint,
            "region_name": self.region,
            "aws_access_key_id": self.access_key,
            "aws_secret_access_key": self.secret_key,
        }
        return boto3.Session().client("secretsmanager", **{**given, **more})


@contextlib.contextmanager
def served(service: EmbeddedService) -> Iterator[ServedService]:
    """Serve while the block runs. Signatures are verified; what is due is run every second.

    Raises:
        CannotListen: no server came up.
    """
    keys = AccessKeys()
    keys.add(AccessKey(ACCESS_KEY, SECRET_KEY, service.principal(), None))
    settings = HttpSettings(
        account=service.account,
        region=service.region,
        find_key=lambda access_key_id: keys.find(access_key_id) or service.find_key(access_key_id),
        open_session=service.open_session,
    )
    serving = server.Serving(background=service.run_in_background)
    with ThreadPoolExecutor(WORKERS, "smclient-door") as pool:
        app = HttpApp(service.door, settings, inline=lambda operation: False, pool=pool)
        with server.in_thread(app, server.listen("127.0.0.1", 0), serving) as endpoint:
            yield ServedService(endpoint, service.region, service)
