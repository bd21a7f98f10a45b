"""Names, ARNs, partial ARNs, regions: how a secret is found."""

from __future__ import annotations

from typing import Any

import pytest

INVALID = (
    "ValidationException",
    "Invalid name. Must be a valid name containing alphanumeric characters, or any of the "
    "following: -/_+=.@!",
)
NOT_FOUND = (
    "ResourceNotFoundException",
    "Secrets Manager can't find the specified secret.",
)
BY_ID = {
    "DeleteSecret": {},
    "DescribeSecret": {},
    "GetSecretValue": {},
    "ListSecretVersionIds": {},
    "PutSecretValue": {"SecretString": "x"},
    "RestoreSecret": {},
    "TagResource": {"Tags": []},
    "UntagResource": {"TagKeys": []},
    "UpdateSecret": {},
}


class TestNames:
    @pytest.mark.parametrize("name", ["a", "A-b_c/d+e=f.g@h", "/x", "9", "n" * 512, "-AbCdEf"])
    def test_hold_letters_digits_and_some_signs(self, world: Any, name: str) -> None:
        """Up to 512 of them."""
        world.create(name, "x")
        assert world.value(name) == "x"

    @pytest.mark.parametrize(
        "name", ["a b", "a:b", "ä", "a\n", "a\0", "a,b", "{}", "a*", "名", "a'b", "%2e", "a?b"]
    )
    def test_hold_nothing_else(self, memory: Any, name: str) -> None:
        """One sentence, which lists the signs."""
        assert memory.refused("CreateSecret", Name=name, SecretString="x") == INVALID

    def test_end_at_512_characters(self, world: Any) -> None:
        """A limit of the model."""
        code, text = world.refused("CreateSecret", Name="n" * 513, SecretString="x")
        assert code == "ValidationException"
        assert text.endswith(
            "at 'name' failed to satisfy constraint: Member must have length "
            "less than or equal to 512"
        )

    @pytest.mark.parametrize("operation", sorted(BY_ID))
    def test_are_checked_before_the_secret_is_looked_up(self, memory: Any, operation: str) -> None:
        """In every operation that takes an id."""
        assert memory.refused(operation, SecretId="not a name", **BY_ID[operation]) == INVALID

    def test_are_checked_even_where_deletion_is_forced(self, world: Any) -> None:
        """Recorded too."""
        refused = world.refused(
            "DeleteSecret", SecretId="not a name", ForceDeleteWithoutRecovery=True
        )
        assert refused == INVALID

    def test_are_case_sensitive(self, world: Any) -> None:
        """``a`` is not ``A``."""
        world.create("a", "small")
        world.create("A", "big")
        assert (world.value("a"), world.value("A")) == ("small", "big")


class TestArns:
    def test_a_secret_is_found_by_name_arn_and_arn_without_suffix(self, world: Any) -> None:
        """One secret, three ways."""
        arn = world.create("a/b")
        assert {world.describe(id_)["ARN"] for id_ in ("a/b", arn, arn[:-7])} == {arn}

    @pytest.mark.parametrize("cut", [1, 3, 6, 8])
    def test_no_other_part_of_an_arn_will_do(self, world: Any, cut: int) -> None:
        """Neither half a suffix nor a hyphen too many."""
        arn = world.create("abcdef")
        assert world.refused("DescribeSecret", SecretId=arn[:-cut]) == NOT_FOUND

    def test_a_whole_arn_goes_before_a_partial_one(self, world: Any) -> None:
        """Why AWS advises against names that end in a hyphen and six characters."""
        arn = world.create("x", "the secret itself")
        other = world.create("x" + arn[-7:], "its namesake")
        assert other[:-7] == arn
        assert world.value(arn) == "the secret itself"
        assert world.value(other) == "its namesake"

    def test_a_partial_arn_reaches_the_namesake_when_the_other_is_gone(self, world: Any) -> None:
        """It is an ordinary partial ARN then."""
        arn = world.create("x", "the secret itself")
        world.create("x" + arn[-7:], "its namesake")
        world("DeleteSecret", SecretId=arn, ForceDeleteWithoutRecovery=True)
        assert world.value(arn) == "its namesake"

    @pytest.mark.parametrize(
        "junk",
        ["arn:", "arn:aws:s3:::bucket", "arn:aws:secretsmanager", "arn:\0", "arn:ä", "arn:a b"],
    )
    def test_junk_that_begins_like_one_is_not_found(self, world: Any, junk: str) -> None:
        """It is no name, so the rules of names do not apply."""
        assert world.refused("DescribeSecret", SecretId=junk) == NOT_FOUND

    def test_an_id_of_more_than_2048_characters_breaks_a_limit(self, world: Any) -> None:
        """And one without any."""
        for id_ in ("", "x" * 2049):
            code, text = world.refused("DescribeSecret", SecretId=id_)
            assert (code, "at 'secretId'" in text) == ("ValidationException", True)


class TestRegions:
    def test_each_has_its_own_secrets(self, world: Any) -> None:
        """The same name may be in both; neither finds or lists the other's."""
        here = world.create("a", "here")
        world.region = "eu-west-1"
        assert world.refused("GetSecretValue", SecretId="a") == NOT_FOUND
        assert world.refused("GetSecretValue", SecretId=here) == NOT_FOUND
        there = world.create("a", "there")
        assert there.split(":")[3] == "eu-west-1"
        assert world.value("a") == "there"
        assert [entry["ARN"] for entry in world("ListSecrets")["SecretList"]] == [there]
        world.region = None
        assert world.value("a") == "here"
