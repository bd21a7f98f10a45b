"""``aws://``: AWS Secrets Manager itself, over boto3.

boto3 is loaded at the first call, not when this package is imported and not when a URL is opened.
"""

from __future__ import annotations

from typing import Any

from smclient.backend import Backend, BackendUrl
from smclient.clock import Clock
from smclient.errors import ConfigError
from smclient.failover import FailoverBackend
from smclient_aws.backend import AwsBackend
from smclient_aws.errors import translated
from smclient_aws.settings import AwsSettings, replica_regions

__all__ = ["AwsBackend", "AwsSettings", "open_backend", "translated"]


def open_backend(url: BackendUrl, *, clock: Clock, client: Any = None) -> Backend:
    """Entry point of ``aws://``. Asks nobody and does not load boto3.

    Args:
        url: ``aws://`` or ``aws://REGION``, with the options that ``AwsSettings`` lists, and
            ``replica_regions=REGION,…`` to read from while that Region does not answer.
        clock: times how long a Region that did not answer is left alone. Signatures and
            credentials go by the machine's own time.
        client: a ready boto3 client, to use as it is; then the URL is a bare ``aws://``.

    Raises:
        UnknownSettingError: the URL has an option that there is not.
        ConfigError: Region, an option's value or a combination of options is wrong.
    """
    if client is None:
        settings, replicas = AwsSettings.from_url(url), replica_regions(url)
        if not replicas:
            return AwsBackend(settings.in_region(settings.region))
        regions = (settings.region, *replicas)
        members = [AwsBackend(settings.in_region(region)) for region in regions]
        return FailoverBackend(*members, clock=clock)
    if url.host or url.path or url.options:
        raise ConfigError(
            "a ready boto3 client brings its own Region and settings; "
            "give it with a bare aws://, or give the URL without a client"
        )
    return AwsBackend(client=client)
