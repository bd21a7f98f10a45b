"""Secrets that a database service owns: made, rotated and kept from others by it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from smclient.errors import ConfigError
from smclient.testing import FakeClock
from smclient_embedded import EmbeddedService
from smclient_embedded.errors import ServiceError
from smclient_embedded.managed import KINDS, OWNERS

START = datetime(2026, 9, 24, 10, 20, 30, tzinfo=UTC)


class Database:
    """A database with one user."""

    def __init__(self) -> None:
        self.password: str | None = None
        self.fails = False
        self.sets = 0

    def set_password(self, username: str, password: str) -> None:
        if self.fails:
            raise OSError("the database is gone")
        self.sets += 1
        self.password = password

    def takes(self, username: str, password: str) -> bool:
        if self.fails:
            raise OSError("the database is gone")
        return self.password == password


class Managed:
    """A managed secret, its service and its database."""

    def __init__(self, url: str, kind: Any = "rds", **more: Any) -> None:
        self.url = url
        self.clock = FakeClock(START)
        self.service = EmbeddedService(url, clock=self.clock)
        self.database = Database()
        self.arn = self.service.managed.create(
            kind, "admin", self.database, database="orders", **more
        )

    def __call__(self, operation: str, **request: Any) -> dict[str, Any]:
        return self.service.call(operation, {"SecretId": self.arn, **request})

    def refused(self, operation: str, **request: Any) -> tuple[str, str]:
        with pytest.raises(ServiceError) as caught:
            self(operation, **request)
        return caught.value.code, str(caught.value)

    def rotate(self, token: str = "1", **more: Any) -> None:
        self("RotateSecret", ClientRequestToken=token.ljust(32, "0"), **more)

    def fields(self, stage: str = "AWSCURRENT") -> dict[str, str]:
        answer = self("GetSecretValue", VersionStage=stage)
        return dict(json.loads(answer["SecretString"]))

    def labels(self) -> set[str]:
        stages = self("DescribeSecret")["VersionIdsToStages"]
        return {label for labels in stages.values() for label in labels}

    def events(self) -> list[str]:
        found = self.service.audit.lookup()
        return [e["eventName"] for e in reversed(found) if e["eventType"] == "AwsServiceEvent"]


@pytest.fixture(params=["memory", "sqlite"])
def managed(request: Any, tmp_path: Any) -> Iterator[Managed]:
    memory = request.param == "memory"
    made = Managed("embedded://" if memory else f"embedded://{tmp_path}/secrets.db")
    yield made
    made.service.close()


class TestASecret:
    def test_looks_as_its_service_makes_it(self, managed: Managed) -> None:
        """As DescribeSecret showed it for RDS: no function anywhere."""
        shown = managed("DescribeSecret")
        assert shown["Name"].startswith("rds!db-")
        assert shown["OwningService"] == "rds"
        assert shown["RotationEnabled"] is True
        assert shown["RotationRules"] == {"AutomaticallyAfterDays": 7}
        assert "RotationLambdaARN" not in shown
        assert {tag["Key"]: tag["Value"] for tag in shown["Tags"]} == {
            "aws:rds:primaryDBInstanceArn": "arn:aws:rds:us-east-1:123456789012:db:orders",
            "aws:secretsmanager:owningService": "rds",
        }
        assert managed.fields() == {"username": "admin", "password": managed.database.password}
        assert managed.service.managed.status(managed.arn) == "active"

    @pytest.mark.parametrize(
        ("kind", "name", "owner", "days"),
        [
            ("aurora", "rds!cluster-", "rds", 7),
            ("documentdb", "rds!cluster-", "rds", 7),
            ("redshift", "redshift!orders-admin", "redshift", 30),
        ],
    )
    def test_is_of_each_kind(self, kind: Any, name: str, owner: str, days: int) -> None:
        made = Managed("embedded://", kind)
        with made.service:
            shown = made("DescribeSecret")
            assert shown["Name"].startswith(name)
            assert shown["OwningService"] == owner
            assert shown["RotationRules"] == {"AutomaticallyAfterDays": days}

    def test_is_found_by_its_owner(self, managed: Managed) -> None:
        found = managed.service.call(
            "ListSecrets", {"Filters": [{"Key": "owning-service", "Values": ["rds"]}]}
        )
        assert [secret["ARN"] for secret in found["SecretList"]] == [managed.arn]

    @pytest.mark.parametrize(
        ("operation", "request_"),
        [
            ("PutSecretValue", {"SecretString": "x", "ClientRequestToken": "x" * 32}),
            ("UpdateSecret", {"SecretString": "x", "ClientRequestToken": "x" * 32}),
            ("DeleteSecret", {}),
            ("DeleteSecret", {"ForceDeleteWithoutRecovery": True}),
            ("CancelRotateSecret", {}),
            (
                "UpdateSecretVersionStage",
                {"VersionStage": "A", "MoveToVersionId": "1" * 32},
            ),
        ],
        ids=str,
    )
    def test_is_changed_by_nobody_else(
        self, managed: Managed, operation: str, request_: dict[str, Any]
    ) -> None:
        """Not by the account's administrator either."""
        before = managed("DescribeSecret"), managed.fields()
        code, text = managed.refused(operation, **request_)
        assert code == "InvalidRequestException"
        assert "owned by rds" in text
        assert (managed("DescribeSecret"), managed.fields())[1] == before[1]
        assert managed("DescribeSecret")["VersionIdsToStages"] == before[0]["VersionIdsToStages"]

    def test_takes_no_function(self, managed: Managed) -> None:
        arn = managed.service.register_function("f", lambda event, context: None)
        assert managed.refused(
            "RotateSecret", RotationLambdaARN=arn, ClientRequestToken="1" * 32
        ) == (
            "InvalidRequestException",
            "Rotation Lambda ARN is not supported for a service-managed secret.",
        )

    def test_is_not_made_if_the_password_cannot_be_set(self) -> None:
        database = Database()
        database.fails = True
        with EmbeddedService() as service:
            with pytest.raises(OSError, match="gone"):
                service.managed.create("rds", "admin", database, database="orders")
            assert service.call("ListSecrets", {})["SecretList"] == []

    def test_goes_with_its_database(self, managed: Managed) -> None:
        managed.service.managed.release(managed.arn)
        assert managed.refused("DescribeSecret")[0] == "ResourceNotFoundException"
        with pytest.raises(ConfigError, match="no managed secret"):
            managed.service.managed.status(managed.arn)

    def test_of_others_is_none(self, managed: Managed) -> None:
        """What no database service owns cannot be given to one."""
        create = {"Name": "mine", "SecretString": "x", "ClientRequestToken": "x" * 32}
        managed.service.call("CreateSecret", create)
        with pytest.raises(ConfigError, match="no managed secret 'mine'"):
            managed.service.managed.attach("mine", managed.database)
        nothing: Any = "oracle"
        with pytest.raises(ConfigError, match="no kind"):
            managed.service.managed.create(nothing, "a", managed.database, database="b")


