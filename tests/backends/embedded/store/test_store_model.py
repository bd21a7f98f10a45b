"""Random transactions on every store at once, next to a model that is too simple to be wrong."""

from __future__ import annotations

import contextlib
import copy
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from smclient_demo.postgres_server import PostgresServer
from smclient_embedded.store import (
    AuditQuery,
    AuditRecord,
    MemoryStore,
    RotationJob,
    RotationSettings,
    Scope,
    Sealed,
    SecretQuery,
    SecretRecord,
    Store,
    StoreConflict,
    VersionRecord,
)
from smclient_embedded.store.sql import SqlStore
from tests.backends.embedded.conftest import emptied, opened

SCOPES = (Scope("111122223333", "eu-west-1"), Scope("111122223333", "us-east-1"))
NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ("a", "a/b", "ab", "B", "z\U0010ffff")
MOMENTS = [NOW + timedelta(microseconds=n) for n in range(-2, 3)]
ARNS = [
    f"arn:aws:secretsmanager:{scope.region}:{scope.account}:secret:{name}-{suffix}"
    for scope in SCOPES
    for name, suffix in (*((name, "AbCdEf") for name in NAMES), ("a", "ZyXwVu"))
]


@dataclass
class Model:
    """What the stores should hold. Methods are called as ``Transaction``'s are."""

    secrets: dict[str, SecretRecord] = field(default_factory=dict)  # in the order of creation
    versions_of: dict[str, dict[str, VersionRecord]] = field(default_factory=dict)
    labels_of: dict[str, dict[str, str]] = field(default_factory=dict)
    jobs: dict[str, RotationJob] = field(default_factory=dict)
    trail: list[AuditRecord] = field(default_factory=list)
    kept: dict[str, bytes] = field(default_factory=dict)

    def put_secret(self, record: SecretRecord) -> None:
        for other in self.secrets.values():
            if (other.scope, other.name) == (record.scope, record.name) and other.arn != record.arn:
                raise StoreConflict
        self.secrets[record.arn] = record

    def remove_secret(self, arn: str) -> None:
        for table in (self.secrets, self.versions_of, self.labels_of, self.jobs):
            table.pop(arn, None)

    def put_version(self, record: VersionRecord) -> None:
        if record.arn not in self.secrets:
            raise StoreConflict
        self.versions_of.setdefault(record.arn, {})[record.version_id] = record

    def remove_version(self, arn: str, version_id: str) -> None:
        self.versions_of.get(arn, {}).pop(version_id, None)
        labels = self.labels_of.get(arn, {})
        self.labels_of[arn] = {label: at for label, at in labels.items() if at != version_id}

    def put_label(self, arn: str, label: str, version_id: str) -> None:
        if version_id not in self.versions_of.get(arn, {}):
            raise StoreConflict
        self.labels_of.setdefault(arn, {})[label] = version_id

    def remove_label(self, arn: str, label: str) -> None:
        self.labels_of.get(arn, {}).pop(label, None)

    def put_rotation_job(self, job: RotationJob) -> None:
        if job.arn not in self.secrets:
            raise StoreConflict
        self.jobs[job.arn] = job

    def remove_rotation_job(self, arn: str) -> None:
        self.jobs.pop(arn, None)

    def claim_rotation_jobs(
        self, now: datetime, *, owner: str, leased_until: datetime, limit: int
    ) -> list[RotationJob]:
        free = [job for job in self.jobs.values() if (job.leased_until or now) <= now >= job.due_at]
        claimed = [
            replace(job, owner=owner, leased_until=leased_until, fence=job.fence + 1)
            for job in sorted(free, key=lambda job: (job.due_at, job.arn))[:limit]
        ]
        self.jobs.update({job.arn: job for job in claimed})
        return claimed

    def append_audit(self, records: Sequence[AuditRecord]) -> None:
        self.trail += records

    def put_setting(self, name: str, value: bytes) -> None:
        self.kept[name] = value

    # --- questions --------------------------------------------------------------------------------

    def secret(self, arn: str) -> SecretRecord | None:
        return self.secrets.get(arn)

    def secret_named(self, scope: Scope, name: str) -> SecretRecord | None:
        found = [s for s in self.secrets.values() if (s.scope, s.name) == (scope, name)]
        return found[0] if found else None

    def secrets_with_stem(self, stem: str) -> list[SecretRecord]:
        return [secret for secret in self.secrets.values() if secret.arn[:-7] == stem]

    def versions(self, arn: str) -> list[VersionRecord]:
        return list(self.versions_of.get(arn, {}).values())

    def labels(self, arn: str) -> dict[str, str]:
        return self.labels_of.get(arn, {})

    def rotation_job(self, arn: str) -> RotationJob | None:
        return self.jobs.get(arn)

    def secrets_to_delete(self, now: datetime, limit: int) -> list[SecretRecord]:
        due = [s for s in self.secrets.values() if s.delete_after and s.delete_after <= now]
        return sorted(due, key=lambda s: (s.delete_after, s.arn))[:limit]

    def rotations_due(self, now: datetime, limit: int) -> list[SecretRecord]:
        due = [
            (secret.rotation.next_rotation_at, secret.arn)
            for secret in self.secrets.values()
            if secret.rotation
            and secret.rotation.enabled
            and secret.rotation.next_rotation_at
            and secret.rotation.next_rotation_at <= now
            and not secret.deleted_at
            and secret.arn not in self.jobs
        ]
        return [self.secrets[arn] for _, arn in sorted(due)[:limit]]

    def audit(self, scope: Scope, *, event_name: str | None, limit: int) -> list[AuditRecord]:
        found = [
            record
            for record in self.trail
            if record.scope == scope and event_name in (None, record.event_name)
        ]
        return found[::-1][:limit]

    def setting(self, name: str) -> bytes | None:
        return self.kept.get(name)

    def settings(self) -> dict[str, bytes]:
        return self.kept

    def scopes(self) -> list[Scope]:
        found = {record.scope for record in (*self.secrets.values(), *self.trail)}
        return sorted(found, key=lambda scope: (scope.account, scope.region))

    def count_secrets(self, scope: Scope, *, include_deleted: bool) -> int:
        return len(self.listed(scope, SecretQuery(include_deleted=include_deleted)))

    def has_secrets(self, scope: Scope, number: int) -> bool:
        return self.count_secrets(scope, include_deleted=True) >= number

    def listed(self, scope: Scope, query: SecretQuery) -> list[SecretRecord]:
        found = [
            (place, secret)
            for place, secret in enumerate(self.secrets.values())
            if secret.scope == scope
            and (query.include_deleted or not secret.deleted_at)
            and (not query.prefixes or secret.name.startswith(query.prefixes))
        ]
        keys: dict[str, Any] = {
            "created": lambda pair: pair[0],
            "name": lambda pair: pair[1].name,
            "changed": lambda pair: (pair[1].changed_at, pair[0]),
            "accessed": lambda pair: (pair[1].accessed_on or date.min, pair[0]),
        }
        found.sort(key=keys[query.sort_by], reverse=query.descending)
        return [secret for _, secret in found]


