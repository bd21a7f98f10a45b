"""Keys that sign tokens: ``SigningKey``. A new key signs only after everybody had time to learn it.

Verifiers read AWSCURRENT, AWSPENDING and AWSPREVIOUS (or what ``publish`` puts where they look) and
keep it for up to ``ttl`` seconds. Whoever signs uses AWSCURRENT. So AWSPENDING becomes current no
sooner than ``ttl`` after it was made.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from smclient.clock import SYSTEM_CLOCK, Clock
from smclient.errors import ConfigError, RotationStepError
from smclient.rotation.function import Rotation, RotationFunction

ALGORITHMS = ("EdDSA", "ES256", "RS256", "HS256")
_MARGIN = 5.0  # seconds of a Lambda call that are left for the step itself
_PROBE = b"smclient signing key test"


class SigningKey(RotationFunction):
    """Rotates a signing key.

    Secret: ``{"kid", "algorithm", "private_key", "public_key", "not_before"}``, keys in PEM; for
    HS256 ``secret`` (base64url) in place of the two. Other keys of the secret are kept.

    Args:
        ttl: seconds for which verifiers keep the keys they know.
        algorithm: ``EdDSA``, ``ES256``, ``RS256`` or ``HS256``.
        publish: called in setSecret with the rotation, to tell verifiers the pending key.
        max_wait: how long finishSecret waits by itself; past that it fails, saying when it will
            succeed, and Secrets Manager tries again. In AWS Lambda no longer than the call lasts.

    Raises:
        ConfigError: no such algorithm, or a negative time.
    """

    def __init__(
        self,
        *,
        ttl: float = 300.0,
        algorithm: str = "EdDSA",
        publish: Callable[[Rotation], None] | None = None,
        max_wait: float = 600.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__()
        if algorithm not in ALGORITHMS:
            raise ConfigError(f"no algorithm {algorithm!r}; there are {', '.join(ALGORITHMS)}")
        if ttl < 0 or max_wait < 0:
            raise ConfigError("ttl and max_wait are seconds, and not negative")
        self._ttl = ttl
        self._algorithm = algorithm
        self._publish = publish
        self._max_wait = max_wait
        self._clock = clock

    def new_value(self, rotation: Rotation) -> Mapping[str, Any]:
        """A new key, and from when on it may sign."""
        kept = dict(rotation.current().json())
        for name in ("private_key", "public_key", "secret"):
            kept.pop(name, None)
        ready = self._clock.now() + timedelta(seconds=self._ttl)
        return {**kept, **_new_key(self._algorithm), "not_before": ready.isoformat()}

    def set_value(self, rotation: Rotation) -> None:
        """Tell verifiers, where they do not read the secret themselves."""
        rotation.the_pending()
        if self._publish is not None:
            self._publish(rotation)

    def test_value(self, rotation: Rotation) -> None:
        """Sign something, and verify it."""
        try:
            _sign_and_verify(rotation.the_pending().fields)
        except (KeyError, TypeError, ValueError) as error:
            name = type(error).__name__
        else:
            return
        raise RotationStepError(f"secret {rotation.arn}: the pending key cannot sign ({name})")

    def before_finish(self, rotation: Rotation) -> None:
        """Wait until every verifier had one TTL to learn the key."""
        wait = (self._ready(rotation) - self._clock.now()).total_seconds()
        if wait <= 0:
            return
        most = self._max_wait
        if rotation.seconds_left is not None:
            most = min(most, rotation.seconds_left - _MARGIN)
        if wait > most:
            raise RotationStepError(
                f"secret {rotation.arn}: verifiers may not know the pending key yet; it can become "
                f"current in {wait:.0f} s, and this call waits {max(most, 0):.0f} s at most"
            )
        self._clock.sleep(wait)

    def _ready(self, rotation: Rotation) -> datetime:
        try:
            return datetime.fromisoformat(str(rotation.the_pending()["not_before"]))
        except (KeyError, ValueError):
            raise RotationStepError(
                f"secret {rotation.arn}: the pending key does not say from when on it may sign "
                "(not_before)"
            ) from None


def _new_key(algorithm: str) -> dict[str, str]:
    if algorithm == "HS256":
        key = secrets.token_bytes(32)
        text = base64.urlsafe_b64encode(key).decode()
        kid = secrets.token_hex(8)  # not made from the key: a kid is public
        return {"kid": kid, "algorithm": algorithm, "secret": text}
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    private: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    if algorithm == "EdDSA":
        private = ed25519.Ed25519PrivateKey.generate()
    elif algorithm == "ES256":
        private = ec.generate_private_key(ec.SECP256R1())
    else:
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = private.public_key().public_bytes(
        form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo
    )
    pem = private.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    kid = hashlib.sha256(public).hexdigest()[:16]
    keys = {"private_key": pem.decode(), "public_key": public.decode()}
    return {"kid": kid, "algorithm": algorithm, **keys}


def _sign_and_verify(fields: Mapping[str, Any]) -> None:
    """Raises ``KeyError``, ``TypeError`` or ``ValueError`` unless the key is whole."""
    algorithm = str(fields["algorithm"])
    if algorithm == "HS256":
        if len(base64.urlsafe_b64decode(str(fields["secret"]))) < 32:
            raise ValueError("a key for HS256 has 32 bytes or more")
        return
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, padding

    private: Any = serialization.load_pem_private_key(str(fields["private_key"]).encode(), None)
    public: Any = serialization.load_pem_public_key(str(fields["public_key"]).encode())
    how: tuple[Any, ...] = {
        "EdDSA": (),
        "ES256": (ec.ECDSA(hashes.SHA256()),),
        "RS256": (padding.PKCS1v15(), hashes.SHA256()),
    }[algorithm]
    try:
        public.verify(private.sign(_PROBE, *how), _PROBE, *how)
    except InvalidSignature:
        raise ValueError("the two keys are not a pair") from None
