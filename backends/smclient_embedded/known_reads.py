"""GetSecretValue asked once more: what the first answer found out, kept for as long as it holds.

Which secret is meant, whether the caller may read it and use its key, which version has the label,
what goes on record and into the answer: that comes out the same for the same caller and the same
body while the store is in one state, unless a policy asked for what is the call's own, such as its
time or the address it came from. So it is kept under the state of the store
(``Transaction.keep``), and what differs from call to call is done for each: the signature, the
session's end, opening the value, the records, the counts. The value is kept sealed.

Every client asks like this: the same few bytes, every time its cache is out of date.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from json.encoder import encode_basestring_ascii
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from smclient_embedded.audit.records import LONGEST_TEXT, event_time
from smclient_embedded.context import RequestContext
from smclient_embedded.gate import Call
from smclient_embedded.kms import NONCE_BYTES, KeyUse, bound_to
from smclient_embedded.master import MasterKeys
from smclient_embedded.model import json_text
from smclient_embedded.store.records import AuditRecord, Sealed, VersionRecord

GET_SECRET_VALUE = "GetSecretValue"  # noqa: S105  an operation
LARGEST_KEPT = 4096
"""How long a body, and how long a ciphertext may be, to be kept."""

_MEMBERS = {"string": "SecretString", "binary": "SecretBinary"}


def place_of(raw: bytes, context: RequestContext) -> Hashable:
    """What tells a read from others: its body as it came, who asks, and in which region."""
    return (GET_SECRET_VALUE, raw, context.principal, context.region, context.access_key_id)


@dataclass(frozen=True, slots=True)
class KnownRead:
    """What the first answer found out.

    Attributes:
        stamp: the state of the accounts that it was allowed by.
        kind, accessed_on, sealed: of the version that is read.
        key_use: how its data key was opened, ``wrapped`` that data key; ``bound`` is what the data
            key is authenticated with, and what the value is.
        text: the answer as JSON, up to the value.
        call_document, key_document: what went on record of the call and of the use of the key.
    """

    stamp: str
    kind: str
    accessed_on: date | None
    sealed: Sealed
    key_use: KeyUse
    wrapped: bytes
    bound: tuple[bytes, bytes]
    text: str
    call_document: Mapping[str, object]
    key_document: Mapping[str, object]

    def holds(self, context: RequestContext, now: datetime, stamp: str | None) -> bool:
        """Whether it is the answer now, in the same state of the store, with the accounts in the
        state ``stamp``: not where the caller's session is over, nor with the first read of a day,
        which sets LastAccessedDate."""
        session = context.principal.session
        ends = None if session is None else session.expires_at
        is_over = ends is not None and now >= ends
        return stamp == self.stamp and not is_over and self.accessed_on == now.date()

    def value(self, master: MasterKeys) -> bytes:
        """The value. Raises ``InvalidTag`` or ``MasterKeyError`` if it does not open."""
        key, sealed = self.key_use.key, self.sealed
        nonce, data_key = self.wrapped[:NONCE_BYTES], self.wrapped[NONCE_BYTES:]
        cipher = master.cipher(key.wrapped_material, key.arn)
        opened = cipher.decrypt(nonce, data_key, self.bound[0])
        return AESGCM(opened).decrypt(sealed.nonce, sealed.ciphertext, self.bound[1])

    def answer(self, value: bytes) -> bytes:
        """The answer as JSON."""
        if self.kind == "binary":
            shown = f'"{base64.b64encode(value).decode()}"'
        else:
            shown = encode_basestring_ascii(value.decode())
        return f"{self.text}{shown}}}".encode()

    def records(
        self, context: RequestContext, at: datetime, new_id: Callable[[], str]
    ) -> list[AuditRecord]:
        """What goes on record: the first answer's, with what is this call's own."""
        scope, when = context.scope, event_time(at)
        call = {
            **self.call_document,
            "eventTime": when,
            "sourceIPAddress": context.source_ip,
            "userAgent": context.user_agent[:LONGEST_TEXT],
            "requestID": context.request_id,
            "eventID": new_id(),
        }
        use = {**self.key_document, "eventTime": when, "eventID": new_id(), "requestID": new_id()}
        return [
            AuditRecord(str(call["eventID"]), scope, at, GET_SECRET_VALUE, call),
            AuditRecord(str(use["eventID"]), scope, at, self.key_use.action, use),
        ]


def known_read(
    call: Call,
    answer: Mapping[str, Any],
    touched: Sequence[VersionRecord],
    records: Sequence[AuditRecord],
) -> KnownRead | None:
    """What to keep of a call that was answered; ``None`` where the next one might come out
    otherwise, or has more to put on record than itself and one use of a key of its own account."""
    if (
        call.operation != GET_SECRET_VALUE
        or call.let_through
        or len(call.raw or b"") > LARGEST_KEPT
    ):
        return None
    stamp = next(iter(call.stamps)) if len(call.stamps) == 1 else None
    if stamp is None or len(touched) != 1 or len(call.key_uses) != 1 or len(records) != 2:
        return None
    (version,), (use,) = touched, call.key_uses
    sealed = version.sealed
    if sealed is None or len(sealed.ciphertext) > LARGEST_KEPT or use.refused is not None:
        return None
    wrapped = dict([*sealed.also, (sealed.key_id, sealed.wrapped_key)])[use.key.arn]
    shown = {name: member for name, member in answer.items() if name not in _MEMBERS.values()}
    text = f'{json_text(shown)[:-1]},"{_MEMBERS[version.kind]}":'
    own, of_key = (record.document for record in records)
    bound = bound_to(use.key.arn, sealed.context), bound_to(sealed.key_id, sealed.context)
    return KnownRead(
        stamp, version.kind, version.accessed_on, sealed, use, wrapped, bound, text, own, of_key
    )
