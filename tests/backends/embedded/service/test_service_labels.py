"""Staging labels: the worked examples recorded from AWS, and UpdateSecretVersionStage."""

from __future__ import annotations

from typing import Any

import pytest


class TestWorkedExamples:
    """facts/service.md §3 and facts/captures.md §3, in their words and numbers."""

    @pytest.mark.parametrize("operation", ["PutSecretValue", "UpdateSecret"])
    def test_1_a_new_value_is_current_and_the_one_before_previous(
        self, world: Any, operation: str
    ) -> None:
        """The one before that has no label left."""
        world.create()
        for version in ("v1", "v2"):
            token = world.token(version)
            world(operation, SecretId="s", SecretString=version, ClientRequestToken=token)
            if version == "v1":
                assert world.labels() == {"v0": {"AWSPREVIOUS"}, "v1": {"AWSCURRENT"}}
        assert world.labels() == {"v1": {"AWSPREVIOUS"}, "v2": {"AWSCURRENT"}}
        assert world.value(VersionId=world.token("v0")) == "v0"

    @pytest.mark.parametrize(
        ("second", "left"),
        [(("one", "two", "four"), {"three"}), (("one", "two", "three", "four"), set())],
    )
    def test_2_own_labels_are_taken_over_and_leave_awscurrent_alone(
        self, world: Any, second: tuple[str, ...], left: set[str]
    ) -> None:
        """What is not taken over stays."""
        world.create()
        world.put("v1", "one", "two", "three")
        assert world.labels() == {"v0": {"AWSCURRENT"}, "v1": {"one", "two", "three"}}
        world.put("v2", *second)
        expected = {"v0": {"AWSCURRENT"}, "v1": left, "v2": set(second)}
        assert world.labels() == {version: labels for version, labels in expected.items() if labels}

    def test_3_awscurrent_may_be_named_beside_others(self, world: Any) -> None:
        """In any place of the list."""
        world.create()
        world.put("v1", "AWSCURRENT", "PUT0")
        assert world.labels() == {"v0": {"AWSPREVIOUS"}, "v1": {"AWSCURRENT", "PUT0"}}
        world.put("v2", "PUT0", "AWSCURRENT")
        assert world.labels() == {"v1": {"AWSPREVIOUS"}, "v2": {"AWSCURRENT", "PUT0"}}

    def test_4_awspending_stays_where_awscurrent_goes_until_it_is_put_elsewhere(
        self, world: Any
    ) -> None:
        """A rotation by hand, twice."""
        world.create()
        world.put("v1", "AWSPENDING")
        world.move("AWSCURRENT", of="v0", to="v1")
        assert world.labels() == {"v0": {"AWSPREVIOUS"}, "v1": {"AWSCURRENT", "AWSPENDING"}}
        world.put("v2", "AWSPENDING")
        assert world.labels() == {
            "v0": {"AWSPREVIOUS"},
            "v1": {"AWSCURRENT"},
            "v2": {"AWSPENDING"},
        }
        world.move("AWSCURRENT", of="v1", to="v2")
        assert world.labels() == {"v1": {"AWSPREVIOUS"}, "v2": {"AWSCURRENT", "AWSPENDING"}}

    def test_5_own_labels_stay_on_their_versions_meanwhile(self, world: Any) -> None:
        """As 4, with labels of one's own."""
        world.create()
        world.put("v1", "AWSSOMETHING", "AWSPENDING", "PUT1")
        world.move("AWSCURRENT", of="v0", to="v1")
        world.put("v2", "AWSPENDING", "PUT2")
        world.move("AWSCURRENT", of="v1", to="v2")
        assert world.labels() == {
            "v1": {"AWSPREVIOUS", "AWSSOMETHING", "PUT1"},
            "v2": {"AWSCURRENT", "AWSPENDING", "PUT2"},
        }

    def test_captured_awsprevious_goes_where_awscurrent_was_even_backwards(
        self, world: Any
    ) -> None:
        """Own labels on either version stay."""
        world.create(ClientRequestToken=world.token("one"))
        world.put("one", "REPLAY", value="v0")
        world.put("two")
        world.put("two", "BLUE")
        world.put("three")
        world.move("AWSPREVIOUS", of="two", to="one")
        assert world.labels() == {
            "one": {"AWSPREVIOUS", "REPLAY"},
            "two": {"BLUE"},
            "three": {"AWSCURRENT"},
        }
        world.move("AWSCURRENT", of="three", to="two")
        assert world.labels() == {
            "one": {"REPLAY"},
            "two": {"BLUE", "AWSCURRENT"},
            "three": {"AWSPREVIOUS"},
        }

    def test_captured_a_put_with_awspending_leaves_awscurrent_where_it_is(self, world: Any) -> None:
        """And its answer has that one label."""
        world.create()
        assert world.put("v1", "AWSPENDING")["VersionStages"] == ["AWSPENDING"]
        assert world.labels() == {"v0": {"AWSCURRENT"}, "v1": {"AWSPENDING"}}
        assert world.value() == "v0"


class TestTheFirstValue:
    @pytest.mark.parametrize("stages", [(), ("AWSCURRENT",), ("BLUE",), ("AWSPENDING", "BLUE")])
    def test_of_an_empty_secret_is_current_whatever_else_it_is(
        self, world: Any, stages: tuple[str, ...]
    ) -> None:
        """As AWS documents it."""
        world.create(value=None)
        world.put("v1", *stages)
        assert world.labels() == {"v1": {"AWSCURRENT", *stages}}
        assert world.value() == "v1"


