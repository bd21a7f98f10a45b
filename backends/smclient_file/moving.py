"""Secrets into the file and out of it: first a plan, then the deed. Values are hidden in every
representation."""

from __future__ import annotations

import hmac
import secrets
import string
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from smclient.backend import Backend
from smclient.batch import PAGE
from smclient.errors import BackendError, ResourceNotFoundError, SmclientError
from smclient.secret import AWSCURRENT, AWSPREVIOUS, RedactedStr, SecretValue
from smclient_embedded.store import Keyring, Scope, SecretRecord, Transaction, VersionRecord
from smclient_file.store import FileStore

_LETTERS = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Item:
    """One secret with its current value."""

    name: str
    value: bytes = field(repr=False)
    kind: Literal["string", "binary"] = "string"
    version_id: str = ""
    arn: str | None = None
    created_at: datetime | None = None
    description: str | None = None
    kms_key_id: str | None = None
    tags: tuple[tuple[str, str], ...] | None = None

    @classmethod
    def of(cls, value: SecretValue, metadata: Mapping[str, Any]) -> Item:
        """From what a backend answered."""
        tags = metadata.get("Tags")
        return cls(
            name=value.name,
            value=bytes(value.binary) if value.is_binary else str(value.text).encode(),
            kind="binary" if value.is_binary else "string",
            version_id=value.version_id,
            arn=value.arn,
            created_at=value.created_date,
            description=metadata.get("Description") or None,
            kms_key_id=metadata.get("KmsKeyId") or None,
            tags=None if tags is None else tuple((tag["Key"], tag["Value"]) for tag in tags),
        )

    def same(self, other: Item) -> bool:
        """Whether the values are the same."""
        return self.kind == other.kind and hmac.compare_digest(self.value, other.value)


@dataclass(frozen=True, slots=True)
class Step:
    """What is to happen to one secret: ``create``, ``update`` or ``unchanged``."""

    action: Literal["create", "update", "unchanged"]
    item: Item

    def shown(self) -> dict[str, str]:
        """Names only."""
        return {"name": self.item.name, "action": self.action}


# --- reading from a backend -----------------------------------------------------------------------


def listed(
    backend: Backend, *, prefix: str | None, tags: Mapping[str, str | None]
) -> Iterator[dict[str, Any]]:
    """What ListSecrets says of the secrets with that prefix and all of the tags."""
    filters: list[dict[str, Any]] = [{"Key": "name", "Values": [prefix]}] if prefix else []
    filters += [{"Key": "tag-key", "Values": [key]} for key in tags]
    request: dict[str, Any] = {"Filters": filters} if filters else {}
    while True:
        answer = backend.call("ListSecrets", request).value
        for secret in answer["SecretList"]:
            held = {tag["Key"]: tag["Value"] for tag in secret.get("Tags", ())}
            if secret["Name"].startswith(prefix or "") and all(
                key in held and wanted in (None, held[key]) for key, wanted in tags.items()
            ):
                yield secret
        if "NextToken" not in answer:
            return
        request = {**request, "NextToken": answer["NextToken"]}


def read(
    backend: Backend,
    found: Sequence[Mapping[str, Any]],
    progress: Callable[[int], object] = lambda count: None,
) -> tuple[list[Item], dict[str, SmclientError]]:
    """The current values of secrets, twenty a call, and an error for each that cannot be read."""
    items: list[Item] = []
    errors: dict[str, SmclientError] = {}
    for start in range(0, len(found), PAGE):
        some = {str(secret["ARN"]): secret for secret in found[start : start + PAGE]}
        answers = backend.fetch_many(list(some)).value
        for arn, secret in some.items():
            answer = answers[arn]
            if isinstance(answer, SmclientError):
                errors[str(secret["Name"])] = answer
            else:
                items.append(Item.of(answer, secret))
        progress(len(some))
    return items, errors


def described(
    backend: Backend, names: Iterable[str]
) -> tuple[list[dict[str, Any]], dict[str, SmclientError]]:
    """What DescribeSecret says of secrets, and an error for each of which it says nothing."""
    found: list[dict[str, Any]] = []
    errors: dict[str, SmclientError] = {}
    for name in names:
        try:
            found.append(backend.call("DescribeSecret", {"SecretId": name}).value)
        except BackendError as error:
            errors[name] = error
    return found, errors


# --- into the file --------------------------------------------------------------------------------


def plan_into(store: FileStore, scope: Scope, items: Iterable[Item]) -> list[Step]:
    """What importing these would do, by comparing values. Secrets are found by name; to restore one
    that is marked for deletion is an update."""
    keyring = _keyring(store)
    steps: list[Step] = []
    with store.transaction(write=False) as tx:
        for item in items:
            secret = tx.secret_named(scope, item.name)
            steps.append(Step(_action(tx, keyring, secret, item), item))
    return steps


def _action(
    tx: Transaction, keyring: Keyring, secret: SecretRecord | None, item: Item
) -> Literal["create", "update", "unchanged"]:
    if secret is None:
        return "create"
    held = _current(tx, keyring, secret)
    same = held is not None and held.same(item)
    return "unchanged" if same and secret.deleted_at is None else "update"


