"""The base of every rotation function: checks, order and labels once; a strategy fills in the rest.

    class MyFunction(RotationFunction):
        def new_value(self, rotation): ...      # createSecret: the next value
        def set_value(self, rotation): ...      # setSecret: make it valid where it is used
        def test_value(self, rotation): ...     # testSecret: prove that it is

Secrets Manager calls it with ``{"Step", "SecretId", "ClientRequestToken"}``, once for each step,
and again from the start after a failure; so every step may find its work done already.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smclient.backend import Backend, load_backend
from smclient.errors import ResourceExistsError, ResourceNotFoundError, RotationStepError
from smclient.rotation.passwords import PasswordRules
from smclient.secret import (
    AWSCURRENT,
    AWSPENDING,
    AWSPREVIOUS,
    SecretDescription,
    SecretRef,
    SecretValue,
)

logger = logging.getLogger("smclient.rotation")

ENDPOINT = "SECRETS_MANAGER_ENDPOINT"
_STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")


@dataclass(frozen=True, slots=True)
class Rotation:
    """One rotation of one secret, as a step sees it.

    Attributes:
        secrets: Secrets Manager, with the rights of the function.
        token: the ClientRequestToken, which is also the id of the pending version.
        seconds_left: until AWS Lambda ends this call; ``None`` where nobody does.
    """

    secrets: Backend
    arn: str
    token: str
    seconds_left: float | None = None

    def current(self) -> SecretValue:
        """The value that holds now. Raises ``ResourceNotFoundError`` if the secret has none."""
        return self.secrets.fetch(SecretRef(self.arn)).value

    def pending(self) -> SecretValue | None:
        """The value of this rotation, once createSecret stored it."""
        return self._optional(SecretRef(self.arn, AWSPENDING, self.token))

    def previous(self) -> SecretValue | None:
        """The value before the current one, if there is one."""
        return self._optional(SecretRef(self.arn, AWSPREVIOUS))

    def the_pending(self) -> SecretValue:
        """The value of this rotation. Raises ``RotationStepError`` before createSecret."""
        value = self.pending()
        if value is None:
            raise RotationStepError(f"secret {self.arn}: createSecret has stored no value yet")
        return value

    def expect_pending(self) -> None:
        """Look once more, right before something is changed for good that only a pending value may
        be set to.

        Raises:
            RotationStepError: the rotation was cancelled, settled or finished meanwhile.
        """
        if not _has_work(self, self.secrets.describe(self.arn).value):
            raise RotationStepError(
                f"secret {self.arn}: version {self.token} became AWSCURRENT while this step ran"
            )

    def random_password(self, rules: PasswordRules) -> str:
        """A password by these rules, from GetRandomPassword."""
        answer = self.secrets.call("GetRandomPassword", rules.parameters()).value
        return str(answer["RandomPassword"])

    def _optional(self, ref: SecretRef) -> SecretValue | None:
        try:
            return self.secrets.fetch(ref).value
        except ResourceNotFoundError:
            return None


class RotationFunction:
    """A rotation function: an instance is the handler, ``handler(event, context)``.

    It reaches Secrets Manager through ``context.secrets`` where the embedded service calls it, else
    through boto3 at ``SECRETS_MANAGER_ENDPOINT``, as AWS's own functions do.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._own_backend: Backend | None = None

    # --- what a strategy says -------------------------------------------------------------------

    def new_value(self, rotation: Rotation) -> Mapping[str, Any] | str | bytes:
        """The next value: a mapping is stored as JSON. Called once for a rotation."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to make a new value")

    def set_value(self, rotation: Rotation) -> None:
        """Make the pending value valid where it is used. May find that it is already."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to set a value")

    def test_value(self, rotation: Rotation) -> None:
        """Raise unless the pending value works."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to test a value")

    def before_finish(self, rotation: Rotation) -> None:
        """Raise, or wait, until the pending value may become the current one. By default it may."""

    def works(self, rotation: Rotation, value: SecretValue) -> bool:
        """Whether a version is accepted where it is used. Only ``settle`` asks."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to tell what works")

    def discard_value(self, rotation: Rotation, value: SecretValue) -> None:
        """Take back what createSecret or setSecret did for a pending value that is given up. Only
        ``settle`` asks; by default there is nothing to take back."""

    # --- the four steps -------------------------------------------------------------------------

    def __call__(self, event: Mapping[str, Any], context: Any = None) -> None:
        """Do one step.

        Raises:
            RotationStepError: the event or the state of the secret does not allow the step.
            SmclientError: Secrets Manager refused; or whatever the strategy raises.
        """
        step, rotation = self._read(event, context)
        described = rotation.secrets.describe(rotation.arn).value
        if not _has_work(rotation, described):
            logger.info("%s: %s is AWSCURRENT already", step, rotation.token)
            return
        if step == "createSecret":
            self._create(rotation)
        elif step == "setSecret":
            self.set_value(rotation)
        elif step == "testSecret":
            self.test_value(rotation)
        else:
            rotation.the_pending()  # an empty version must never become current
            self.before_finish(rotation)
            _finish(rotation, described)
        logger.info("%s: done for version %s of %s", step, rotation.token, rotation.arn)

    def settle(
        self, secret_id: str, secrets: Backend | None = None, *, force: bool = False
    ) -> str | None:
        """End a rotation that was abandoned (cancelled, or its function is gone), so that
        RotateSecret is taken again. For people and programs; Secrets Manager never calls it.

        A pending value that is in force where it is used becomes the current one: to drop it would
        lose the login. Otherwise AWSPENDING is taken off its version, if the current value works.

        Call CancelRotateSecret first, and wait as long as one call of the function may last: a
        setSecret that still ran would set the password of a value that was given up.

        Args:
            force: settle though rotation is on; for whoever knows that the function does not run.

        Returns:
            ``finished``, ``discarded``, or ``None`` if no rotation was pending.

        Raises:
            RotationStepError: rotation is on, or neither value works, so neither can be chosen.
        """
        backend = secrets or self._backend()
        described = backend.describe(secret_id).value
        token = described.version_at(AWSPENDING)
        if token is None or token == described.version_at(AWSCURRENT):
            return None
        if described.rotation_enabled and not force:
            raise RotationStepError(
                f"secret {described.arn}: its rotation is on, so its function may be about to set "
                "the pending value; call CancelRotateSecret, wait as long as one call of the "
                "function may last, then settle (or settle(..., force=True) if it runs no more)"
            )
        rotation = Rotation(backend, described.arn, token)
        pending = rotation.pending()
        done = "discarded" if pending is None else self._decide(rotation, pending, described)
        _move(rotation, AWSPENDING, None, token)
        logger.info("the abandoned rotation %s of %s is %s", token, described.arn, done)
        return done

    def _decide(
        self, rotation: Rotation, pending: SecretValue, described: SecretDescription
    ) -> str:
        current = rotation.current()
        if self.works(rotation, current):
            if not pending.same_value(current):  # a test run's is a copy
                self.discard_value(rotation, pending)
            return "discarded"
        if not self.works(rotation, pending):
            raise RotationStepError(
                f"secret {described.arn}: neither AWSCURRENT nor AWSPENDING is accepted where it "
                "is used, so the abandoned rotation can be neither finished nor discarded; set the "
                "password to the one of AWSCURRENT and try again"
            )
        _finish(rotation, described)
        return "finished"

    def _create(self, rotation: Rotation) -> None:
        rotation.current()  # a secret without a current value cannot be rotated: say so now
        if rotation.pending() is not None:
            return
        value = self.new_value(rotation)
        member = "SecretBinary" if isinstance(value, bytes) else "SecretString"
        content = json.dumps(value) if isinstance(value, Mapping) else value
        parameters = {
            "SecretId": rotation.arn,
            "ClientRequestToken": rotation.token,
            "VersionStages": [AWSPENDING],
            member: content,
        }
        try:
            rotation.secrets.call("PutSecretValue", parameters)
        except ResourceExistsError:
            if rotation.pending() is None:
                raise
            # The step ran twice at once. The other's value is the one that counts, for both.

    def _read(self, event: Mapping[str, Any], context: Any) -> tuple[str, Rotation]:
        missing = [n for n in ("Step", "SecretId", "ClientRequestToken") if not event.get(n)]
        if missing:
            raise RotationStepError(
                f"the event lacks {', '.join(missing)}; this is a rotation function of Secrets "
                "Manager and is called by it"
            )
        step = str(event["Step"])
        if step not in _STEPS:
            raise RotationStepError(f"unknown step {step!r}; the steps are {', '.join(_STEPS)}")
        secrets = getattr(context, "secrets", None) or self._backend()
        left: Any = getattr(context, "get_remaining_time_in_millis", None)
        return step, Rotation(
            secrets,
            str(event["SecretId"]),
            str(event["ClientRequestToken"]),
            None if left is None else left() / 1000,
        )

    def _backend(self) -> Backend:
        """boto3 at the endpoint that Lambda's environment names, kept between calls."""
        with self._lock:
            if self._own_backend is None:
                endpoint = os.environ.get(ENDPOINT)
                self._own_backend = load_backend(
                    f"aws://?endpoint_url={endpoint}" if endpoint else "aws://"
                )
            return self._own_backend


def _has_work(rotation: Rotation, described: SecretDescription) -> bool:
    """Whether the step has anything to do, by the labels of the version.

    Raises:
        RotationStepError: rotation is off, or the version is not part of a rotation.
    """
    where = f"secret {rotation.arn}, version {rotation.token}"
    if described.rotation_enabled is False:
        raise RotationStepError(f"{where}: rotation is not enabled for this secret")
    stages = described.version_stages.get(rotation.token)
    if not stages:
        raise RotationStepError(f"{where}: there is no such version, or it has no staging label")
    if AWSCURRENT in stages:
        return False
    if AWSPENDING not in stages:
        raise RotationStepError(f"{where}: it is not AWSPENDING, so it cannot be rotated to")
    return True


def _finish(rotation: Rotation, described: SecretDescription) -> None:
    _move(rotation, AWSCURRENT, rotation.token, described.version_at(AWSCURRENT))


def _move(rotation: Rotation, stage: str, to: str | None, away: str | None) -> None:
    parameters = {"SecretId": rotation.arn, "VersionStage": stage}
    parameters |= {"MoveToVersionId": to} if to else {}
    parameters |= {"RemoveFromVersionId": away} if away else {}
    rotation.secrets.call("UpdateSecretVersionStage", parameters)