# --- what may happen ------------------------------------------------------------------------------

arns = st.sampled_from(ARNS)
moments = st.sampled_from(MOMENTS)
version_ids = st.sampled_from(["v1", "v2", "v3"])
stages = st.sampled_from(["AWSCURRENT", "AWSPENDING", "blue"])
rotations = st.builds(RotationSettings, st.booleans(), next_rotation_at=st.none() | moments)
values = st.builds(
    Sealed,
    st.just("key"),
    st.binary(max_size=4),
    st.binary(max_size=4),
    st.binary(max_size=8),
    st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=1),
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@st.composite
def secrets(draw: st.DrawFn) -> SecretRecord:
    arn = draw(arns)
    deleted = draw(st.none() | st.none() | moments)
    return SecretRecord(
        arn=arn,
        scope=next(scope for scope in SCOPES if scope.region in arn),
        name=draw(st.sampled_from(NAMES)) if draw(st.booleans()) else arn[:-7].split(":")[-1],
        created_at=NOW,
        changed_at=draw(moments),
        description=draw(st.none() | texts),
        accessed_on=draw(st.none() | st.sampled_from([date(2026, 1, 1), date(2026, 1, 2)])),
        deleted_at=deleted,
        delete_after=deleted and draw(moments),
        tags=draw(
            st.none() | st.lists(st.tuples(texts, st.text(max_size=3)), max_size=2).map(tuple)
        ),
        rotation=draw(st.none() | rotations),
        policies=draw(st.dictionaries(texts, texts, max_size=1)),
    )


