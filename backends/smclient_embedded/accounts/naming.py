"""What accounts, principals and sessions may be called, and their ARNs."""

from __future__ import annotations

import re
from datetime import datetime

from smclient.errors import ConfigError
from smclient_embedded.context import Principal, Session

NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
PATH = re.compile(r"/(?:[!-.0-~]+/)*")
SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
ACCOUNT = re.compile(r"[0-9]{12}")
SERVICE_NAME = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.amazonaws\.com")


def role_session(
    role: str,
    name: str,
    *,
    policies: tuple[str, ...] | None = None,
    tags: tuple[tuple[str, str], ...] = (),
    issued_at: datetime | None = None,
    expires_at: datetime | None = None,
    source_id: str = "",
) -> Principal:
    """A session of a role as a caller. Its ARN has the role's name without path, as AWS's."""
    account, short = account_of(role), role.rpartition("/")[2]
    session = Session(
        name,
        role,
        policies,
        tags=tags,
        issued_at=issued_at,
        expires_at=expires_at,
        source_id=source_id,
    )
    return Principal(
        f"arn:aws:sts::{account}:assumed-role/{short}/{name}", account, "role", session
    )


def account_of(arn: str) -> str:
    """The account in an ARN. Raises ``ConfigError`` if there is none."""
    parts = arn.split(":", 5)
    if len(parts) != 6 or not ACCOUNT.fullmatch(parts[4]):
        raise ConfigError(f"{arn!r} is not the ARN of anything in an account")
    return parts[4]


def unknown(arn: str) -> ConfigError:
    """Nobody is called so."""
    return ConfigError(f"there is no principal {arn!r}; make it with create_principal()")


def check_account(account: str) -> str:
    """The account id itself. Raises ``ConfigError`` if it is none."""
    if not ACCOUNT.fullmatch(account):
        raise ConfigError(f"an account has 12 digits; {account!r} is none")
    return account


def principal_arn(kind: str, name: str, account: str, path: str) -> str:
    """The ARN of a new principal. Raises ``ConfigError`` for a bad account, name or path."""
    check_account(account)
    if not NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is no name for a {kind}: letters, digits, +=,.@_- (64)")
    if not PATH.fullmatch(path):
        raise ConfigError(f"{path!r} is no path: it begins and ends with a slash")
    return f"arn:aws:iam::{account}:{kind}{path}{name}"
