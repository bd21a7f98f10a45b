"""AWS's quotas of an account and region: pure checks over counts, and optional request rates.

The length of values (65,536 bytes), of policies (20,480 characters) and of one request's lists is
in botocore's model and checked with it (``model.py``); what is here needs to know what is there.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from smclient.errors import ConfigError
from smclient_embedded.errors import (
    InvalidParameterException,
    LimitExceededException,
    ThrottlingException,
)
from smclient_embedded.store.records import Scope, VersionRecord

RATE_EXCEEDED = "Rate exceeded"


@dataclass(frozen=True, slots=True)
class Quotas:
    """How many of a thing there may be. The defaults are AWS's, which cannot be raised there.

    Attributes:
        secrets: secrets in an account and region, those marked for deletion included.
        versions: versions of a secret.
        fresh: how long a version is safe from being pruned.
        labels: staging labels of a secret, over all its versions.
        tags: tags of a secret.
    """

    secrets: int = 500_000
    versions: int = 100
    fresh: timedelta = timedelta(hours=24)
    labels: int = 20
    tags: int = 50

    def check_room(self, *, full: bool) -> None:
        """Refuse one more secret where an account has all it may have.

        Raises:
            LimitExceededException
        """
        if full:
            raise LimitExceededException(
                f"You've reached the limit of {self.secrets} secrets for this account in this "
                "Region."
            )

    def check_labels(self, labels: Collection[str]) -> None:
        """Refuse more staging labels than a secret may have. Raises ``LimitExceededException``."""
        if len(labels) > self.labels:
            raise LimitExceededException(
                f"You can't attach more than {self.labels} staging labels to a secret."
            )

    def check_tags(self, tags: Collection[Any]) -> None:
        """Refuse more tags than a secret may have. Raises ``InvalidParameterException``, since
        TagResource has no LimitExceededException in the model."""
        if len(tags) > self.tags:
            raise InvalidParameterException(
                f"You can't attach more than {self.tags} tags to a secret."
            )

    def surplus(
        self, versions: Sequence[VersionRecord], labelled: Collection[str], now: datetime
    ) -> list[str]:
        """The versions to remove so that a secret keeps within its quota: the oldest without a
        label, none younger than ``fresh``.

        Raises:
            LimitExceededException: too many are labelled or fresh.
        """
        over = len(versions) - self.versions
        if over <= 0:
            return []
        removable = [
            version.version_id
            for version in sorted(versions, key=lambda version: version.created_at)
            if version.version_id not in labelled and version.created_at <= now - self.fresh
        ]
        if len(removable) < over:
            raise LimitExceededException(
                f"You've reached the limit of {self.versions} versions for this secret. Versions "
                "without a staging label are removed once they are 24 hours old."
            )
        return removable[:over]


# --- request rates --------------------------------------------------------------------------------

RATES: dict[tuple[str, ...], float] = {
    ("GetSecretValue",): 10_000,
    ("DescribeSecret",): 40_000,
    ("BatchGetSecretValue",): 100,
    ("ListSecrets",): 100,
    ("CreateSecret",): 50,
    ("DeleteSecret",): 50,
    ("RestoreSecret",): 50,
    ("GetRandomPassword",): 50,
    ("ListSecretVersionIds",): 50,
    (
        "PutSecretValue",
        "UpdateSecret",
        "UpdateSecretVersionStage",
        "ReplicateSecretToRegions",
        "RemoveRegionsFromReplication",
        "StopReplicationToReplica",
        "AssociateCrossAccountReplica",
        "DisassociateCrossAccountReplica",
    ): 50,
    ("RotateSecret", "CancelRotateSecret"): 50,
    ("TagResource", "UntagResource"): 50,
    (
        "GetResourcePolicy",
        "PutResourcePolicy",
        "DeleteResourcePolicy",
        "ValidateResourcePolicy",
        "ListResourcePolicies",
    ): 50,
}
"""Requests a second by the operations that share them. AWS does not say where the two of
cross-account replicas belong; they are put beside the other operations of replication."""

_GROUP_OF = {operation: group for group in RATES for operation in group}


class RateLimits:
    """Token buckets by account, region and group of operations. A bucket holds one second's worth;
    the caller's account pays.

    Args:
        changed: other rates than AWS's: operation to requests a second, for its whole group.

    Raises:
        ConfigError: an unknown operation, or a rate that is no positive number.
    """

    MOST_BUCKETS = 10_000

    def __init__(self, changed: Mapping[str, float] | None = None) -> None:
        self._rates = {group: float(rate) for group, rate in RATES.items()}
        for operation, rate in (changed or {}).items():
            if operation not in _GROUP_OF:
                raise ConfigError(f"rate_limits: there is no operation {operation!r}")
            if isinstance(rate, bool) or not isinstance(rate, int | float) or not rate > 0:
                raise ConfigError(f"rate_limits: {operation} needs a rate above 0, not {rate!r}")
            self._rates[_GROUP_OF[operation]] = float(rate)
        self._lock = threading.Lock()
        self._buckets: dict[tuple[Scope, tuple[str, ...]], tuple[float, float]] = {}

    def check(self, operation: str, scope: Scope, now: float) -> None:
        """Take a token for a call at ``now``, in monotonic seconds.

        Raises:
            ThrottlingException: there is none.
        """
        group = _GROUP_OF.get(operation)
        if group is None:
            return
        rate = self._rates[group]
        with self._lock:
            at, tokens = refill(self._buckets.get((scope, group)), rate, now)
            if tokens >= 1:
                self._keep((scope, group), (at, tokens - 1), now)
                return
            self._keep((scope, group), (at, tokens), now)
        raise ThrottlingException(RATE_EXCEEDED)

    def _keep(
        self, key: tuple[Scope, tuple[str, ...]], bucket: tuple[float, float], now: float
    ) -> None:
        if key not in self._buckets and len(self._buckets) >= self.MOST_BUCKETS:
            full = [
                (scope, group)
                for (scope, group), (at, _) in self._buckets.items()
                if now - at >= 1 / min(1.0, self._rates[group])
            ]
            for old in full or [next(iter(self._buckets))]:
                del self._buckets[old]
        self._buckets[key] = bucket


def refill(bucket: tuple[float, float] | None, rate: float, now: float) -> tuple[float, float]:
    """A bucket (when it was looked at, its tokens) at ``now``. A new one is full. A clock that was
    set back takes nothing out."""
    capacity = max(1.0, rate)
    if bucket is None:
        return now, capacity
    at, tokens = bucket
    return now, min(capacity, tokens + max(0.0, now - at) * rate)