jobs = st.builds(
    RotationJob,
    arns,
    texts,
    moments,
    moments,
    st.booleans(),
    leased_until=st.none() | moments,
    fence=st.integers(0, 3),
)
versions = st.builds(
    VersionRecord,
    arns,
    version_ids,
    moments,
    st.sampled_from(["string", "binary"]),
    st.none() | values,
)
EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)
events = st.builds(
    AuditRecord,
    texts,
    st.sampled_from(SCOPES),
    moments,
    st.sampled_from(["Get", "Put"]),
    st.dictionaries(st.text(max_size=3), st.none() | st.integers() | st.text(max_size=3)),
)


def call(name: str, *arguments: Any, **named: Any) -> st.SearchStrategy[Any]:
    return st.tuples(st.just(name), st.tuples(*arguments), st.fixed_dictionaries(named))


changes = st.one_of(
    call("put_secret", secrets()),
    call("put_secret", secrets()),
    call("put_secret", secrets()),
    call("remove_secret", arns),
    call("put_version", versions),
    call("put_version", versions),
    call("remove_version", arns, version_ids),
    call("put_label", arns, stages, version_ids),
    call("remove_label", arns, stages),
    call("put_rotation_job", jobs),
    call("remove_rotation_job", arns),
    call(
        "claim_rotation_jobs",
        moments,
        owner=st.just("me"),
        leased_until=moments,
        limit=st.integers(1, 3),
    ),
    call("append_audit", st.lists(events, max_size=3)),
    call("put_setting", st.sampled_from("xy"), st.binary(max_size=3)),
)
steps = st.lists(changes, min_size=1, max_size=12)
questions = st.one_of(
    call("secrets_to_delete", moments, st.integers(1, 9)),
    call("rotations_due", moments, st.integers(1, 9)),
    call(
        "audit",
        st.sampled_from(SCOPES),
        event_name=st.none() | st.sampled_from(["Get", "Put"]),
        limit=st.integers(1, 9),
    ),
    call("setting", st.sampled_from("xy")),
    call("settings"),
    call("scopes"),
    call("count_secrets", st.sampled_from(SCOPES), include_deleted=st.booleans()),
    call("has_secrets", st.sampled_from(SCOPES), st.integers(0, 4)),
)
queries = st.builds(
    SecretQuery,
    st.sampled_from(["created", "changed", "accessed", "name"]),
    st.booleans(),
    st.booleans(),
    st.lists(st.sampled_from([*NAMES, "", "A", "z"]), max_size=3).map(tuple),
    st.none(),
    st.integers(1, 4),
)


class Cancelled(Exception):
    """Ends a transaction badly."""


def run(steps: list[Any], on: Any, answers: list[Any], end: str = "well") -> None:
    """Call ``on`` step by step and note the answers."""
    for name, arguments, named in steps:
        try:
            answer = getattr(on, name)(*arguments, **named)
        except StoreConflict:
            answers.append(StoreConflict)
            raise Cancelled from None
        answers.append(answer and list(answer))
    if end == "cancelled":
        raise Cancelled


def allowed(steps: list[Any], model: Model) -> list[Any]:
    """The steps that are not refused, one after the other."""
    kept: list[Any] = []
    tried = copy.deepcopy(model)
    for step in steps:
        with contextlib.suppress(Cancelled):
            run([step], tried, [])
            kept.append(step)
    return kept


