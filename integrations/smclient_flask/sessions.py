"""Sessions that outlive a rotation of their key."""

from __future__ import annotations

from typing import Any

from flask import Flask, Request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer
from itsdangerous.encoding import want_bytes

from smclient_flask.config import LiveConfig


class KeyRingSessionInterface(SecureCookieSessionInterface):
    """Flask's signed cookies, with the keys of the whole ring; where there is no ring, as Flask's.

    The current key signs. A cookie that fits no key makes the ring look once more before it is
    called bad: another worker may have signed it with a key that is newer than what this one holds.
    """

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Flask's, over keys that are within their ttl: a session is opened before all else."""
        if isinstance(app.config, LiveConfig):
            app.config.freshen()
        return super().open_session(app, request)

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """Flask's serializer, over the keys of this moment."""
        config = app.config
        if not isinstance(config, LiveConfig) or config.key_ring() is None:
            return super().get_signing_serializer(app)
        return _RingSerializer(config, self)


class _RingSerializer(URLSafeTimedSerializer):
    def __init__(self, config: LiveConfig, interface: SecureCookieSessionInterface) -> None:
        self._tried = config.session_keys()
        super().__init__(
            self._tried,  # type: ignore[arg-type]  # typed as all text or all bytes
            salt=interface.salt,
            serializer=interface.serializer,
            signer_kwargs={
                "key_derivation": interface.key_derivation,
                "digest_method": interface.digest_method,
            },
        )
        self._config = config

    def loads(self, s: str | bytes, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().loads(s, *args, **kwargs)
        except SignatureExpired:
            raise  # well signed: no other key would make it younger
        except BadSignature:
            ring = self._config.key_ring()
            if ring is None or not ring.look_again(self._tried):
                raise
        self.secret_keys = [want_bytes(key) for key in self._config.session_keys()]
        return super().loads(s, *args, **kwargs)
