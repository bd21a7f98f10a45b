"""The access keys that a server takes, and the file that a pair made for it is kept in."""

from __future__ import annotations

import configparser
import os
import secrets
import stat
import string
from pathlib import Path

from smclient.errors import ConfigError
from smclient_embedded.context import Principal
from smclient_embedded.disk import write_private
from smclient_embedded.http.sigv4 import AccessKey

_ID_ALPHABET = string.ascii_uppercase + "234567"
_SECRET_ALPHABET = string.ascii_letters + string.digits + "+/"
_SECTION = "default"


class AccessKeys:
    """Access keys by id. Safe to use from many threads."""

    def __init__(self) -> None:
        self._keys: dict[str, AccessKey] = {}

    def add(self, key: AccessKey) -> None:
        """Let a key in."""
        self._keys[key.access_key_id] = key

    def remove(self, access_key_id: str) -> None:
        """Let it in no longer."""
        self._keys.pop(access_key_id, None)

    def find(self, access_key_id: str) -> AccessKey | None:
        """The key of an id."""
        return self._keys.get(access_key_id)


def key_from_file(path: Path, principal: Principal) -> AccessKey:
    """The key pair in a file; a new pair in a new file of mode 0600 if there is none.

    The file is a shared credentials file as AWS's tools read it
    (``AWS_SHARED_CREDENTIALS_FILE=path aws …``).

    Raises:
        ConfigError: the file is open to others, cannot be read, or holds no key.
    """
    try:
        if not path.exists():
            _make(path)
        if os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(f"the key file {path} is open to others: chmod 600 {path}")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"the key file {path} cannot be used ({error.strerror}); name another with --key-file"
        ) from error
    reader = configparser.RawConfigParser()
    try:
        reader.read_string(text)
        access_key_id = reader.get(_SECTION, "aws_access_key_id")
        secret = reader.get(_SECTION, "aws_secret_access_key")
        token = reader.get(_SECTION, "aws_session_token", fallback=None)
    except configparser.Error:  # its text repeats lines of the file
        raise ConfigError(
            f"the key file {path} has no [default] section with aws_access_key_id and "
            "aws_secret_access_key"
        ) from None
    return AccessKey(access_key_id, secret, principal, token)


def random_pair(prefix: str) -> tuple[str, str]:
    """A random access key id, ``AKIA…`` or ``ASIA…``, and its secret."""
    return prefix + _random(_ID_ALPHABET, 16), _random(_SECRET_ALPHABET, 40)


def _make(path: Path) -> None:
    """Write a new pair. Whole or not at all, and never over another's."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    access_key_id, secret = random_pair("AKIA")
    content = (
        f"[{_SECTION}]\naws_access_key_id = {access_key_id}\naws_secret_access_key = {secret}\n"
    )
    write_private(path, content.encode())


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
