"""What settings refer to and what of it is held, without values: for the command and the admin."""

from __future__ import annotations

from typing import Any

from smclient import ResourceNotFoundError, SmclientError
from smclient.references import shown
from smclient.remedies import with_remedy
from smclient_django.clients import clients
from smclient_django.errors import SecretConfigError
from smclient_django.network import Use, read, uses


def rows() -> list[dict[str, Any]]:
    """One row for each place in the settings that reads a secret: where, reference, client,
    version, labels, date, or the error; neither where it may be absent and is. Reads what is not
    held, in one batch for each alias."""
    found = uses()
    wanted: dict[str, list[str]] = {}
    for use in found:
        if use.ref.is_current:
            wanted.setdefault(use.alias, []).append(use.ref.secret_id)
    for alias, ids in wanted.items():
        try:
            clients[alias].preload(ids)
        except (SmclientError, SecretConfigError):
            continue  # told by each row, which asks for itself
    return [_row(use) for use in found]


def _row(use: Use) -> dict[str, Any]:
    reference = shown(use.parsed) if use.parsed is not None else use.ref.secret_id
    row: dict[str, Any] = {
        "setting": use.where.partition(" = ")[0].removeprefix("settings."),
        "reference": reference,
        "alias": use.alias,
        "secret": use.ref.secret_id,
        "version_id": None,
        "stages": [],
        "created": None,
        "error": None,
    }
    try:
        value = read(use)
    except SecretConfigError as error:
        row["error"] = str(error)
    except SmclientError as error:
        absent = isinstance(error, ResourceNotFoundError)
        if not (absent and use.parsed is not None and use.parsed.optional):
            row["error"] = with_remedy(error)
    else:
        row["version_id"] = value.version_id
        row["stages"] = sorted(value.version_stages)
        row["created"] = value.created_date and value.created_date.isoformat()
    return row
