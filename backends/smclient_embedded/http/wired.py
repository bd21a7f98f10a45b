"""A real botocore client whose HTTP layer is the service itself: no socket, no thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import botocore
import botocore.config
import botocore.session
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ConnectionClosedError

from smclient_embedded.http.json11 import WireAnswer

SERVICE = "secretsmanager"
NOWHERE = "http://embedded.invalid"

Answer = Callable[[str, bytes], WireAnswer]
"""Target and body to an answer."""


class _Body:
    """What botocore reads an answer from."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self) -> Iterator[bytes]:
        """The whole body in one piece."""
        yield self._content

    def read(self, *_: Any) -> bytes:
        """The whole body."""
        return self._content


def wired_client(service_name: str, answer: Answer, *, region: str) -> Any:
    """A botocore client for Secrets Manager that is answered by ``answer``.

    Requests are built, retried and parsed by botocore as usual. They are not signed: nobody would
    verify it, and it takes a third of a call.

    Raises:
        ValueError: another service is asked for.
    """
    if service_name != SERVICE:
        raise ValueError(f"the embedded service is secretsmanager, not {service_name!r}")
    client = botocore.session.Session().create_client(
        service_name,
        region_name=region,
        aws_access_key_id="AKIAEMBEDDED",  # else botocore looks for some, on the network, too
        aws_secret_access_key="embedded",  # noqa: S106  signs nothing
        endpoint_url=NOWHERE,
        config=botocore.config.Config(
            retries={"mode": "standard", "max_attempts": 1}, signature_version=botocore.UNSIGNED
        ),
    )

    wire(client, answer)
    return client


def wire(client: Any, answer: Answer) -> None:
    """Have a client's requests answered by ``answer`` instead of being sent.

    moto's handler, if there is one, is called after ours and would answer too, into a state of its
    own; so the request is given an address that is none of AWS's before it gets there.
    """

    def before_send(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        url, request.url = request.url, NOWHERE
        target = request.headers.get("X-Amz-Target", b"")
        text = target.decode() if isinstance(target, bytes) else target
        body = request.body if isinstance(request.body, bytes) else str(request.body or "").encode()
        answered = answer(text, body)
        if answered.dropped:
            raise ConnectionClosedError(endpoint_url=url)
        return AWSResponse(url, answered.status, dict(answered.headers), _Body(answered.body))

    client.meta.events.register_first(f"before-send.{SERVICE}", before_send)
