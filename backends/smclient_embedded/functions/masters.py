"""Which other secret a function may read: the one with the login that sets the new password."""

from __future__ import annotations

import json
from collections.abc import Mapping


def master_named_in(value: str | None, *, account: str) -> str | None:
    """The ``masterarn`` in a secret's JSON, if it is a secret of the same account. The function of
    one account does not get at another's by a field that somebody wrote into a value."""
    try:
        fields = json.loads(value or "")
    except (ValueError, RecursionError):
        return None
    master = fields.get("masterarn") if isinstance(fields, Mapping) else None
    if not isinstance(master, str):
        return None
    parts = master.split(":")
    is_secret = parts[:3] == ["arn", "aws", "secretsmanager"] and len(parts) == 7
    if not is_secret or parts[4] != account or any(sign in master for sign in "*?$"):
        return None
    return master