def write_into(store: FileStore, scope: Scope, steps: Iterable[Step], now: datetime) -> None:
    """Carry a plan out in one transaction: all of it, or nothing."""
    keyring = _keyring(store)
    with store.transaction(write=True) as tx:
        for step in steps:
            if step.action != "unchanged":
                _write(tx, keyring, scope, step.item, now)


def _write(tx: Transaction, keyring: Keyring, scope: Scope, item: Item, now: datetime) -> None:
    secret = tx.secret_named(scope, item.name)
    if secret is None:
        arn = item.arn or _new_arn(scope, item.name)
        secret = SecretRecord(
            arn,
            scope,
            item.name,
            created_at=now,
            changed_at=now,
            description=item.description,
            kms_key_id=item.kms_key_id,
            tags=item.tags,
        )
    tx.put_secret(replace(secret, changed_at=now, deleted_at=None, delete_after=None))
    held = _current(tx, keyring, secret)
    if held is not None and held.same(item):  # it was only to be restored
        return
    version_id = item.version_id or str(uuid.uuid4())
    if tx.version(secret.arn, version_id) is not None:  # that id holds another value here
        version_id = str(uuid.uuid4())
    context = {"SecretARN": secret.arn, "SecretVersionId": version_id}
    sealed = keyring.seal(item.value, key_id=None, context=context)
    created = item.created_at or now
    tx.put_version(VersionRecord(secret.arn, version_id, created, item.kind, sealed))
    before = tx.labels(secret.arn).get(AWSCURRENT)
    tx.put_label(secret.arn, AWSCURRENT, version_id)
    if before is not None:
        tx.put_label(secret.arn, AWSPREVIOUS, before)


# --- out of the file ------------------------------------------------------------------------------


def items_of(
    store: FileStore, scope: Scope, *, wanted: Callable[[SecretRecord], bool]
) -> Iterator[Item]:
    """The live secrets of a scope with their current values; those without one are left out."""
    keyring = _keyring(store)
    generation = store.generation()
    with store.transaction(write=False) as tx:
        for entry in sorted(generation.tables.entries.values(), key=lambda entry: entry.name):
            secret = tx.secret(entry.arn)
            if secret is None or secret.scope != scope or secret.deleted_at or not wanted(secret):
                continue
            item = _current(tx, keyring, secret)
            if item is not None:
                yield item


def plan_out(backend: Backend, items: Sequence[Item]) -> list[Step]:
    """What exporting these would do, by comparing values with those of the backend.

    Raises:
        SmclientError: a secret that is there cannot be read.
    """
    steps: list[Step] = []
    for start in range(0, len(items), PAGE):
        some = items[start : start + PAGE]
        answers = backend.fetch_many([item.name for item in some]).value
        for item in some:
            answer = answers[item.name]
            if isinstance(answer, ResourceNotFoundError):
                steps.append(Step(_absent(backend, item.name), item))
            elif isinstance(answer, SmclientError):
                raise answer
            else:
                same = Item.of(answer, {}).same(item)
                steps.append(Step("unchanged" if same else "update", item))
    return steps


def write_out(backend: Backend, step: Step) -> None:
    """Carry one step out.

    A secret that is made keeps its version id. One that is there gets a new version: under a
    token that was used there before, a write is answered and changes nothing.
    """
    item = step.item
    value: dict[str, Any] = (
        {"SecretBinary": item.value}
        if item.kind == "binary"
        else {"SecretString": RedactedStr(item.value.decode())}
    )
    if step.action == "update":
        token = str(uuid.uuid4())
        backend.call(
            "PutSecretValue", {"SecretId": item.name, "ClientRequestToken": token, **value}
        )
    elif step.action == "create":
        more: dict[str, Any] = {}
        if len(item.version_id) >= 32:
            more["ClientRequestToken"] = item.version_id
        if item.description:
            more["Description"] = item.description
        if item.kms_key_id:
            more["KmsKeyId"] = item.kms_key_id
        if item.tags:
            more["Tags"] = [{"Key": key, "Value": text} for key, text in item.tags]
        backend.call("CreateSecret", {"Name": item.name, **value, **more})


def _absent(backend: Backend, name: str) -> Literal["create", "update"]:
    """A secret without a current value is updated, not made."""
    try:
        backend.describe(name)
    except ResourceNotFoundError:
        return "create"
    return "update"


def _current(tx: Transaction, keyring: Keyring, secret: SecretRecord) -> Item | None:
    version = tx.version(secret.arn, tx.labels(secret.arn).get(AWSCURRENT, ""))
    if version is None or version.sealed is None:
        return None
    return Item(
        secret.name,
        keyring.open(version.sealed),
        version.kind,
        version.version_id,
        secret.arn,
        version.created_at,
        secret.description,
        secret.kms_key_id,
        secret.tags,
    )


def _keyring(store: FileStore) -> Keyring:
    keyring = store.keyring()
    assert keyring is not None
    return keyring


def _new_arn(scope: Scope, name: str) -> str:
    suffix = "".join(secrets.choice(_LETTERS) for _ in range(6))
    return f"arn:aws:secretsmanager:{scope.region}:{scope.account}:secret:{name}-{suffix}"
