"""Create, get, put, update: shapes, codes and messages of values, as AWS answers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

NO_TOKEN = "You must provide a ClientRequestToken value. We recommend a UUID-type value."
ONE_VALUE = "You must provide either SecretString or SecretBinary."
LONGEST = 65_536


def taken(token: str, arn: str) -> tuple[str, str]:
    return (
        "ResourceExistsException",
        f"You can't use ClientRequestToken {token} because that value is already in use for a "
        f"version of secret {arn}.",
    )


class TestCreateSecret:
    def test_with_a_value_answers_arn_name_and_the_token_as_version_id(self, world: Any) -> None:
        """Nothing else."""
        token = world.token("first")
        made = world("CreateSecret", Name="a/b", SecretString="x", ClientRequestToken=token)
        assert made.keys() == {"ARN", "Name", "VersionId"}
        assert (made["Name"], made["VersionId"]) == ("a/b", token)

    def test_without_a_value_answers_arn_and_name(self, world: Any) -> None:
        """There is no version then."""
        assert world("CreateSecret", Name="empty").keys() == {"ARN", "Name"}

    def test_without_a_value_describes_itself_without_versions(self, world: Any) -> None:
        """Four members, as recorded."""
        world("CreateSecret", Name="empty")
        assert world.describe("empty").keys() == {"ARN", "Name", "CreatedDate", "LastChangedDate"}

    def test_of_a_taken_name_is_refused(self, world: Any) -> None:
        """With the name in the message."""
        world.create("a")
        assert world.refused("CreateSecret", Name="a", SecretString="y") == (
            "ResourceExistsException",
            "The operation failed because the secret a already exists.",
        )

    def test_of_a_name_that_waits_for_its_deletion_is_refused(self, world: Any) -> None:
        """With another code."""
        world.create("a")
        world("DeleteSecret", SecretId="a")
        assert world.refused("CreateSecret", Name="a", SecretString="y") == (
            "InvalidRequestException",
            "You can't create this secret because a secret with this name is already scheduled "
            "for deletion.",
        )

    def test_of_a_name_that_was_deleted_by_force_gets_another_arn(self, world: Any) -> None:
        """The six characters are new each time."""
        before = world.create("a")
        world("DeleteSecret", SecretId="a", ForceDeleteWithoutRecovery=True)
        assert world.create("a") != before

    def test_once_more_with_the_same_token_and_value_answers_the_same(self, world: Any) -> None:
        """An SDK may have lost the first answer."""
        token = world.token("once")
        request = {"Name": "a", "SecretString": "x", "ClientRequestToken": token}
        assert world("CreateSecret", **request) == world("CreateSecret", **request)
        assert world.labels("a") == {"once": {"AWSCURRENT"}}

    def test_once_more_with_another_value_says_that_the_token_is_taken(self, world: Any) -> None:
        """And the version keeps its value."""
        arn = world.create("a", "x")
        again = world.refused(
            "CreateSecret", Name="a", SecretString="y", ClientRequestToken=world.token("v0")
        )
        assert again == taken(world.token("v0"), arn)
        assert world.value("a") == "x"

    def test_once_more_with_text_for_bytes_of_the_same_content_is_another_value(
        self, world: Any
    ) -> None:
        """Text and binary are different kinds."""
        arn = world.create("a", "x")
        again = world.refused(
            "CreateSecret", Name="a", SecretBinary=b"x", ClientRequestToken=world.token("v0")
        )
        assert again == taken(world.token("v0"), arn)

    def test_with_both_kinds_of_value_is_an_invalid_parameter(self, world: Any) -> None:
        """Nothing is made."""
        code, _ = world.refused("CreateSecret", Name="a", SecretString="x", SecretBinary=b"y")
        assert code == "InvalidParameterException"
        assert world("ListSecrets")["SecretList"] == []

    def test_keeps_description_and_tags(self, world: Any) -> None:
        """An empty list of tags is shown as such; none given, none shown."""
        world.create("a", Description="what it is for", Tags=[{"Key": "team", "Value": "red"}])
        world.create("b", Tags=[])
        world.create("c")
        assert world.describe("a")["Description"] == "what it is for"
        assert world.describe("a")["Tags"] == [{"Key": "team", "Value": "red"}]
        assert world.describe("b")["Tags"] == []
        assert "Tags" not in world.describe("c")

    def test_arns_are_made_of_region_account_name_and_six_characters(self, memory: Any) -> None:
        """So that policies can be written for them."""
        arn = memory.create("a/b")
        prefix = "arn:aws:secretsmanager:us-east-1:123456789012:secret:a/b-"
        assert arn.startswith(prefix)
        assert len(arn) == len(prefix) + 6
        assert arn[len(prefix) :].isalnum()


class TestGetSecretValue:
    def test_answers_exactly_these_members_for_text(self, world: Any) -> None:
        """CreatedDate is the version's."""
        arn = world.create("a", "text")
        world.clock.advance(60)
        world.put("v1", secret="a", value="later")
        assert world("GetSecretValue", SecretId="a") == {
            "ARN": arn,
            "Name": "a",
            "VersionId": world.token("v1"),
            "SecretString": "later",
            "VersionStages": ["AWSCURRENT"],
            "CreatedDate": world.service._door.now(),
        }

    def test_answers_bytes_without_a_text_member(self, world: Any) -> None:
        """Never both."""
        content = bytes(range(256))
        world("CreateSecret", Name="a", SecretBinary=content)
        found = world("GetSecretValue", SecretId="a")
        assert found["SecretBinary"] == content
        assert "SecretString" not in found

    def test_of_a_secret_without_a_value_misses_the_label(self, world: Any) -> None:
        """AWS names AWSCURRENT there."""
        world.create(value=None)
        assert world.refused("GetSecretValue", SecretId="s") == (
            "ResourceNotFoundException",
            "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT",
        )

    def test_of_an_unknown_label_names_it(self, world: Any) -> None:
        """Labels are case-sensitive."""
        world.create()
        assert world.refused("GetSecretValue", SecretId="s", VersionStage="awscurrent") == (
            "ResourceNotFoundException",
            "Secrets Manager can't find the specified secret value for staging label: awscurrent",
        )

    def test_of_an_unknown_version_names_it(self, world: Any) -> None:
        """The id as it was asked."""
        world.create()
        nowhere = world.token("nowhere")
        assert world.refused("GetSecretValue", SecretId="s", VersionId=nowhere) == (
            "ResourceNotFoundException",
            f"Secrets Manager can't find the specified secret value for VersionId: {nowhere}",
        )

    def test_of_a_version_with_another_ones_label_is_an_invalid_request(self, world: Any) -> None:
        """Also if the label is nowhere."""
        world.create()
        world.put("v1")
        for stage in ("AWSCURRENT", "NOWHERE"):
            found = world.refused(
                "GetSecretValue", SecretId="s", VersionId=world.token("v0"), VersionStage=stage
            )
            assert found == (
                "InvalidRequestException",
                "You provided a VersionStage that is not associated to the provided VersionId.",
            )

    def test_of_a_version_with_its_own_label_answers(self, world: Any) -> None:
        """Both together are a check."""
        world.create()
        world.put("v1")
        ask = {"VersionId": world.token("v0"), "VersionStage": "AWSPREVIOUS"}
        assert world.value(**ask) == "v0"

    def test_of_an_unknown_secret_is_not_found(self, world: Any) -> None:
        """AWS's shortest sentence."""
        assert world.refused("GetSecretValue", SecretId="nope") == (
            "ResourceNotFoundException",
            "Secrets Manager can't find the specified secret.",
        )

    def test_sets_the_day_of_access_on_secret_and_version(self, world: Any) -> None:
        """Cut to the day; absent before the first read; describing is no access."""
        world.create()
        assert "LastAccessedDate" not in world.describe()
        world.value()
        midnight = world.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
        assert world.describe()["LastAccessedDate"] == midnight
        versions = world("ListSecretVersionIds", SecretId="s")["Versions"]
        assert versions[0]["LastAccessedDate"] == midnight

    def test_sets_the_day_of_access_again_only_on_another_day(self, world: Any) -> None:
        """A second read of the day changes nothing, one on the next day does."""
        world.create()
        world.value()
        first = world.describe()
        world.clock.advance(hours=1)
        world.value()
        assert world.describe() == first
        world.clock.advance(days=1)
        world.value()
        assert world.describe()["LastAccessedDate"] == first["LastAccessedDate"] + timedelta(days=1)

    def test_reads_of_a_day_write_to_the_store_once(
        self, world: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The read path must not become a write path."""
        world.create()
        world.value()
        writes: list[bool] = []
        transaction = world.service._store.transaction

        def watched(*, write: bool) -> Any:
            writes.append(write)
            return transaction(write=write)

        monkeypatch.setattr(world.service._store, "transaction", watched)
        for _ in range(10):
            world.value()
        assert writes == [False] * 10


class TestPutSecretValue:
    def test_answers_the_version_and_its_labels(self, world: Any) -> None:
        """Exactly four members."""
        arn = world.create()
        assert world.put("v1") == {
            "ARN": arn,
            "Name": "s",
            "VersionId": world.token("v1"),
            "VersionStages": ["AWSCURRENT"],
        }

    def test_keeps_description_and_tags(self, world: Any) -> None:
        """It changes the value alone, and LastChangedDate."""
        world.create(Description="d", Tags=[{"Key": "k", "Value": "v"}])
        before = world.describe()
        world.clock.advance(5)
        world.put("v1")
        after = world.describe()
        assert after["LastChangedDate"] - before["LastChangedDate"] == timedelta(seconds=5)
        for member in ("Description", "Tags", "CreatedDate", "ARN", "Name"):
            assert after[member] == before[member]

    @pytest.mark.parametrize("value", [{}, {"SecretString": None}, {"SecretBinary": None}])
    def test_without_a_value_is_an_invalid_request(self, world: Any, value: Any) -> None:
        """null is no value."""
        world.create()
        assert world.refused("PutSecretValue", SecretId="s", **value) == (
            "InvalidRequestException",
            ONE_VALUE,
        )

    def test_with_both_kinds_of_value_is_an_invalid_parameter(self, world: Any) -> None:
        """And makes no version."""
        world.create()
        code, _ = world.refused("PutSecretValue", SecretId="s", SecretString="x", SecretBinary=b"y")
        assert code == "InvalidParameterException"
        assert world.labels() == {"v0": {"AWSCURRENT"}}

    def test_takes_thirty_two_hex_digits_as_token_and_version_id(self, world: Any) -> None:
        """A UUID without hyphens."""
        world.create()
        token = "0123456789abcdef0123456789abcdef"
        made = world("PutSecretValue", SecretId="s", SecretString="x", ClientRequestToken=token)
        assert made["VersionId"] == token

    def test_once_more_with_the_same_value_answers_the_same(self, world: Any) -> None:
        """No new version, and LastChangedDate stays."""
        world.create()
        first = world.put("v1")
        before = world.describe()
        world.clock.advance(60)
        assert world.put("v1") == first
        assert world.describe() == before

    def test_once_more_with_another_label_adds_it(self, world: Any) -> None:
        """The answer lists all labels of the version."""
        world.create()
        world.put("v1", "BLUE")
        assert world.put("v1", "GREEN")["VersionStages"] == ["BLUE", "GREEN"]
        assert world.labels() == {"v0": {"AWSCURRENT"}, "v1": {"BLUE", "GREEN"}}

    def test_once_more_with_another_value_says_that_the_token_is_taken(self, world: Any) -> None:
        """Value and labels stay."""
        arn = world.create()
        world.put("v1")
        again = world.refused(
            "PutSecretValue", SecretId="s", SecretString="z", ClientRequestToken=world.token("v1")
        )
        assert again == taken(world.token("v1"), arn)
        assert world.value() == "v1"

    def test_a_retry_that_comes_late_does_not_bring_the_old_value_back(self, world: Any) -> None:
        """The same call once more is ignored, even if another version is current by now."""
        world.create()
        world.put("v1")
        world.put("v2")
        assert world.put("v1")["VersionStages"] == ["AWSPREVIOUS"]
        assert world.value() == "v2"

    def test_a_retry_that_names_awscurrent_moves_it(self, world: Any) -> None:
        """A label that is asked for is a label that is wanted."""
        world.create()
        world.put("v1")
        world.put("v2")
        world.put("v1", "AWSCURRENT")
        assert world.labels() == {"v1": {"AWSCURRENT"}, "v2": {"AWSPREVIOUS"}}

    def test_the_same_value_under_a_new_token_is_a_new_version(self, world: Any) -> None:
        """Tokens decide, not values."""
        world.create(value="same")
        world.put("v1", value="same")
        assert world.labels() == {"v0": {"AWSPREVIOUS"}, "v1": {"AWSCURRENT"}}

    def test_the_same_token_serves_different_secrets(self, world: Any) -> None:
        """Version ids are unique in a secret only."""
        for name in ("a", "b"):
            world.create(name)
            world.put("v1", secret=name, value=name)
        assert (world.value("a"), world.value("b")) == ("a", "b")

    def test_of_an_unknown_secret_is_not_found(self, world: Any) -> None:
        """With the usual sentence."""
        assert world.refused("PutSecretValue", SecretId="nope", SecretString="x") == (
            "ResourceNotFoundException",
            "Secrets Manager can't find the specified secret.",
        )


class TestUpdateSecret:
    def test_of_the_description_alone_answers_arn_and_name(self, world: Any) -> None:
        """And makes no version."""
        arn = world.create()
        world.clock.advance(7)
        assert world("UpdateSecret", SecretId="s", Description="d") == {"ARN": arn, "Name": "s"}
        described = world.describe()
        assert described["Description"] == "d"
        assert described["LastChangedDate"] == described["CreatedDate"] + timedelta(seconds=7)
        assert world.labels() == {"v0": {"AWSCURRENT"}}

    def test_of_the_value_alone_keeps_the_description(self, world: Any) -> None:
        """The answer has the version then."""
        arn = world.create(Description="d")
        token = world.token("v1")
        made = world("UpdateSecret", SecretId="s", SecretString="x", ClientRequestToken=token)
        assert made == {"ARN": arn, "Name": "s", "VersionId": token}
        assert world.describe()["Description"] == "d"
        assert world.labels() == {"v0": {"AWSPREVIOUS"}, "v1": {"AWSCURRENT"}}

    def test_of_both_changes_both(self, world: Any) -> None:
        """In one call."""
        world.create()
        world("UpdateSecret", SecretId="s", SecretBinary=b"b", Description="new")
        assert world("GetSecretValue", SecretId="s")["SecretBinary"] == b"b"
        assert world.describe()["Description"] == "new"

    def test_with_a_taken_token_and_another_value_changes_nothing(self, world: Any) -> None:
        """Neither value nor description: all or nothing."""
        arn = world.create(Description="old")
        refused = world.refused(
            "UpdateSecret",
            SecretId="s",
            SecretString="z",
            Description="new",
            ClientRequestToken=world.token("v0"),
        )
        assert refused == taken(world.token("v0"), arn)
        assert world.describe()["Description"] == "old"
        assert world.value() == "v0"

    def test_once_more_with_the_same_value_makes_no_version(self, world: Any) -> None:
        """A retry is ignored, as with PutSecretValue."""
        world.create()
        request = {"SecretId": "s", "SecretString": "x", "ClientRequestToken": world.token("v1")}
        first = world("UpdateSecret", **request)
        world.put("v2")
        assert world("UpdateSecret", **request) == first
        assert world.value() == "v2"

    def test_with_both_kinds_of_value_is_an_invalid_parameter(self, world: Any) -> None:
        """As with the others."""
        world.create()
        code, _ = world.refused("UpdateSecret", SecretId="s", SecretString="x", SecretBinary=b"y")
        assert code == "InvalidParameterException"


class TestTokens:
    @pytest.mark.parametrize(
        ("operation", "request_"),
        [
            ("CreateSecret", {"Name": "new", "SecretString": "x"}),
            ("PutSecretValue", {"SecretId": "unknown", "SecretString": "x"}),
            ("UpdateSecret", {"SecretId": "unknown", "SecretString": "x"}),
        ],
    )
    def test_must_be_sent_and_are_missed_before_the_secret_is(
        self, world: Any, operation: str, request_: dict[str, Any]
    ) -> None:
        """The SDKs always send one; a raw request may not."""
        refused = world.refused(operation, ClientRequestToken=None, **request_)
        assert refused == ("InvalidRequestException", NO_TOKEN)

    def test_are_an_invalid_parameter_where_rotate_secret_misses_one(self, world: Any) -> None:
        """The same text under another code, as recorded."""
        refused = world.refused("RotateSecret", SecretId="unknown", ClientRequestToken=None)
        assert refused == ("InvalidParameterException", NO_TOKEN)

    @pytest.mark.parametrize("length", [32, 64])
    def test_may_be_32_to_64_characters_long(self, world: Any, length: int) -> None:
        """Both ends."""
        token = "t" * length
        assert (
            world("CreateSecret", Name="a", SecretString="x", ClientRequestToken=token)["VersionId"]
            == token
        )

    @pytest.mark.parametrize("length", [1, 31, 65])
    def test_of_another_length_break_a_limit(self, world: Any, length: int) -> None:
        """ValidationException, and nothing is made."""
        refused = world.refused(
            "CreateSecret", Name="a", SecretString="x", ClientRequestToken="t" * length
        )
        limit = "greater than or equal to 32" if length < 32 else "less than or equal to 64"
        assert refused == (
            "ValidationException",
            f"1 validation error detected: Value '{'t' * length}' at 'clientRequestToken' failed "
            f"to satisfy constraint: Member must have length {limit}",
        )
        assert world("ListSecrets")["SecretList"] == []


class TestSizes:
    @pytest.mark.parametrize("text", ["x" * LONGEST, "é" * (LONGEST // 2), "\0\n\u2028" * 100])
    def test_text_of_up_to_65536_bytes_comes_back_as_it_went(self, world: Any, text: str) -> None:
        """Every character of it."""
        world.create(value=text)
        assert world.value() == text

    def test_bytes_of_up_to_65536_come_back_as_they_went(self, world: Any) -> None:
        """No encoding between."""
        content = bytes(range(256)) * 256
        world("CreateSecret", Name="s", SecretBinary=content)
        assert world("GetSecretValue", SecretId="s")["SecretBinary"] == content

    @pytest.mark.parametrize(
        ("member", "value"),
        [
            ("secretString", "x" * (LONGEST + 1)),
            ("secretString", "é" * (LONGEST // 2 + 1)),
            ("secretBinary", b"x" * (LONGEST + 1)),
        ],
    )
    def test_more_is_refused_without_repeating_it(
        self, world: Any, member: str, value: str | bytes
    ) -> None:
        """The quota is in bytes; a sensitive value never stands in a message."""
        name = member[0].upper() + member[1:]
        assert world.refused("CreateSecret", Name="s", **{name: value}) == (
            "ValidationException",
            f"1 validation error detected: Value at '{member}' failed to satisfy constraint: "
            "Member must have length less than or equal to 65536",
        )

    @pytest.mark.parametrize(("member", "value"), [("secretString", ""), ("secretBinary", b"")])
    def test_an_empty_value_is_refused(self, world: Any, member: str, value: Any) -> None:
        """As recorded for text."""
        world.create()
        name = member[0].upper() + member[1:]
        assert world.refused("PutSecretValue", SecretId="s", **{name: value}) == (
            "ValidationException",
            f"1 validation error detected: Value at '{member}' failed to satisfy constraint: "
            "Member must have length greater than or equal to 1",
        )
