"""``patch_boto3``: new botocore clients for Secrets Manager in this process use a service of ours.

One place is changed: ``botocore.session.Session.create_client``, which boto3's clients and sessions
of any age come through. While nothing is patched it is botocore's own again. Patches nest; the one
that began last counts, for all threads, whoever ends first. A client keeps the service that it was
made with. aiobotocore has a method of its own, which is left alone.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.session import Session

from smclient_embedded.http.wired import SERVICE, Answer, wire

_lock = threading.Lock()
_patches: tuple[_Patch, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Patch:
    answer_in: Callable[[str], Answer]
    region: str


@contextlib.contextmanager
def patched_boto3(answer_in: Callable[[str], Answer], *, region: str) -> Iterator[None]:
    """Wire every client for Secrets Manager that is made meanwhile.

    Args:
        answer_in: gives the answers of a region.
        region: that of clients for which none is configured.
    """
    patch = _Patch(answer_in, region)
    _begin(patch)
    try:
        yield
    finally:
        _end(patch)


def _begin(patch: _Patch) -> None:
    global _patches
    with _lock:
        if not _patches:
            _original.append(vars(Session)["create_client"])
            Session.create_client = _wrapped(_original[-1])
        _patches += (patch,)


def _end(patch: _Patch) -> None:
    global _patches
    with _lock:
        _patches = tuple(p for p in _patches if p is not patch)
        if not _patches:
            original = _original.pop()
            if getattr(vars(Session)["create_client"], "__wrapped__", None) is original:
                Session.create_client = original


_original: list[Callable[..., Any]] = []


class _Making(threading.local):
    """Whether this thread is making a client. Another library may put our wrapper back after we
    took it away; the next one goes round it then, and only the outer one wires."""

    client = False


_making = _Making()


def _wrapped(original: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(original)

    @functools.wraps(original)
    def create_client(self: Any, *args: Any, **kwargs: Any) -> Any:
        patches = _patches
        arguments = signature.bind(self, *args, **kwargs).arguments
        if not patches or arguments.get("service_name") != SERVICE or _making.client:
            return original(self, *args, **kwargs)
        patch = patches[-1]
        if arguments.get("region_name") is None:
            arguments["region_name"] = self.get_config_variable("region") or patch.region
        if arguments.get("aws_access_key_id") is None:
            # real keys are not even looked for: that may ask the network, and signs nothing real
            arguments["aws_access_key_id"] = "AKIAEMBEDDED"
            arguments["aws_secret_access_key"] = "embedded"  # noqa: S105
            arguments["aws_session_token"] = None
        _making.client = True
        try:
            client = original(**arguments)
        finally:
            _making.client = False
        wire(client, patch.answer_in(client.meta.region_name))
        return client

    return create_client