class TestARotation:
    def test_opens_a_window_of_a_minute(self, managed: Managed) -> None:
        """In the database the password is new; only AWSPENDING logs in until AWSCURRENT moves."""
        before = managed.fields()["password"]
        managed.rotate()
        assert managed.service.run_due().rotated == ()
        pending = managed.fields("AWSPENDING")["password"]
        assert managed.database.password == pending != before
        assert managed.fields()["password"] == before
        assert managed.service.managed.status(managed.arn) == "rotating"
        managed.clock.advance(59)
        assert managed.service.run_due().rotated == ()
        managed.clock.advance(1)
        assert managed.service.run_due().rotated == (managed.arn,)
        assert managed.fields()["password"] == pending
        assert managed.fields("AWSPREVIOUS")["password"] == before
        assert managed.labels() == {"AWSCURRENT", "AWSPREVIOUS"}
        assert managed.events() == ["RotationStarted", "RotationSucceeded"]
        assert managed.database.sets == 2
        assert "LastRotatedDate" in managed("DescribeSecret")

    def test_comes_by_itself_when_it_is_due(self, managed: Managed) -> None:
        """After seven days; a rule of the user's own takes the place of that."""
        managed.clock.advance(days=7)
        managed.service.run_due()
        managed.clock.advance(60)
        assert managed.service.run_due().rotated == (managed.arn,)
        managed.rotate("2", RotationRules={"AutomaticallyAfterDays": 3})
        assert managed("DescribeSecret")["RotationRules"] == {"AutomaticallyAfterDays": 3}
        assert "RotationLambdaARN" not in managed("DescribeSecret")

    def test_may_be_tried_without_rotating(self, managed: Managed) -> None:
        before = managed.fields()
        managed.rotate(RotateImmediately=False)
        managed.service.run_due()
        assert managed.fields() == before
        assert managed.labels() == {"AWSCURRENT"}
        assert managed.database.sets == 1

    def test_that_fails_is_impaired_and_tried_again(self, managed: Managed) -> None:
        """With the same password; what the database said stays out of the event."""
        managed.rotate()
        managed.database.fails = True
        assert managed.service.run_due().failed == (managed.arn,)
        assert managed.service.managed.status(managed.arn) == "impaired"
        (failed,) = managed.service.audit.lookup(event_name="RotationFailed")
        assert failed["additionalEventData"]["FailureReason"] == "setSecret: OSError"
        pending = managed.fields("AWSPENDING")
        managed.database.fails = False
        managed.clock.advance(120)
        assert managed.service.run_due().rotated == (managed.arn,)
        assert managed.fields() == pending

    def test_goes_on_in_another_process(self, tmp_path: Any) -> None:
        """The window counts from its begin; somebody must say who sets the password."""
        first = Managed(f"embedded://{tmp_path}/secrets.db")
        first.rotate()
        first.service.run_due()
        first.service.close()
        with EmbeddedService(first.url, clock=first.clock) as second:
            first.clock.advance(60)
            assert second.run_due().failed == ()  # another node may have who sets it
            first.clock.advance(600)
            assert second.run_due().failed == (first.arn,)
            (failed,) = second.audit.lookup(event_name="RotationFailed")
            assert "service.managed.attach()" in str(failed)
            second.managed.attach(first.arn, first.database)
            first.clock.advance(600)
            assert second.run_due().rotated == (first.arn,)

    def test_uses_a_key_of_the_customers(self) -> None:
        with EmbeddedService() as service:
            key = service.create_key()
            database = Database()
            arn = service.managed.create(
                "rds", "admin", database, database="orders", kms_key_id=key, window=0
            )
            assert service.call("DescribeSecret", {"SecretId": arn})["KmsKeyId"] == key
            service.call("RotateSecret", {"SecretId": arn, "ClientRequestToken": "1" * 32})
            assert service.run_due().rotated == (arn,)


