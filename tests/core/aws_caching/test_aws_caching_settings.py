"""The names of AWS's caching library: config, client, hook."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import pytest

from smclient import NotBinaryError, NotTextError, ResourceNotFoundError, SecretsClient
from smclient.aws_caching import SecretCache, SecretCacheConfig
from smclient.testing import FakeBackend
from tests.core.aws_caching.conftest import CANARY


def test_the_options_are_theirs() -> None:
    """Names and defaults; the longest retry is ours."""
    assert vars(SecretCacheConfig()) == {
        "max_cache_size": 1024,
        "exception_retry_delay_base": 1,
        "exception_retry_growth_factor": 2,
        "exception_retry_delay_max": 60,
        "default_version_stage": "AWSCURRENT",
        "secret_refresh_interval": 3600,
        "secret_cache_hook": None,
    }
    assert isinstance(SecretCacheConfig().secret_refresh_interval, int)


def test_an_unknown_option_is_a_type_error() -> None:
    """By name."""
    with pytest.raises(TypeError, match="secret_refresh_intervall"):
        SecretCacheConfig(secret_refresh_intervall=3)


def test_a_client_may_be_a_boto3_client_a_url_or_ours(backend: FakeBackend) -> None:
    """What theirs takes, and more; ours is used as it is."""
    ours = SecretsClient(backend)
    assert SecretCache(client=ours).get_secret_string("text") == "one"
    boto3 = pytest.importorskip("boto3")
    theirs = boto3.client(
        "secretsmanager",
        region_name="eu-west-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    from botocore.stub import Stubber

    answer = {"ARN": backend.arn("x"), "Name": "x", "VersionId": "v" * 32, "SecretString": "stub"}
    with Stubber(theirs) as stub:
        stub.add_response(
            "get_secret_value", answer, {"SecretId": "x", "VersionStage": "AWSCURRENT"}
        )
        assert SecretCache(client=theirs).get_secret_string("x") == "stub"
    assert SecretCache(client="null://").get_secret_string("x")


class Marking:
    """A hook with a lock in it, which theirs cannot copy."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.puts = 0

    def put(self, obj: dict[str, Any]) -> dict[str, Any]:
        """Mark it as stored."""
        self.puts += 1
        return self._marked(obj, "+put")

    def get(self, cached_obj: dict[str, Any]) -> dict[str, Any]:
        """Mark it as handed out."""
        return self._marked(cached_obj, "+get")

    @staticmethod
    def _marked(obj: dict[str, Any], mark: str) -> dict[str, Any]:
        marked = dict(obj)
        if "SecretString" in marked:
            marked["SecretString"] += mark
        else:
            marked["SecretBinary"] += mark.encode()
        return marked


def test_a_hook_wraps_text_and_bytes(make_cache: Any, backend: FakeBackend) -> None:
    """Put once for a version, get at each read."""
    hook = Marking()
    cache = make_cache(secret_cache_hook=hook)
    for _ in range(3):
        assert cache.get_secret_string("text") == "one+put+get"
        assert cache.get_secret_binary("bin") == b"\x00\xff+put+get"
    assert hook.puts == 2
    backend.put("text", "two")
    cache.refresh_secret_now("text")
    assert cache.get_secret_string("text") == "two+put+get"
    assert hook.puts == 3


def test_a_hook_that_leaves_nothing_is_told(make_cache: Any) -> None:
    """Not None in silence."""

    class Empty(Marking):
        def get(self, cached_obj: dict[str, Any]) -> dict[str, Any]:
            return {}

    cache = make_cache(secret_cache_hook=Empty())
    with pytest.raises(NotTextError, match="hook left no SecretString"):
        cache.get_secret_string("text")
    with pytest.raises(NotBinaryError, match="hook left no SecretBinary"):
        cache.get_secret_binary("bin")


def test_nothing_shows_a_value(cache: SecretCache) -> None:
    """Neither the cache nor what it gives."""
    text = cache.get_secret_string("json")
    assert CANARY in text
    assert CANARY not in repr(cache)
    assert CANARY not in repr([text])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_forked_while_a_lock_is_held_reads_on(
    cache: SecretCache, backend: FakeBackend
) -> None:
    """Theirs stops for ever."""
    with pytest.raises(ResourceNotFoundError):
        cache.get_secret_string("none")  # so that the lock is needed
    ours, theirs = os.pipe()
    with cache._lock:
        child = os.fork()
        if child == 0:
            try:
                signal.alarm(10)
                os.write(theirs, cache.get_secret_string("text").encode())
            finally:
                os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as answer:
        assert answer.read() == b"one"
    os.waitpid(child, 0)
