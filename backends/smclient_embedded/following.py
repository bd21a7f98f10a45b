"""Replicas follow their primary: in the transaction of the change, so neither is seen without the
other.

AWS takes some seconds; here a replica is as its primary is when the call is answered. What cannot
be copied (a key that is out of use, or that the caller may not use) fails for that replica alone:
it stays as it was, its status says why, and the next change tries again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from smclient_embedded import replication
from smclient_embedded.deps import Deps
from smclient_embedded.errors import LimitExceededException, ServiceError
from smclient_embedded.kms import encryption_context, open_version, said_by_kms
from smclient_embedded.store.ports import Transaction
from smclient_embedded.store.records import Replica, SecretRecord, VersionRecord

Opened = Callable[[VersionRecord], bytes]


def replicate_changes(
    deps: Deps, secret: SecretRecord, *, asked: Collection[str] = (), overwrite: bool = False
) -> None:
    """Bring the replicas of a secret up to date. Without replicas it does nothing.

    Args:
        secret: its record, of before the change or after it; what is kept is what is copied.
        asked: regions where a replica is made if there is none. In others one that could not be
            made before is not tried again.
        overwrite: whether another secret of that name gives way there.
    """
    if not secret.replicas:
        return
    primary = deps.tx.secret(secret.arn)
    if primary is None:
        return
    opened = _opening_once(deps)
    _tell(deps, primary, "ReplicationStarted", asked)
    replicas = tuple(
        _followed_in_region(deps, primary, replica, opened, asked, overwrite=overwrite)
        if replication.scope_of(replica.arn).account == primary.scope.account
        else _followed_in_account(deps, primary, replica, opened)
        for replica in primary.replicas
    )
    if replicas != primary.replicas:
        deps.tx.put_secret(replace(primary, replicas=replicas))
    before = {replica.arn: replica.status for replica in primary.replicas}
    moved = [replica for replica in replicas if replica.status != before[replica.arn]]
    for status, event in (("InSync", "ReplicationSucceeded"), ("Failed", "ReplicationFailed")):
        found = [replication.scope_of(r.arn).region for r in moved if r.status == status]
        _tell(deps, primary, event, found)


def _tell(deps: Deps, primary: SecretRecord, event: str, regions: Collection[str]) -> None:
    """Put on record what became of the replicas in some regions."""
    for region in regions:
        deps.emit(primary.scope, event, SecretId=primary.arn, ReplicaRegion=region)


def _followed_in_region(
    deps: Deps,
    primary: SecretRecord,
    replica: Replica,
    opened: Opened,
    asked: Collection[str],
    *,
    overwrite: bool,
) -> Replica:
    scope = replication.scope_of(replica.arn)
    before = deps.tx.secret_named(scope, primary.name)
    is_there = replication.follows(before, primary)
    if not is_there and scope.region not in asked:
        return replica
    in_the_way = None if is_there else before
    if in_the_way is not None and not (overwrite and replication.may_be_overwritten(in_the_way)):
        return replication.failed(replica, replication.name_taken(primary.name, scope.region))
    record = replication.follower(primary, replica, before, deps.now)
    try:
        if before is None:
            full = deps.tx.has_secrets(scope, deps.quotas.secrets)
            deps.quotas.check_room(full=full)
        there = deps.tx.versions(record.arn) if is_there else ()
        anew = before is not None and before.kms_key_id != record.kms_key_id
        copies = _copies(deps, primary.arn, record, there, opened, anew=anew)
    except LimitExceededException as error:
        return replication.failed(replica, str(error))
    except ServiceError as error:
        return replication.failed(replica, said_by_kms(error))
    if in_the_way is not None:
        deps.tx.remove_secret(in_the_way.arn)
    deps.tx.put_secret(record)
    _put(deps.tx, primary.arn, record.arn, copies)
    return replication.in_sync(replica)


def _followed_in_account(
    deps: Deps, primary: SecretRecord, replica: Replica, opened: Opened
) -> Replica:
    target = deps.tx.secret(replica.arn)
    link = None if target is None else target.cross_account_primary
    if target is None or link is None or link.arn != primary.arn or link.status == "Detached":
        return replace(replica, status="Detached", message=None)
    try:
        there = deps.tx.versions(target.arn)
        copies = _copies(deps, primary.arn, target, there, opened, anew=False)
    except ServiceError as error:
        told = replication.failed(replica, said_by_kms(error))
    else:
        if _put(deps.tx, primary.arn, target.arn, copies):
            target = replace(target, changed_at=deps.now)
        told = replication.in_sync(replica, None)
    link = replace(link, status=told.status, message=told.message)
    deps.tx.put_secret(replace(target, cross_account_primary=link))
    return told


# --- versions and labels --------------------------------------------------------------------------


def _opening_once(deps: Deps) -> Opened:
    """Opens versions, each once for all replicas."""
    values: dict[str, bytes] = {}

    def opened(version: VersionRecord) -> bytes:
        if version.version_id not in values:
            values[version.version_id] = open_version(deps.keys, version)
        return values[version.version_id]

    return opened


def _copies(
    deps: Deps,
    source: str,
    target: SecretRecord,
    there: Sequence[VersionRecord],
    opened: Opened,
    *,
    anew: bool,
) -> list[VersionRecord]:
    """The versions to put on a replica beside those that are there, sealed under its key; with
    ``anew`` those, too. Nothing is written yet.

    Raises:
        ServiceError: a value cannot be opened or sealed.
    """
    abroad = replication.scope_of(source).account != target.scope.account
    seal = deps.kms.encrypt if abroad and deps.kms is not None else deps.keys.seal
    known = {version.version_id: version for version in there}
    copies: list[VersionRecord] = []
    for version in deps.tx.versions(source):
        have = known.get(version.version_id)
        copy = VersionRecord(target.arn, version.version_id, deps.now, version.kind)
        if have is not None:
            copy = replace(copy, created_at=have.created_at, accessed_on=have.accessed_on)
        if version.sealed is not None and (anew or have is None or have.sealed is None):
            context = encryption_context(target.arn, version.version_id)
            sealed = seal(opened(version), key_id=target.kms_key_id, context=context)
            copies.append(replace(copy, sealed=sealed))
        elif have is None:
            copies.append(copy)
    return copies


def _put(tx: Transaction, source: str, target: str, copies: list[VersionRecord]) -> bool:
    """Put copies on a replica and its labels where the primary's are; take away what the primary
    has no more. Returns whether a value or a label changed."""
    for copy in copies:
        tx.put_version(copy)
    wanted, had = dict(tx.labels(source)), dict(tx.labels(target))
    for label, version_id in wanted.items():
        if had.get(label) != version_id:
            tx.put_label(target, label, version_id)
    for label in had.keys() - wanted.keys():
        tx.remove_label(target, label)
    kept = {version.version_id for version in tx.versions(source)}
    for version in tx.versions(target):
        if version.version_id not in kept:
            tx.remove_version(target, version.version_id)
    return bool(copies) or wanted != had
