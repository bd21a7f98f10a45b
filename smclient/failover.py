"""One secret in several Regions: while its own Region does not answer, a replica of it is asked.

Only for no answer: a connection that fails, a time-out, a 5xx. A refusal is an answer, and so is a
throttle, so neither is ever taken to another Region. The word of a replica is weaker than that of
the primary: what it gives is taken, what it refuses (the secret may not be replicated, the policy
may name one Region) is not, since a lasting refusal would drop a value that is still good.

Secrets keep one identity: ids go out with the Region that is asked, answers come back with the
primary's. Replicas are read-only, so only reads go there. A replica may be some seconds behind.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from smclient.backend import Answer, Backend, Identity, Miss, fetch_newest, open_backend
from smclient.clock import SYSTEM_CLOCK, Clock
from smclient.errors import (
    BackendError,
    BackendUnavailableError,
    ConfigError,
    InternalServiceError,
    SmclientError,
    TransientError,
)
from smclient.forking import survive_fork
from smclient.secret import SecretDescription, SecretRef, SecretValue
from smclient.singleflight import fresh_copy

T = TypeVar("T")

RETRY_AFTER = 30.0
"""Seconds for which a primary that did not answer is left alone."""

UP = float("-inf")

NO_ANSWER = (BackendUnavailableError, InternalServiceError)
"""What another Region may be asked after; throttling is an answer."""

_READS = frozenset({"GetSecretValue", "DescribeSecret"})


class FailoverBackend:
    """A backend whose reads go to a replica's Region while the primary's does not answer.

    ``aws://eu-west-1?replica_regions=eu-central-1,us-east-1`` makes one. After a failure the
    replicas are asked first for ``RETRY_AFTER`` seconds; then one caller tries the primary again.

    Args:
        backends: the primary, then one for each replica's Region in order of preference; whatever
            ``SecretsClient`` takes.
        clock: where time comes from.

    Raises:
        ConfigError: there is no replica.
    """

    def __init__(self, *backends: str | Backend | Any, clock: Clock = SYSTEM_CLOCK) -> None:
        if len(backends) < 2:
            raise ConfigError("failover takes a primary and at least one replica's backend")
        self.members = tuple(open_backend(given, clock=clock) for given in backends)
        self._monotonic = clock.monotonic
        self._lock = threading.Lock()
        self._primary_down_until = UP
        self._regions: tuple[str, ...] | None = None
        survive_fork(self)

    def after_fork(self) -> None:
        """A lock of the child's own."""
        self._lock = threading.Lock()

    def fetch(self, ref: SecretRef) -> Answer[SecretValue]:
        """See ``Backend.fetch``."""
        return self._read(
            lambda backend, there: backend.fetch(_ref_in(ref, there)),
            lambda value, here: _value_in(value, here),
        )

    def fetch_newest(self, ref: SecretRef) -> Answer[SecretValue]:
        """Read past a cache that stands between a backend and the service."""
        return self._read(
            lambda backend, there: fetch_newest(backend)(_ref_in(ref, there)),
            lambda value, here: _value_in(value, here),
        )

    def fetch_many(
        self, secret_ids: Sequence[str]
    ) -> Answer[Mapping[str, SecretValue | SmclientError]]:
        """See ``Backend.fetch_many``. A refusal of one secret by a replica reads as no answer."""

        def ask(
            backend: Backend, there: str | None
        ) -> Answer[Mapping[str, SecretValue | SmclientError]]:
            asked = {_id_in(secret_id, there): secret_id for secret_id in secret_ids}
            answer = backend.fetch_many(list(asked))
            own = {asked[there_id]: result for there_id, result in answer.value.items()}
            return replace(answer, value=own)

        return self._read(ask, _batch_in)

    def describe(self, secret_id: str) -> Answer[SecretDescription]:
        """See ``Backend.describe``."""
        return self._read(
            lambda backend, there: backend.describe(_id_in(secret_id, there)),
            lambda told, here: replace(told, arn=_id_in(told.arn, here)),
        )

    def call(self, operation: str, parameters: Mapping[str, Any]) -> Answer[dict[str, Any]]:
        """See ``Backend.call``. All but GetSecretValue and DescribeSecret go to the primary."""
        if operation not in _READS or "SecretId" not in parameters:
            return self.members[0].call(operation, parameters)
        asked = str(parameters["SecretId"])
        return self._read(
            lambda backend, there: backend.call(
                operation, {**parameters, "SecretId": _id_in(asked, there)}
            ),
            lambda shape, here: {**shape, "ARN": _id_in(shape["ARN"], here)},
        )

    def identity(self) -> Identity:
        """The primary's."""
        return self.members[0].identity()

    def close(self) -> None:
        """Close every member."""
        for backend in self.members:
            backend.close()

    def __repr__(self) -> str:
        return f"FailoverBackend({', '.join(map(repr, self.members))})"

    # --- inside ---------------------------------------------------------------------------------

    def _read(
        self,
        ask: Callable[[Backend, str | None], Answer[T]],
        bring_home: Callable[[T, str], T],
    ) -> Answer[T]:
        """Ask the members in turn. ``ask`` gets a member and the Region that ids are to name
        (``None``: leave them); ``bring_home`` gives an answer the primary's Region."""
        missed: list[Miss] = []
        told: TransientError | None = None
        if self._primary_is_tried():
            try:
                return self._ask_primary(ask)
            except NO_ANSWER as error:
                told = error
                missed.append(self._miss(0, error))
        for position in range(1, len(self.members)):
            try:
                answer = ask(self.members[position], self._region(position))
            except BackendError as error:
                missed.append(self._miss(position, error))
                continue
            return Answer(
                bring_home(answer.value, self._region(0)),
                answer.attempts,
                region=self._region(position),
                missed=tuple(missed),
            )
        if told is None:  # the primary was left alone, and no replica could stand in
            try:
                return replace(self._ask_primary(ask), missed=tuple(missed))
            except NO_ANSWER as error:
                told = error
                missed.append(self._miss(0, error))
            except BackendError as error:  # a refusal, which the replicas' calls came before
                refusal = fresh_copy(error)
                refusal.attempts += sum(miss.attempts for miss in missed)
                raise refusal from error.__cause__
        others = [miss for miss in missed if miss.region != self._region(0)]
        refusals = ", ".join(f"{miss.region} said {miss.code}" for miss in others)
        raise type(told)(
            f"{told} (replicas: {refusals})",
            code=told.code,
            attempts=sum(miss.attempts for miss in missed),
        ) from told.__cause__

    def _ask_primary(self, ask: Callable[[Backend, str | None], Answer[T]]) -> Answer[T]:
        """An answer or a refusal means that it is back."""
        try:
            answer = ask(self.members[0], None)
        except NO_ANSWER:
            self._primary_down(until=self._monotonic() + RETRY_AFTER)
            raise
        except SmclientError:
            self._primary_down(until=UP)
            raise
        self._primary_down(until=UP)
        return answer

    def _primary_down(self, *, until: float) -> None:
        with self._lock:
            self._primary_down_until = until

    def _miss(self, position: int, error: BackendError) -> Miss:
        return Miss(self._region(position), error.attempts, error.code)

    def _region(self, position: int) -> str:
        if self._regions is None:
            self._regions = tuple(backend.identity().region for backend in self.members)
        return self._regions[position]

    def _primary_is_tried(self) -> bool:
        """Whether this call asks the primary first. Of many after a failure, one does."""
        if self._primary_down_until == UP:
            return True
        now = self._monotonic()
        with self._lock:
            if now < self._primary_down_until:
                return False
            self._primary_down_until = now + RETRY_AFTER
            return True


