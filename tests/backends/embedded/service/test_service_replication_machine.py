"""Random lives of a primary and its replicas: each replica stays as its primary is."""

from __future__ import annotations

import tempfile
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from smclient.testing import FakeClock
from smclient_embedded import EmbeddedService
from smclient_embedded.errors import ServiceError
from smclient_embedded.rotating import RotationTo

HERE = "us-east-1"
REGIONS = ("eu-west-1", "ap-south-2")
PLACES = st.sampled_from(REGIONS)
POLICY = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"123456789012"},'
    '"Action":"secretsmanager:GetSecretValue","Resource":"*"}]}'
)
SAME = (
    "Name",
    "Description",
    "Tags",
    "VersionIdsToStages",
    "LastChangedDate",
    "RotationEnabled",
    "RotationRules",
    "RotationLambdaARN",
    "NextRotationDate",
    "LastRotatedDate",
    "PrimaryRegion",
)
"""What a replica shows as its primary does."""


class Replicated(RuleBasedStateMachine):
    """One secret, two regions to replicate to, a key in each that goes out of use at times."""

    url = "embedded://"

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FakeClock()
        url = self.url.replace("FOLDER", self.folder.name)
        self.service = EmbeddedService(url, region=HERE, clock=self.clock)
        self.function = self.service.register_function("rotate", RotationTo())
        self.keys = {place: self.service.create_key(region=place) for place in REGIONS}
        self.disabled: set[str] = set()
        self.alone: set[str] = set()  # regions with a secret of that name that follows nobody
        self.count = 0

    def teardown(self) -> None:
        self.service.close()
        self.folder.cleanup()

    def ask(self, operation: str, *, region: str = HERE, **request: Any) -> Any:
        """The answer, or the code of the refusal."""
        self.clock.advance(seconds=1)
        try:
            return self.service.call(operation, request, self.service.context(region=region))
        except ServiceError as error:
            return error.code

    def token(self) -> str:
        self.count += 1
        return f"version-{self.count}-".ljust(32, "0")

    def entries(self) -> dict[str, str]:
        """Region to status, as the primary shows it."""
        shown = self.ask("DescribeSecret", SecretId="s").get("ReplicationStatus", [])
        return {entry["Region"]: entry["Status"] for entry in shown}

    # --- rules ------------------------------------------------------------------------------------

    @initialize(valued=st.booleans())
    def begin(self, valued: bool) -> None:
        token = self.token()
        value = {"SecretString": token} if valued else {}
        self.ask("CreateSecret", Name="s", ClientRequestToken=token, **value)

    @rule(
        labels=st.lists(st.sampled_from(["AWSCURRENT", "AWSPENDING", "BLUE"]), unique=True),
        binary=st.booleans(),
    )
    def put(self, labels: list[str], binary: bool) -> None:
        token = self.token()
        value: dict[str, Any] = (
            {"SecretBinary": token.encode()} if binary else {"SecretString": token}
        )
        stages = {"VersionStages": labels} if labels else {}
        answer = self.ask(
            "PutSecretValue", SecretId="s", ClientRequestToken=token, **value, **stages
        )
        assert isinstance(answer, dict), answer

    @rule(text=st.sampled_from(["one", "two", ""]))
    def describe_anew(self, text: str) -> None:
        token = self.token()
        answer = self.ask("UpdateSecret", SecretId="s", Description=text, ClientRequestToken=token)
        assert isinstance(answer, dict), answer

    @rule(key=st.sampled_from(["a", "b"]), add=st.booleans())
    def tag(self, key: str, add: bool) -> None:
        if add:
            assert self.ask("TagResource", SecretId="s", Tags=[{"Key": key, "Value": key}]) == {}
        else:
            assert self.ask("UntagResource", SecretId="s", TagKeys=[key]) == {}

    @rule(add=st.booleans())
    def attach_policy(self, add: bool) -> None:
        if add:
            answer = self.ask("PutResourcePolicy", SecretId="s", ResourcePolicy=POLICY)
        else:
            answer = self.ask("DeleteResourcePolicy", SecretId="s")
        assert isinstance(answer, dict), answer

    @rule(label=st.sampled_from(["AWSCURRENT", "BLUE"]), place=st.integers(0, 9))
    def move(self, label: str, place: int) -> None:
        labels = self.ask("DescribeSecret", SecretId="s").get("VersionIdsToStages", {})
        holder = [version for version, on in labels.items() if label in on]
        if not labels:
            return
        target = sorted(labels)[place % len(labels)]
        more = {"RemoveFromVersionId": holder[0]} if holder else {}
        self.ask(
            "UpdateSecretVersionStage",
            SecretId="s",
            VersionStage=label,
            MoveToVersionId=target,
            **more,
        )

    @rule(immediately=st.booleans())
    def rotate(self, immediately: bool) -> None:
        self.ask(
            "RotateSecret",
            SecretId="s",
            RotationLambdaARN=self.function,
            RotationRules={"AutomaticallyAfterDays": 3},
            RotateImmediately=immediately,
            ClientRequestToken=self.token(),
        )

    @rule(days=st.integers(0, 4))
    def run_due(self, days: int) -> None:
        """Only the primary is ever rotated."""
        self.clock.advance(days=days)
        done = self.service.run_due()
        for arn in (*done.rotated, *done.failed):
            assert arn.split(":")[3] == HERE or arn.split(":")[3] in self.alone

    @rule()
    def cancel(self) -> None:
        assert isinstance(self.ask("CancelRotateSecret", SecretId="s"), dict)

    @rule(place=PLACES, own_key=st.booleans(), force=st.booleans())
    def replicate(self, place: str, own_key: bool, force: bool) -> None:
        asked = {"Region": place, **({"KmsKeyId": self.keys[place]} if own_key else {})}
        answer = self.ask(
            "ReplicateSecretToRegions",
            SecretId="s",
            AddReplicaRegions=[asked],
            ForceOverwriteReplicaSecret=force,
        )
        assert isinstance(answer, dict), answer
        assert {"Region": place, "Status": "InProgress"}.items() <= next(
            entry for entry in answer["ReplicationStatus"] if entry["Region"] == place
        ).items()
        if place in self.alone:
            if self.entries()[place] == "InSync":
                assert force
                self.alone.discard(place)
            elif not force:
                assert self.entries()[place] == "Failed"

    @rule(place=PLACES)
    def remove(self, place: str) -> None:
        answer = self.ask(
            "RemoveRegionsFromReplication", SecretId="s", RemoveReplicaRegions=[place]
        )
        assert place not in {entry["Region"] for entry in answer["ReplicationStatus"]}
        found = self.ask("DescribeSecret", region=place, SecretId="s")
        assert (found != "ResourceNotFoundException") == (place in self.alone)

    @rule(place=PLACES)
    def promote(self, place: str) -> None:
        before = self.entries()
        answer = self.ask("StopReplicationToReplica", region=place, SecretId="s")
        if isinstance(answer, dict):
            assert place in before
            assert place not in self.entries()
            self.alone.add(place)
        else:
            missing = answer == "ResourceNotFoundException"
            assert missing or (place in self.alone and answer == "InvalidParameterException")

    @rule(place=PLACES, out=st.booleans())
    def use_key(self, place: str, out: bool) -> None:
        if out:
            self.service.keys.disable(self.keys[place])
        else:
            self.service.keys.enable(self.keys[place])

    @rule()
    def delete(self) -> None:
        """Only a secret without replicas goes; here it comes back at once."""
        replicated = bool(self.entries())
        answer = self.ask("DeleteSecret", SecretId="s")
        assert (answer == "InvalidParameterException") == replicated
        if not replicated:
            assert isinstance(self.ask("RestoreSecret", SecretId="s"), dict)

    # --- what always holds ------------------------------------------------------------------------

    @invariant()
    def a_replica_in_sync_is_as_its_primary_is(self) -> None:
        primary = self.ask("DescribeSecret", SecretId="s")
        if not isinstance(primary, dict):
            return  # before the first rule
        for place, status in self.entries().items():
            if status != "InSync":
                continue
            replica = self.ask("DescribeSecret", region=place, SecretId="s")
            for member in SAME:
                assert replica.get(member) == primary.get(member), (place, member)
            policies = [
                self.ask("GetResourcePolicy", region=where, SecretId="s").get("ResourcePolicy")
                for where in (HERE, place)
            ]
            assert policies[0] == policies[1]
            self.compare_values(place, primary.get("VersionIdsToStages", {}))

    def compare_values(self, place: str, versions: dict[str, Any]) -> None:
        for version in versions:
            here, there = (
                self.ask("GetSecretValue", region=where, SecretId="s", VersionId=version)
                for where in (HERE, place)
            )
            if there == "DecryptionFailure":  # its key went out of use after the copy was made
                continue
            for member in ("SecretString", "SecretBinary", "VersionStages"):
                assert _member(here, member) == _member(there, member)

    @invariant()
    def every_secret_elsewhere_is_a_replica_or_stands_alone(self) -> None:
        entries = self.ask("DescribeSecret", SecretId="s")
        known = self.entries() if isinstance(entries, dict) else {}
        for place in REGIONS:
            found = self.ask("DescribeSecret", region=place, SecretId="s")
            if found == "ResourceNotFoundException":
                assert place not in self.alone
                assert known.get(place) in (None, "Failed")
            else:
                assert (place in self.alone) == ("PrimaryRegion" not in found)
                assert place in self.alone or place in known


def _member(answer: Any, name: str) -> Any:
    return answer.get(name) if isinstance(answer, dict) else answer


class ReplicatedOnSqlite(Replicated):
    """The same over SQLite."""

    url = "embedded://FOLDER/s.db"


TestInMemory = Replicated.TestCase
TestInMemory.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestOnSqlite = ReplicatedOnSqlite.TestCase
TestOnSqlite.settings = settings(
    max_examples=5, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