class StoresAgree(RuleBasedStateMachine):
    """Every store does what the model does."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.model = Model()
        self.stores: list[Store] = [MemoryStore(), self.opened()]

    def opened(self) -> SqlStore:
        return SqlStore.sqlite(str(self.folder / "secrets.db"))

    def teardown(self) -> None:
        for store in self.stores:
            store.close()
        shutil.rmtree(self.folder)

    @initialize(steps=st.lists(call("put_secret", secrets()), min_size=6, max_size=16))
    def fill(self, steps: list[Any]) -> None:
        """Something to begin with."""
        self.change(steps, "well")

    @rule(steps=steps, end=st.sampled_from(["well"] * 6 + ["refused", "cancelled"]))
    def change(self, steps: list[Any], end: str) -> None:
        """A transaction, undone by the first refusal or because it is cancelled in the end. Mostly,
        steps that would be refused are left out."""
        if end != "refused":
            steps = allowed(steps, self.model)
        wanted: list[Any] = []
        changed = copy.deepcopy(self.model)
        with contextlib.suppress(Cancelled):
            run(steps, changed, wanted, end)
            self.model = changed
        for store in self.stores:
            answers: list[Any] = []
            with contextlib.suppress(Cancelled), store.transaction(write=True) as tx:
                run(steps, tx, answers, end)
            assert answers == wanted, store

    @rule(several=st.lists(questions, min_size=3, max_size=6))
    def ask(self, several: list[Any]) -> None:
        """Lists of what is due, audit, counts, settings."""
        for name, arguments, named in several:
            wanted = getattr(self.model, name)(*arguments, **named)
            for store in self.stores:
                with store.transaction(write=False) as tx:
                    answer = getattr(tx, name)(*arguments, **named)
                assert answer == wanted, (store, name)

    @precondition(lambda self: self.model.secrets)
    @rule()
    def look(self) -> None:
        """Everything that is found by a key."""
        for store in self.stores:
            with store.transaction(write=False) as tx:
                for arn in ARNS:
                    assert tx.secret(arn) == self.model.secret(arn)
                    assert tx.versions(arn) == self.model.versions(arn)
                    assert tx.labels(arn) == self.model.labels(arn)
                    assert tx.rotation_job(arn) == self.model.rotation_job(arn)
                    stem = arn[:-7]
                    assert tx.secrets_with_stem(stem) == self.model.secrets_with_stem(stem)
                for scope in SCOPES:
                    for name in NAMES:
                        found = tx.secret_named(scope, name)
                        assert found == self.model.secret_named(scope, name)

    @precondition(lambda self: self.model.secrets)
    @rule(scope=st.sampled_from(SCOPES), several=st.lists(queries, min_size=4, max_size=8))
    def page(self, scope: Scope, several: list[SecretQuery]) -> None:
        """All pages of some queries, one after the other."""
        for query in several:
            wanted = self.model.listed(scope, query)
            for store in self.stores:
                with store.transaction(write=False) as tx:
                    found: list[SecretRecord] = []
                    more, after = True, None
                    while more and len(found) <= len(wanted):
                        page = tx.page(scope, replace(query, after=after))
                        found += page.secrets
                        more, after = page.more, (page.positions or [None])[-1]
                assert found == wanted, (store, query)

    @rule(
        scope=st.sampled_from(SCOPES),
        query=st.builds(
            AuditQuery,
            st.none() | st.sampled_from(["Get", "Put"]),
            since=st.none() | moments,
            until=st.none() | moments,
            limit=st.integers(1, 4),
        ),
    )
    def audit_pages(self, scope: Scope, query: AuditQuery) -> None:
        """All pages of the trail, one after the other."""
        since, until = query.since or EARLIEST, query.until or LATEST
        of_name = self.model.audit(scope, event_name=query.event_name, limit=10**6)
        wanted = [record for record in of_name if since <= record.at <= until]
        for store in self.stores:
            found: list[AuditRecord] = []
            more, after = True, None
            while more and len(found) <= len(wanted):
                with store.transaction(write=False) as tx:
                    page = tx.audit_page(scope, replace(query, after=after))
                found += page.records
                more, after = page.more, (page.positions or [None])[-1]
            assert found == wanted, (store, query)

    @rule()
    def open_again(self) -> None:
        """Closing and opening the file changes nothing."""
        self.stores[1].close()
        self.stores[1] = self.opened()


StoresAgree.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestStoresAgree = StoresAgree.TestCase


class StoresAgreeInPostgres(StoresAgree):
    """The same with PostgreSQL in the place of SQLite."""

    server: ClassVar[PostgresServer]
    url: ClassVar[str]

    def __init__(self) -> None:
        emptied(self.server)
        super().__init__()

    def opened(self) -> SqlStore:
        return opened(self.url)


StoresAgreeInPostgres.TestCase.settings = settings(StoresAgree.TestCase.settings, max_examples=12)


@pytest.mark.usefixtures("a_postgres_for_the_machine")
class TestStoresAgreeInPostgres(StoresAgreeInPostgres.TestCase):  # type: ignore[misc,name-defined]
    pass


@pytest.fixture
def a_postgres_for_the_machine(stores_database: PostgresServer, postgres_url: str) -> None:
    """Hypothesis makes the machine, which so finds its server in the class."""
    StoresAgreeInPostgres.server = stores_database
    StoresAgreeInPostgres.url = postgres_url