def _id_in(secret_id: str, region: str | None) -> str:
    """The same secret in another Region: a replica's ARN differs in nothing else."""
    parts = secret_id.split(":", 4)
    if region is None or parts[0] != "arn" or len(parts) < 5:
        return secret_id
    return ":".join((*parts[:3], region, parts[4]))


def _ref_in(ref: SecretRef, region: str | None) -> SecretRef:
    return replace(ref, secret_id=_id_in(ref.secret_id, region))


def _value_in(value: SecretValue, region: str) -> SecretValue:
    return SecretValue(
        arn=_id_in(value.arn, region),
        name=value.name,
        version_id=value.version_id,
        version_stages=value.version_stages,
        created_date=value.created_date,
        text=None if value.is_binary else value.text,
        binary=value.binary if value.is_binary else None,
    )


def _batch_in(
    found: Mapping[str, SecretValue | SmclientError], region: str
) -> Mapping[str, SecretValue | SmclientError]:
    return {
        asked: _value_in(result, region) if isinstance(result, SecretValue) else _weaker(result)
        for asked, result in found.items()
    }


def _weaker(refusal: SmclientError) -> SmclientError:
    """What a replica refuses, the primary may still grant: nothing is dropped for it."""
    if isinstance(refusal, TransientError):
        return refusal
    return BackendUnavailableError(
        f"the primary Region does not answer, and a replica's refused: {refusal}", attempts=0
    )
