"""Access keys and session tokens: how their secrets are kept, and how they are opened again.

The secret of an access key is kept sealed under the account's own key ``aws/secretsmanager``, so a
store or a backup of it holds no secret in clear, and changing the master key covers them.

A session is not kept at all: its token is the session, sealed in the same way. So sessions work on
every node, survive a restart, leave nothing behind when they end, and end at once if the role goes.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import string
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from smclient_embedded.context import Principal, Session
from smclient_embedded.errors import DecryptionFailure
from smclient_embedded.store.ports import Keyring
from smclient_embedded.store.records import Sealed

_ID_ALPHABET = string.ascii_uppercase + "234567"
_SECRET_ALPHABET = string.ascii_letters + string.digits + "+/"
_MOST_TOKEN = 16_384


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a caller signs with. ``session_token`` and ``expires_at`` belong to a session."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Under the names that AWS's SDKs read."""
        found = {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
        }
        if self.session_token is not None:
            found["AWS_SESSION_TOKEN"] = self.session_token
        return found


def new_key_pair(prefix: str) -> tuple[str, str]:
    """A random access key id, ``AKIA…`` or ``ASIA…``, and its secret."""
    return prefix + random_id(16), "".join(secrets.choice(_SECRET_ALPHABET) for _ in range(40))


def random_id(length: int) -> str:
    """Random capital letters and digits, as in AWS's unique ids."""
    return "".join(secrets.choice(_ID_ALPHABET) for _ in range(length))


def seal_secret(keys: Keyring, access_key_id: str, secret: str) -> str:
    """The secret of an access key as it is kept."""
    sealed = keys.seal(secret.encode(), key_id=None, context=_bound(access_key_id, "key"))
    return json.dumps(_sealed_fields(sealed), separators=(",", ":"))


def open_secret(keys: Keyring, access_key_id: str, kept: str) -> str:
    """What ``seal_secret`` sealed. Raises ``DecryptionFailure``."""
    sealed = _sealed(json.loads(kept), _bound(access_key_id, "key"))
    return keys.open(sealed).decode()


def seal_session(keys: Keyring, access_key_id: str, secret: str, principal: Principal) -> str:
    """The token of a session: all of it, sealed, bound to its access key id."""
    session = principal.session
    if session is None:
        raise ValueError("only a session has a token")
    content = {
        "secret": secret,
        "arn": principal.arn,
        "account": principal.account,
        "kind": principal.kind,
        "session": {
            "name": session.name,
            "source": session.source,
            "policies": session.policies,
            "grants": session.grants,
            "tags": session.tags,
            "issued_at": _stamp(session.issued_at),
            "expires_at": _stamp(session.expires_at),
            "source_id": session.source_id,
        },
    }
    text = json.dumps(content, separators=(",", ":")).encode()
    sealed = keys.seal(text, key_id=None, context=_bound(access_key_id, "session"))
    packed = json.dumps(_sealed_fields(sealed), separators=(",", ":")).encode()
    return base64.b64encode(packed).decode()


def open_session(keys: Keyring, access_key_id: str, token: str) -> tuple[Principal, str] | None:
    """The session of a token and its secret; ``None`` if this store did not make it so."""
    if len(token) > _MOST_TOKEN:
        return None
    try:
        fields = json.loads(base64.b64decode(token, validate=True))
        sealed = _sealed(fields, _bound(access_key_id, "session"))
        content = json.loads(keys.open(sealed))
    except (ValueError, TypeError, KeyError, RecursionError, binascii.Error, DecryptionFailure):
        return None
    held = content["session"]
    session = Session(
        name=held["name"],
        source=held["source"],
        policies=None if held["policies"] is None else tuple(held["policies"]),
        grants=tuple(held["grants"]),
        tags=tuple((key, value) for key, value in held["tags"]),
        issued_at=_moment(held["issued_at"]),
        expires_at=_moment(held["expires_at"]),
        source_id=held["source_id"],
    )
    principal = Principal(content["arn"], content["account"], content["kind"], session)
    return principal, content["secret"]


def _bound(access_key_id: str, kind: str) -> dict[str, str]:
    return {"AccessKeyId": access_key_id, "Kind": kind}


def _sealed_fields(sealed: Sealed) -> dict[str, str]:
    return {
        "k": sealed.key_id,
        "w": base64.b64encode(sealed.wrapped_key).decode(),
        "n": base64.b64encode(sealed.nonce).decode(),
        "c": base64.b64encode(sealed.ciphertext).decode(),
    }


def _sealed(fields: dict[str, Any], context: dict[str, str]) -> Sealed:
    return Sealed(
        key_id=str(fields["k"]),
        wrapped_key=base64.b64decode(fields["w"]),
        nonce=base64.b64decode(fields["n"]),
        ciphertext=base64.b64decode(fields["c"]),
        context=context,
    )


def _stamp(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
