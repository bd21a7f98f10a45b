"""PostgreSQL's password verifiers, made on this side so that no server log sees a password.

A verifier is what the server would have stored itself: RFC 5802 and RFC 7677 for SCRAM, with the
password prepared by RFC 4013 where it can be, as libpq does.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import stringprep
import unicodedata
from base64 import b64encode

ITERATIONS = 4096

_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,
)


def scram_sha_256(password: str, salt: bytes | None = None) -> str:
    """The verifier for SCRAM-SHA-256, with a random salt unless one is given."""
    salt = os.urandom(16) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", _prepared(password), salt, ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    shown = [b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${ITERATIONS}:{shown[0]}${shown[1]}:{shown[2]}"


def md5(password: str, username: str) -> str:
    """The verifier of servers that know no SCRAM: Redshift, and PostgreSQL where it is set so."""
    digest = hashlib.md5((password + username).encode(), usedforsecurity=False)
    return "md5" + digest.hexdigest()


def _prepared(password: str) -> bytes:
    """SASLprep, or the text as it is where that is not possible."""
    mapped = "".join(
        " " if stringprep.in_table_c12(c) else c for c in password if not stringprep.in_table_b1(c)
    )
    normal = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    if not normal or any(check(c) for check in _PROHIBITED for c in normal) or _mixed(normal):
        return password.encode()
    return normal.encode()


def _mixed(text: str) -> bool:
    """Whether it breaks the rule for text that runs from right to left."""
    if not any(stringprep.in_table_d1(c) for c in text):
        return False
    ends = stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])
    return not ends or any(stringprep.in_table_d2(c) for c in text)
