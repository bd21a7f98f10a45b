"""Each rotation is run by one node at a time, whoever crashes, lags, cancels or deletes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from smclient_embedded.scheduler import LEASE
from smclient_embedded.store.records import RotationJob
from tests.backends.embedded.service.helpers_rotation import Function, rotate, service_events


def job_of(world: Any) -> RotationJob | None:
    with world.service._store.transaction(write=False) as tx:
        job: RotationJob | None = tx.rotation_job(world.describe()["ARN"])
        return job


def rotate_another(rotated: Any) -> Function:
    """The rotation of ``t``, by a function of its own, is due as well."""
    function = Function()
    rotated(
        "RotateSecret",
        SecretId="t",
        ClientRequestToken=rotated.token("v1"),
        RotationLambdaARN=rotated.service.register_function("second", function),
    )
    return function


class TestFences:
    def test_who_lost_the_job_writes_nothing(self, rotated: Any, function: Function) -> None:
        """Another node claimed it while the function ran past the lease."""
        rotate(rotated)

        def lose_it(step: str) -> None:
            if step == "finishSecret":
                rotated.clock.advance(hours=1)
                now = rotated.service._door.now()
                with rotated.service._store.transaction(write=True) as tx:
                    claimed = tx.claim_rotation_jobs(
                        now, owner="other", leased_until=now + timedelta(minutes=15), limit=9
                    )
                    assert len(claimed) == 1

        function.before = lose_it
        done = rotated.service.run_due()
        assert (done.rotated, done.failed) == ((), ())
        job = job_of(rotated)
        assert job is not None
        assert (job.owner, job.attempts) == ("other", 1)
        assert "LastRotatedDate" not in rotated.describe()
        assert service_events(rotated) == ["RotationStarted"]

    def test_a_later_rotation_is_not_taken_for_the_one_that_was_cancelled(
        self, rotated: Any, function: Function
    ) -> None:
        """The fences of two jobs may be equal; their tokens are not."""
        rotate(rotated)

        def replaced(step: str) -> None:
            if step == "createSecret":
                rotated("CancelRotateSecret", SecretId="s")
                rotated.move("AWSPENDING", of="v1")
                rotate(rotated, "v2")
                now = rotated.service._door.now()
                with rotated.service._store.transaction(write=True) as tx:
                    tx.claim_rotation_jobs(
                        now, owner="other", leased_until=now + timedelta(minutes=15), limit=9
                    )

        function.before = replaced
        function.skips = {"createSecret"}
        function.fails_at = "setSecret"
        assert rotated.service.run_due().failed == ()
        job = job_of(rotated)
        assert job is not None
        assert (job.token, job.owner, job.attempts) == (rotated.token("v2"), "other", 0)

    def test_a_job_cancelled_before_its_turn_is_not_begun(
        self, rotated: Any, function: Function
    ) -> None:
        """One pass claims many; the function of the first cancels the second."""
        rotated.create("t")
        rotate(rotated)
        rotated.clock.advance(1)
        second = rotate_another(rotated)
        function.before = lambda step: rotated("CancelRotateSecret", SecretId="t")
        rotated.service.run_due()
        assert len(function.calls) == 4
        assert second.calls == []

    def test_a_job_whose_lease_ran_out_before_its_turn_is_left_to_who_took_it(
        self, rotated: Any, function: Function
    ) -> None:
        """Claimed in one batch, but the first function took an hour."""
        rotated.create("t")
        rotate(rotated)
        rotated.clock.advance(1)
        second = rotate_another(rotated)

        def slow(step: str) -> None:
            if step == "finishSecret":
                rotated.clock.advance(hours=1)
                now = rotated.service._door.now()
                with rotated.service._store.transaction(write=True) as tx:
                    tx.claim_rotation_jobs(
                        now, owner="other", leased_until=now + timedelta(minutes=15), limit=9
                    )

        function.before = slow
        rotated.service.run_due()
        assert second.calls == []

    def test_a_lease_counts_from_each_step(self, rotated: Any, function: Function) -> None:
        """Fifty seconds for each: longer than the lease together, and nobody takes the job."""
        rotate(rotated)
        stolen: list[Any] = []

        def slow(step: str) -> None:
            rotated.clock.advance(50)
            now = rotated.service._door.now()
            with rotated.service._store.transaction(write=True) as tx:
                stolen.extend(
                    tx.claim_rotation_jobs(now, owner="other", leased_until=now + LEASE, limit=9)
                )

        function.before = slow
        assert len(rotated.service.run_due().rotated) == 1
        assert stolen == []

    def test_the_job_of_a_deleted_secret_goes_with_it(
        self, rotated: Any, function: Function
    ) -> None:
        """Before its turn and in the middle."""
        rotate(rotated)
        rotated("DeleteSecret", SecretId="s", ForceDeleteWithoutRecovery=True)
        rotated.service.run_due()
        assert function.calls == []
        rotated.create()
        rotate(rotated)
        function.before = lambda step: (
            step == "setSecret"
            and rotated("DeleteSecret", SecretId="s", ForceDeleteWithoutRecovery=True)
        )
        done = rotated.service.run_due()
        assert (done.rotated, done.failed) == ((), ())
        rotated.clock.advance(days=1)
        function.calls.clear()
        rotated.service.run_due()
        assert function.calls == []

    def test_the_job_of_a_secret_that_waits_for_its_deletion_waits_with_it(
        self, rotated: Any, function: Function
    ) -> None:
        """Restored, the rotation goes on."""
        rotate(rotated)
        rotated("DeleteSecret", SecretId="s")
        done = rotated.service.run_due()
        assert (done.rotated, done.failed, function.calls) == ((), (), [])
        rotated("RestoreSecret", SecretId="s")
        rotated.clock.advance(hours=1)
        assert len(rotated.service.run_due().rotated) == 1
        assert rotated.labels() == {"v0": {"AWSPREVIOUS"}, "v1": {"AWSCURRENT"}}

    def test_two_services_on_one_file_run_each_rotation_once(
        self, make: Callable[..., Any], tmp_path: Path
    ) -> None:
        """Also when the second looks while the first one's function runs."""
        url = f"embedded://{tmp_path}/s.db"
        first, second = make(url), make(url)
        function = Function()
        for world in (first, second):
            world.function_arn = world.service.register_function("rotate", function)
        rules = {"RotationRules": {"ScheduleExpression": "rate(10 days)"}}
        for name in ("s", "t", "u"):
            first.create(name)
            first(
                "RotateSecret",
                SecretId=name,
                ClientRequestToken=first.token("v1"),
                RotationLambdaARN=first.function_arn,
                **rules,
            )
        rotated: list[str] = []
        function.before = lambda step: rotated.extend(second.service.run_due().rotated)
        rotated.extend(first.service.run_due().rotated)
        assert sorted(rotated) == sorted(first.describe(name)["ARN"] for name in ("s", "t", "u"))
        assert len(function.calls) == 12
        function.calls.clear()
        rotated.clear()
        function.before = lambda step: rotated.extend(first.service.run_due().rotated)
        first.clock.advance(days=10)
        rotated.extend(second.service.run_due().rotated)
        assert len(rotated) == len(set(rotated)) == 3
        assert len(function.calls) == 12

    def test_a_crashed_nodes_job_is_taken_over_when_its_lease_ends(
        self, rotated: Any, function: Function
    ) -> None:
        """With the same token; it need not be told of a second time that it started."""
        rotate(rotated)
        now = rotated.service._door.now()
        with rotated.service._store.transaction(write=True) as tx:
            tx.claim_rotation_jobs(now, owner="crashed", leased_until=now + LEASE, limit=9)
        assert rotated.service.run_due().rotated == ()
        rotated.clock.advance(LEASE.total_seconds())
        assert len(rotated.service.run_due().rotated) == 1
        assert {token for _, token in function.calls} == {rotated.token("v1")}
