"""Every store: rotations that are due, and jobs that one owner at a time may claim."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from smclient_embedded.store import RotationJob, RotationSettings, SecretRecord, Store
from tests.backends.embedded.store.helpers_contract import (
    LATER,
    LONG_AGO,
    NOW,
    InMemory,
    InPostgres,
    InSqlite,
    StoreContract,
    a_job,
    a_secret,
    arn_of,
    put,
)


class RotationsContract(StoreContract):
    """What is promised of rotations and their jobs."""

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {
                "due_at": LATER,
                "test_only": True,
                "attempts": 3,
                "owner": "node",
                "leased_until": LATER,
                "fence": 7,
                "last_error": "setSecret: KeyError",
            },
        ],
    )
    def test_a_job_comes_back_as_it_was_put(self, store: Store, fields: dict[str, Any]) -> None:
        job = a_job(arn_of("db"), **fields)
        put(store, a_secret(), a_job(arn_of("db"), attempts=99), job)
        with store.transaction(write=True) as tx:
            assert tx.rotation_job(job.arn) == job
            tx.remove_rotation_job(job.arn)
            assert tx.rotation_job(job.arn) is None

    def test_a_claim_takes_what_is_due_and_free(self, store: Store) -> None:
        jobs = {
            "long due": {"due_at": LONG_AGO},
            "due": {"fence": 4, "attempts": 2, "last_error": "why"},
            "not yet": {"due_at": LATER},
            "held": {"owner": "other", "leased_until": LATER, "fence": 1},
            "lost": {
                "owner": "other",
                "leased_until": NOW,
                "fence": 1,
                "due_at": LATER - 2 * (LATER - NOW),
            },
        }
        for name, fields in jobs.items():
            put(store, a_secret(name), a_job(arn_of(name), **fields))
        until = NOW + timedelta(minutes=15)
        with store.transaction(write=True) as tx:
            claimed = tx.claim_rotation_jobs(NOW, owner="me", leased_until=until, limit=9)
        assert list(claimed) == [
            replace(a_job(arn_of(name), **jobs[name]), owner="me", leased_until=until, fence=fence)
            for name, fence in (("long due", 1), ("lost", 2), ("due", 5))
        ]
        with store.transaction(write=True) as tx:
            for job in claimed:
                assert tx.rotation_job(job.arn) == job
            assert not tx.claim_rotation_jobs(NOW, owner="me", leased_until=until, limit=9)
            again = tx.claim_rotation_jobs(until, owner="other", leased_until=until, limit=2)
            assert [job.fence for job in again] == [2, 3]
            assert [job.owner for job in again] == ["other", "other"]

    def test_a_claim_has_a_limit(self, store: Store) -> None:
        for name in "abc":
            put(store, a_secret(name), a_job(arn_of(name)))
        taken: list[str] = []
        for _ in range(3):
            with store.transaction(write=True) as tx:
                claimed = tx.claim_rotation_jobs(NOW, owner="me", leased_until=LATER, limit=2)
            taken += [job.arn for job in claimed]
        assert sorted(taken) == [arn_of(name) for name in "abc"]

    def test_two_owners_never_get_the_same_job(self, store: Store) -> None:
        for number in range(30):
            put(store, a_secret(f"{number}"), a_job(arn_of(f"{number}")))
        barrier = threading.Barrier(4)

        def claim(owner: str) -> list[RotationJob]:
            mine: list[RotationJob] = []
            barrier.wait()
            while True:
                with store.transaction(write=True) as tx:
                    some = tx.claim_rotation_jobs(NOW, owner=owner, leased_until=LATER, limit=2)
                if not some:
                    return mine
                mine += some

        with ThreadPoolExecutor(4) as pool:
            claimed = [job for jobs in pool.map(claim, "abcd") for job in jobs]
        assert len(claimed) == 30
        assert len({job.arn for job in claimed}) == 30
        assert {job.fence for job in claimed} == {1}

    def test_rotations_that_are_due(self, store: Store) -> None:
        def rotated(name: str, at: datetime | None, on: bool = True, **fields: Any) -> SecretRecord:
            settings = RotationSettings(enabled=on, next_rotation_at=at)
            return a_secret(name, rotation=settings, **fields)

        put(
            store,
            rotated("now", NOW),
            rotated("later", LATER),
            rotated("long ago", LONG_AGO),
            rotated("off", NOW, on=False),
            rotated("unplanned", None),
            rotated("deleted", NOW, deleted_at=NOW, delete_after=LATER),
            rotated("running", NOW),
            a_job(arn_of("running")),
            a_secret("never"),
        )
        with store.transaction(write=True) as tx:
            assert [secret.name for secret in tx.rotations_due(NOW, 9)] == ["long ago", "now"]
            assert [secret.name for secret in tx.rotations_due(NOW, 1)] == ["long ago"]
            tx.remove_rotation_job(arn_of("running"))
            tx.put_secret(rotated("long ago", LATER))
            tx.put_secret(rotated("deleted", NOW))
            due = {secret.name for secret in tx.rotations_due(NOW, 9)}
            assert due == {"now", "running", "deleted"}


class TestMemoryStore(InMemory, RotationsContract):
    pass


class TestSqliteStore(InSqlite, RotationsContract):
    pass


class TestPostgresStore(InPostgres, RotationsContract):
    pass
