"""Findings of a service: one for a control and a secret, updated, resolved, archived, joined."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from smclient.errors import ConfigError
from smclient_embedded import EmbeddedService
from smclient_embedded.findings import (
    FRAMEWORKS,
    InvalidFindingError,
    book,
    by_requirement,
    summarise,
)
from smclient_embedded.findings.controls import BY_ID
from smclient_embedded.rotating import RotationTo
from smclient_embedded.store.records import Scope

REQUIRED = {
    "AwsAccountId",
    "CreatedAt",
    "Description",
    "GeneratorId",
    "Id",
    "ProductArn",
    "Resources",
    "SchemaVersion",
    "Severity",
    "Title",
    "Types",
    "UpdatedAt",
}


def of(world: Any, control: str, **more: Any) -> dict[str, Any]:
    """The only finding of a control."""
    found = [
        finding
        for finding in world.service.findings(**more)
        if finding.get("Compliance", {}).get("SecurityControlId") == control
    ]
    assert len(found) == 1
    return dict(found[0])


def rotated(world: Any) -> None:
    function = world.service.register_function("rotate", RotationTo("next"))
    world(
        "RotateSecret",
        SecretId="s",
        RotationLambdaARN=function,
        RotationRules={"AutomaticallyAfterDays": 30},
    )
    world.service.run_due()


class TestAFinding:
    def test_is_in_asff(self, world: Any) -> None:
        """All that is required, and what Security Hub adds of a control."""
        arn = world.create(Tags=[{"Key": "owner", "Value": "me"}])
        finding = of(world, "SecretsManager.1")
        assert finding.keys() >= REQUIRED
        assert finding["SchemaVersion"] == "2018-10-08"
        assert finding["Id"].startswith(
            "arn:aws:securityhub:us-east-1:123456789012:security-control/SecretsManager.1/finding/"
        )
        assert finding["ProductArn"] == ("arn:aws:securityhub:us-east-1::product/aws/securityhub")
        assert finding["GeneratorId"] == "security-control/SecretsManager.1"
        assert finding["AwsAccountId"] == "123456789012"
        assert finding["CreatedAt"] == finding["UpdatedAt"] == "2026-09-24T10:20:30.123Z"
        assert finding["Severity"] == {"Label": "MEDIUM", "Normalized": 40, "Original": "MEDIUM"}
        assert finding["Compliance"]["Status"] == "FAILED"
        assert "PCI DSS v4.0.1/8.6.3" in finding["Compliance"]["RelatedRequirements"]
        assert finding["Workflow"] == {"Status": "NEW"}
        assert finding["RecordState"] == "ACTIVE"
        (resource,) = finding["Resources"]
        assert resource == {
            "Type": "AwsSecretsManagerSecret",
            "Id": arn,
            "Partition": "aws",
            "Region": "us-east-1",
            "Tags": {"owner": "me"},
            "Details": {
                "AwsSecretsManagerSecret": {
                    "Name": "s",
                    "Deleted": False,
                    "RotationEnabled": False,
                }
            },
        }
        assert len(finding["Description"]) <= 1024
        json.dumps(finding)

    def test_of_our_own_control_has_a_product_of_the_account(self, world: Any) -> None:
        """It does not pretend to be Security Hub's."""
        world.create()
        finding = of(world, "SMClient.3")
        assert finding["ProductArn"] == (
            "arn:aws:securityhub:us-east-1:123456789012:product/123456789012/default"
        )
        assert finding["GeneratorId"] == "smclient/SMClient.3"

    def test_is_one_however_often_it_is_looked_at(self, world: Any) -> None:
        """The same id, also by another process; only the last look moves on."""
        world.create()
        first = world.service.findings()
        world.clock.advance(days=1)
        second = world.service.findings()
        assert [one["Id"] for one in first] == [one["Id"] for one in second]
        assert len({one["Id"] for one in first}) == len(first)
        finding = of(world, "SecretsManager.1")
        assert finding["CreatedAt"] == "2026-09-24T10:20:30.123Z"
        assert finding["UpdatedAt"] == "2026-09-24T10:20:30.123Z"
        assert finding["LastObservedAt"] == "2026-09-25T10:20:30.123Z"

    def test_is_resolved_when_it_is_fixed_and_new_when_it_is_back(self, world: Any) -> None:
        """INFORMATIONAL while it passes, with the status before."""
        world.create()
        before = of(world, "SecretsManager.1")
        world.clock.advance(3600)
        rotated(world)
        fixed = of(world, "SecretsManager.1")
        assert fixed["Id"] == before["Id"]
        assert fixed["Compliance"]["Status"] == "PASSED"
        assert fixed["Severity"]["Label"] == "INFORMATIONAL"
        assert fixed["Workflow"]["Status"] == "RESOLVED"
        assert fixed["ProductFields"]["PreviousComplianceStatus"] == "FAILED"
        assert fixed["CreatedAt"] == before["CreatedAt"]
        assert fixed["UpdatedAt"] == "2026-09-24T11:20:30.123Z"
        world("CancelRotateSecret", SecretId="s")
        back = of(world, "SecretsManager.1")
        assert (back["Compliance"]["Status"], back["Workflow"]["Status"]) == ("FAILED", "NEW")
        assert back["Severity"]["Label"] == "MEDIUM"

    def test_is_archived_when_its_secret_or_its_question_is_gone(self, world: Any) -> None:
        """And forgotten 30 days later; it comes back if the question does."""
        world.create()
        rotated(world)
        assert of(world, "SecretsManager.2")["RecordState"] == "ACTIVE"
        world("CancelRotateSecret", SecretId="s")
        assert of(world, "SecretsManager.2")["RecordState"] == "ARCHIVED"
        world("RotateSecret", SecretId="s")
        world.service.run_due()
        assert of(world, "SecretsManager.2")["RecordState"] == "ACTIVE"
        world("DeleteSecret", SecretId="s")
        assert {one["RecordState"] for one in world.service.findings()} == {"ARCHIVED"}
        world.clock.advance(days=31)
        assert world.service.findings() == []

    def test_stays_suppressed_whatever_happens(self, world: Any) -> None:
        """Somebody settled it."""
        world.create()
        finding = of(world, "SecretsManager.1")
        assert world.service.set_finding_workflow([finding["Id"], "none"], "SUPPRESSED") == 1
        rotated(world)
        assert of(world, "SecretsManager.1")["Workflow"]["Status"] == "SUPPRESSED"
        world("CancelRotateSecret", SecretId="s")
        assert of(world, "SecretsManager.1")["Workflow"]["Status"] == "SUPPRESSED"
        with pytest.raises(ConfigError, match="NOTIFIED"):
            world.service.set_finding_workflow([finding["Id"]], "DONE")

    def test_that_says_nothing_new_needs_no_turn_to_write(
        self, world: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Judging ten thousand secrets keeps nobody from writing."""
        world.create()
        first = world.service.findings()
        store = world.service.door.store
        transaction = store.transaction

        def reading_only(*, write: bool) -> Any:
            assert not write
            return transaction(write=write)

        monkeypatch.setattr(store, "transaction", reading_only)
        assert world.service.findings() == first

    def test_keeps_what_another_did_while_it_was_judged(
        self, world: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A workflow that was set, and what another look found of a secret made since."""
        world.create()
        finding = of(world, "SecretsManager.1")
        world("DeleteSecret", SecretId="s", ForceDeleteWithoutRecovery=True)
        world.create("other")
        store = world.service.door.store
        transaction = store.transaction

        def meanwhile(*, write: bool) -> Any:
            if write:
                monkeypatch.undo()
                world.create("third")
                world.service.findings()
                world.service.set_finding_workflow([finding["Id"]], "NOTIFIED")
            return transaction(write=write)

        monkeypatch.setattr(store, "transaction", meanwhile)
        found = world.service.findings()
        (old,) = [one for one in found if one["Id"] == finding["Id"]]
        assert (old["RecordState"], old["Workflow"]["Status"]) == ("ARCHIVED", "NOTIFIED")
        third = [one for one in found if ":secret:third-" in one["Resources"][0]["Id"]]
        assert {one["RecordState"] for one in third} == {"ACTIVE"}

    def test_of_a_control_that_is_no_more_hinders_no_workflow(self, world: Any) -> None:
        """A store that another version wrote."""
        arn = world.create()
        finding = of(world, "SecretsManager.1")
        scope = Scope("123456789012", "us-east-1")
        with world.service.door.store.transaction(write=True) as tx:
            known = book._read(tx, scope)
            book._write(tx, scope, {**known, ("SMClient.99", arn): next(iter(known.values()))})
        assert world.service.set_finding_workflow([finding["Id"]], "NOTIFIED") == 1

    def test_survives_a_restart(self, make: Callable[..., Any], tmp_path: Path) -> None:
        """What was known is in the store."""
        url = f"embedded://{tmp_path}/s.db"
        world = make(url)
        world.create()
        first = of(world, "SecretsManager.1")
        world.service.close()
        world.clock.advance(days=3)
        assert of(make(url), "SecretsManager.1")["CreatedAt"] == first["CreatedAt"]

    def test_that_says_nothing_new_writes_nothing(
        self, memory: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A look that changes nothing changes no store."""
        memory.create()
        first = memory.service.findings()

        def unexpected(*_: object) -> None:
            raise AssertionError("it was written")

        monkeypatch.setattr("smclient_embedded.findings.book._write", unexpected)
        assert memory.service.findings() == first


class TestParameters:
    def test_change_what_passes_and_are_shown(self, world: Any) -> None:
        """By AWS's names."""
        world.create()
        rotated(world)
        given = {"maximumAllowedRotationFrequency": 7, "requiredTagKeys": ["owner"]}
        finding = of(world, "SecretsManager.1", parameters=given)
        assert finding["Compliance"]["Status"] == "FAILED"
        assert finding["Compliance"]["SecurityControlParameters"] == [
            {"Name": "maximumAllowedRotationFrequency", "Value": ["7"]}
        ]
        tagged = of(world, "SecretsManager.5", parameters=given)
        assert "no tag owner" in tagged["Description"]

    def test_out_of_bounds_are_refused_before_anything_is_looked_at(self, memory: Any) -> None:
        """Nothing is kept."""
        memory.create()
        with pytest.raises(ConfigError, match="1 to 365"):
            memory.service.findings({"unusedForDays": 0})


class TestTheKey:
    """Of SMClient.3: the key that is in use counts, not what it was called."""

    @pytest.mark.parametrize("called", ["arn", "id", "alias", "alias arn"])
    def test_that_is_allowed_by_its_arn_passes(self, world: Any, called: str) -> None:
        key = world.service.create_key(alias="ours")
        place, _, key_id = key.partition("key/")
        names = {"arn": key, "id": key_id, "alias": "alias/ours", "alias arn": f"{place}alias/ours"}
        world.create(KmsKeyId=names[called])
        allowed = of(world, "SMClient.3", parameters={"kmsKeyArns": [key]})
        assert allowed["Compliance"]["Status"] == "PASSED"
        other = of(world, "SMClient.3", parameters={"kmsKeyArns": [f"{place}key/other"]})
        assert f"under {key}, which is none" in other["Description"]

    def test_that_is_the_default_one_fails_by_its_arn_too(self, world: Any) -> None:
        world.create("first")
        version = world("ListSecretVersionIds", SecretId="first")["Versions"][0]
        assert version["KmsKeyIds"] == ["DefaultEncryptionKey"]
        with world.service.door.store.transaction(write=False) as tx:
            (managed,) = tx.keys(Scope("123456789012", "us-east-1"))
        world("DeleteSecret", SecretId="first", ForceDeleteWithoutRecovery=True)
        world.create(KmsKeyId=managed.arn)
        finding = of(world, "SMClient.3")
        assert finding["Compliance"]["Status"] == "FAILED"
        details = finding["Resources"][0]["Details"]["AwsSecretsManagerSecret"]
        assert details["KmsKeyId"] == managed.arn


class TestAcrossAccounts:
    def test_every_account_and_region_of_the_store_is_judged(self, tmp_path: Path) -> None:
        """Or one."""
        url = f"embedded://{tmp_path}/s.db"
        for account, region in (("111111111111", "us-east-1"), ("222222222222", "eu-west-1")):
            with EmbeddedService(url, account=account, region=region) as service:
                service.call(
                    "CreateSecret",
                    {"Name": "s", "SecretString": "x", "ClientRequestToken": "t" * 32},
                )
        with EmbeddedService(url) as service:
            found = service.findings()
            assert {(one["AwsAccountId"], one["Region"]) for one in found} == {
                ("111111111111", "us-east-1"),
                ("222222222222", "eu-west-1"),
            }
            only = service.findings(account="222222222222")
            assert {one["AwsAccountId"] for one in only} == {"222222222222"}

    def test_many_secrets_are_judged_page_by_page(
        self, memory: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each once."""
        monkeypatch.setattr("smclient_embedded.findings.book._PAGE", 3)
        for n in range(10):
            memory.create(f"s{n}")
        found = [f for f in memory.service.findings() if f["GeneratorId"].endswith("Manager.1")]
        assert len(found) == 10


def guard_duty(arn: str, **more: Any) -> dict[str, Any]:
    return {
        "SchemaVersion": "2018-10-08",
        "Id": "arn:aws:guardduty:us-east-1:123456789012:detector/d/finding/f",
        "ProductArn": "arn:aws:securityhub:us-east-1::product/aws/guardduty",
        "ProductName": "GuardDuty",
        "GeneratorId": "arn:aws:guardduty:us-east-1:123456789012:detector/d",
        "AwsAccountId": "123456789012",
        "Types": ["TTPs/Credential Access/CredentialAccess:IAMUser-AnomalousBehavior"],
        "CreatedAt": "2026-09-24T09:00:00Z",
        "UpdatedAt": "2026-09-24T09:00:00Z",
        "Severity": {"Normalized": 50},
        "Title": "Anomalous GetSecretValue",
        "Description": "A user read what it never read before.",
        "Resources": [{"Type": "AwsSecretsManagerSecret", "Id": arn}],
        **more,
    }


class TestFindingsOfOthers:
    def test_stand_beside_our_own_and_are_counted_with_them(self, world: Any) -> None:
        """By severity, product and secret: one picture."""
        arn = world.create()
        assert world.service.take_in_findings([guard_duty(arn)]) == 1
        found = world.service.findings()
        assert found[-1]["Title"] == "Anomalous GetSecretValue"
        assert found[-1]["Severity"]["Label"] == "MEDIUM"
        counted = summarise(found)
        assert counted["by_product"]["GuardDuty"] == 1
        assert counted["by_resource"][arn] == counted["open"]
        assert counted["open"] == sum(counted["by_severity"].values())

    def test_are_updated_by_newer_ones_only(self, world: Any) -> None:
        """The workflow that was set here stays."""
        arn = world.create()
        world.service.take_in_findings([guard_duty(arn)])
        (theirs,) = [f for f in world.service.findings() if f.get("ProductName") == "GuardDuty"]
        assert world.service.set_finding_workflow([theirs["Id"]], "NOTIFIED") == 1
        older = guard_duty(arn, UpdatedAt="2026-09-23T09:00:00Z", Title="Older")
        assert world.service.take_in_findings([older]) == 0
        newer = guard_duty(arn, UpdatedAt="2026-09-25T09:00:00Z", Title="Newer")
        assert world.service.take_in_findings([newer]) == 1
        (theirs,) = [f for f in world.service.findings() if f.get("ProductName") == "GuardDuty"]
        assert (theirs["Title"], theirs["Workflow"]["Status"]) == ("Newer", "NOTIFIED")
        assert theirs["CreatedAt"] == "2026-09-24T09:00:00Z"

    @pytest.mark.parametrize("missing", sorted(REQUIRED - {"Types"}))
    def test_that_lack_something_are_refused(self, memory: Any, missing: str) -> None:
        """Named; of several, none is kept."""
        good, bad = guard_duty("arn:a:b:c:d:e:f"), guard_duty("x")
        del bad[missing]
        with pytest.raises(InvalidFindingError, match=f"finding 1.*{missing}"):
            memory.service.take_in_findings([good, bad])
        assert memory.service.findings() == []

    @pytest.mark.parametrize(
        "wrong",
        [
            {"SchemaVersion": "2017-01-01"},
            {"CreatedAt": "yesterday"},
            {"UpdatedAt": "2026-09-24T09:00:00"},
            {"Severity": {"Label": "BAD"}},
            {"Resources": []},
            {"Resources": [{"Id": "x"}]},
            {"Resources": [{"Type": "Other", "Id": 3}]},
            {"Compliance": None},
            {"Compliance": "FAILED"},
            {"Compliance": {"Status": None}},
            {"Compliance": {"Status": "BAD"}},
            {"Compliance": {"StatusReasons": ["because"]}},
            {"Workflow": "NEW"},
            {"Workflow": {"Status": "DONE"}},
            {"RecordState": ["ACTIVE"]},
            {"RecordState": "GONE"},
            {"Region": 1},
            {"FindingProviderFields": []},
            {"Title": 3},
            {"Description": "x" * 300_000},
            {"Note": object()},
        ],
    )
    def test_that_are_wrong_are_refused(self, memory: Any, wrong: dict[str, Any]) -> None:
        """Whatever is wrong with them."""
        with pytest.raises(InvalidFindingError):
            memory.service.take_in_findings([guard_duty("x", **wrong)])

    @pytest.mark.parametrize("more", [{}, {"Workflow": {}}, {"Compliance": {}}])
    def test_that_lack_what_may_be_absent_are_new_and_open(
        self, memory: Any, more: dict[str, Any]
    ) -> None:
        memory.service.take_in_findings([guard_duty("x", **more)])
        (found,) = memory.service.findings()
        assert (found["Workflow"]["Status"], found["RecordState"]) == ("NEW", "ACTIVE")
        assert summarise([found])["open"] == 1

    def test_are_kept_up_to_a_thousand(self, memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """The newest."""
        monkeypatch.setattr("smclient_embedded.findings.taking_in.MOST_KEPT", 3)
        several = [
            guard_duty("x", Id=f"f{n}", UpdatedAt=f"2026-09-2{n}T09:00:00Z") for n in range(6)
        ]
        memory.service.take_in_findings(several)
        assert [one["Id"] for one in memory.service.findings()] == ["f5", "f4", "f3"]


class TestFrameworks:
    @pytest.mark.parametrize("framework", ["pci", "hipaa", "soc2", "iso27001", "gdpr"])
    def test_say_for_each_requirement_what_a_control_evidences(
        self, memory: Any, framework: str
    ) -> None:
        """With the secrets that fail it."""
        arn = memory.create()
        told = by_requirement(framework, memory.service.findings())
        assert len(told) == len(FRAMEWORKS[framework]) >= 4
        for one in told:
            assert one["evidences"]
            assert one["controls"].keys() <= BY_ID.keys()
            assert one["passed"] + one["failed"] <= len(one["controls"])
        assert any(one["resources"] == [arn] for one in told)

    def test_what_security_hub_relates_is_told_from_our_reading(self, memory: Any) -> None:
        """Only PCI DSS is Security Hub's."""
        memory.create()
        told = by_requirement("pci", memory.service.findings())
        by_aws = {one["requirement"] for one in told if one["related_by"] == "Security Hub"}
        assert by_aws == {"PCI DSS v4.0.1/8.6.3", "PCI DSS v4.0.1/8.3.9"}

    def test_every_control_evidences_something(self) -> None:
        """Or why look?"""
        named = {c for each in FRAMEWORKS.values() for one in each for c in one.controls}
        assert named == BY_ID.keys()


def test_times_can_be_read_again(memory: Any) -> None:
    """ISO 8601 with a zone."""
    memory.create()
    for finding in memory.service.findings():
        for name in ("CreatedAt", "UpdatedAt", "FirstObservedAt", "LastObservedAt"):
            assert datetime.fromisoformat(finding[name]).tzinfo is not None