def test_there_are_two_owners_and_two_rhythms() -> None:
    assert {"rds", "redshift"} == OWNERS
    assert {kind.days for kind in KINDS.values()} == {7, 30}


class PostgresMaster:
    """Sets a password on a real PostgreSQL, as whoever runs the server can."""

    def __init__(self, server: Any, dbname: str) -> None:
        self.server = server
        self.dbname = dbname

    def set_password(self, username: str, password: str) -> None:
        from psycopg import sql

        with self.server.connect() as connection:
            statement = sql.SQL("ALTER USER {} PASSWORD {}")
            connection.execute(statement.format(sql.Identifier(username), sql.Literal(password)))

    def takes(self, username: str, password: str) -> bool:
        import psycopg

        try:
            self.server.connect(username, password, self.dbname).close()
        except psycopg.OperationalError:
            return False
        return True


def test_on_a_real_postgresql_a_client_logs_in_throughout(user: Any) -> None:
    """Before, in the window (through AWSPENDING) and after it, by the client's own ladder."""
    import psycopg

    from smclient import SecretsClient

    clock = FakeClock(START)
    master = PostgresMaster(user.server, user.dbname)
    with EmbeddedService(clock=clock) as service:
        arn = service.managed.create("rds", user.name, master, database="orders")
        with SecretsClient(service.backend(), clock=clock) as client:
            login = client.connector(
                arn,
                psycopg.connect,
                host=user.server.host,
                port=user.server.port,
                dbname=user.dbname,
            )
            login().close()
            for turn in range(3):
                token = f"turn-{turn}".ljust(32, "0")
                service.call("RotateSecret", {"SecretId": arn, "ClientRequestToken": token})
                service.run_due()
                current = json.loads(client.refresh(arn).text)
                assert not master.takes(user.name, current["password"])
                login().close()
                clock.advance(60)
                assert service.run_due().rotated == (arn,)
                login().close()
                current = json.loads(client.refresh(arn).text)
                assert master.takes(user.name, current["password"])