class TestUpdateSecretVersionStage:
    def test_attaches_a_label_that_is_not_in_use(self, world: Any) -> None:
        """MoveToVersionId alone."""
        arn = world.create()
        assert world.move("GREEN", to="v0") == {"ARN": arn, "Name": "s"}
        assert world.labels() == {"v0": {"AWSCURRENT", "GREEN"}}

    def test_removes_a_label(self, world: Any) -> None:
        """RemoveFromVersionId alone."""
        world.create()
        world.put("v1", "GREEN")
        world.move("GREEN", of="v1")
        assert world.labels() == {"v0": {"AWSCURRENT"}}

    def test_moves_a_label(self, world: Any) -> None:
        """Both."""
        world.create()
        world.put("v1", "GREEN")
        world.move("GREEN", of="v1", to="v0")
        assert world.labels() == {"v0": {"AWSCURRENT", "GREEN"}}

    def test_moves_last_changed_date(self, world: Any) -> None:
        """A label is metadata."""
        world.create()
        world.clock.advance(60)
        world.move("GREEN", to="v0")
        described = world.describe()
        assert (described["LastChangedDate"] - described["CreatedDate"]).total_seconds() == 60

    @pytest.mark.parametrize("label", ["AWSCURRENT", "GREEN"])
    def test_wants_to_know_where_a_label_leaves(self, world: Any, label: str) -> None:
        """With AWS's sentence, and nothing moves."""
        world.create()
        world.put("v1")
        if label == "GREEN":
            world.put("v1", "GREEN")
        before = world.labels()
        refused = world.refused(
            "UpdateSecretVersionStage",
            SecretId="s",
            VersionStage=label,
            MoveToVersionId=world.token("v0"),
        )
        assert refused == (
            "InvalidParameterException",
            f"The parameter RemoveFromVersionId can't be empty. Staging label {label} is currently "
            f"attached to version {world.token('v1')}, so you must explicitly reference that "
            "version in RemoveFromVersionId.",
        )
        assert world.labels() == before

    def test_onto_the_version_that_has_the_label_changes_nothing(self, world: Any) -> None:
        """Not even AWSPREVIOUS."""
        world.create()
        world.put("v1")
        before = world.labels()
        world.move("AWSCURRENT", to="v1")
        world.move("AWSCURRENT", of="v1", to="v1")
        assert world.labels() == before

    @pytest.mark.parametrize(
        ("label", "of", "to"),
        [
            ("AWSCURRENT", "v0", "v0"),  # it is on v1
            ("GREEN", "v0", None),  # it is nowhere
            ("GREEN", "v0", "v1"),
            ("AWSCURRENT", "v1", None),  # a secret with a value has a current version
            ("GREEN", None, "nowhere"),
            ("AWSCURRENT", "v1", "nowhere"),
            ("AWSCURRENT", "nowhere", "v0"),
            ("GREEN", None, None),
        ],
    )
    def test_refuses_what_does_not_fit_and_moves_nothing(
        self, world: Any, label: str, of: str | None, to: str | None
    ) -> None:
        """InvalidParameterException for each."""
        world.create()
        world.put("v1")
        before = world.labels()
        more = {"RemoveFromVersionId": of, "MoveToVersionId": to}
        more = {k: world.token(v) for k, v in more.items() if v is not None}
        code, _ = world.refused(
            "UpdateSecretVersionStage", SecretId="s", VersionStage=label, **more
        )
        assert code == "InvalidParameterException"
        assert world.labels() == before


class TestAVersionWithoutAValue:
    def test_takes_no_label_by_hand_and_can_lose_its_own(self, world: Any) -> None:
        """A rotation's empty version must not become current: nobody could read it."""
        world.create()
        function = world.service.register_function("rotate", lambda event, context: None)
        world(
            "RotateSecret",
            SecretId="s",
            RotationLambdaARN=function,
            ClientRequestToken=world.token("v1"),
        )
        for label, of in (("AWSCURRENT", "v0"), ("GREEN", None)):
            more = {} if of is None else {"RemoveFromVersionId": world.token(of)}
            code, _ = world.refused(
                "UpdateSecretVersionStage",
                SecretId="s",
                VersionStage=label,
                MoveToVersionId=world.token("v1"),
                **more,
            )
            assert code == "InvalidParameterException"
        assert world.value() == "v0"
        world.move("AWSPENDING", of="v1")
        assert world.labels() == {"v0": {"AWSCURRENT"}}


class TestLimits:
    def test_a_call_takes_no_more_than_twenty_labels(self, world: Any) -> None:
        """The model's limit; nineteen fit beside AWSCURRENT into the quota of a secret."""
        world.create()
        world.put("v1", *(f"L{n}" for n in range(19)))
        assert len(world.labels()["v1"]) == 19
        code, text = world.refused(
            "PutSecretValue",
            SecretId="s",
            SecretString="x",
            VersionStages=[f"L{n}" for n in range(21)],
        )
        assert code == "ValidationException"
        assert text.endswith("Member must have length less than or equal to 20")

    def test_a_label_may_be_256_characters_long(self, world: Any) -> None:
        """And is case-sensitive."""
        world.create()
        world.put("v1", "l" * 256, "green")
        world.put("v2", "GREEN")
        assert world.labels()["v1"] == {"l" * 256, "green"}
        assert world.labels()["v2"] == {"GREEN"}
