"""ListSecretVersionIds."""

from __future__ import annotations

from typing import Any

from smclient_embedded.context import RequestContext
from smclient_embedded.deps import Deps, Request
from smclient_embedded.errors import InvalidNextTokenException
from smclient_embedded.finding import find_secret
from smclient_embedded.labels import labels_of
from smclient_embedded.showing import midnight
from smclient_embedded.store.records import VersionRecord

DEFAULT_KEY = "DefaultEncryptionKey"
_TOKEN = "after:"  # noqa: S105  the prefix of a paging token


def list_secret_version_ids(
    context: RequestContext, deps: Deps, request: Request
) -> dict[str, Any]:
    """The versions that hold a value; those without labels only if asked for.

    Raises:
        ResourceNotFoundException, InvalidNextTokenException
    """
    secret = find_secret(context, deps, request["SecretId"])
    labels = deps.tx.labels(secret.arn)
    deprecated = request.get("IncludeDeprecated", False)
    shown = [
        version
        for version in deps.tx.versions(secret.arn)
        if version.sealed is not None and (deprecated or labels_of(labels, version.version_id))
    ]
    start = _start(shown, request.get("NextToken"))
    page = shown[start : start + request.get("MaxResults", 100)]
    answer: dict[str, Any] = {
        "ARN": secret.arn,
        "Name": secret.name,
        "Versions": [_entry(deps, v, labels_of(labels, v.version_id)) for v in page],
    }
    if start + len(page) < len(shown):
        answer["NextToken"] = _TOKEN + page[-1].version_id
    return answer


def _start(versions: list[VersionRecord], token: str | None) -> int:
    if token is None:
        return 0
    ids = [_TOKEN + version.version_id for version in versions]
    if token not in ids:
        raise InvalidNextTokenException("The NextToken value is invalid.")
    return ids.index(token) + 1


def _entry(deps: Deps, version: VersionRecord, stages: list[str]) -> dict[str, Any]:
    key_ids = [] if version.sealed is None else version.sealed.key_ids
    entry: dict[str, Any] = {
        "VersionId": version.version_id,
        "CreatedDate": version.created_at,
        "KmsKeyIds": list(dict.fromkeys(_shown_key(deps, key_id) for key_id in key_ids)),
    }
    if stages:
        entry["VersionStages"] = stages
    if version.accessed_on is not None:
        entry["LastAccessedDate"] = midnight(version.accessed_on)
    return entry


def _shown_key(deps: Deps, key_id: str) -> str:
    """A customer's key by its ARN; AWS's own, or the store's own, by the word that AWS has."""
    key = deps.tx.key(key_id)
    if key is None:
        return key_id if key_id.startswith("arn:") else DEFAULT_KEY
    return DEFAULT_KEY if key.managed else key_id
