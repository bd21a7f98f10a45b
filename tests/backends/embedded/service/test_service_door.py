"""The order of the door, AWS's validation texts, and what comes out whatever goes in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smclient_embedded import EmbeddedService
from smclient_embedded import errors as error_module
from smclient_embedded.errors import ServiceError
from smclient_embedded.model import service_model
from smclient_embedded.operations import OPERATIONS

USER = "arn:aws:iam::123456789012:user/nobody"
MAP_NOT_EXPECTED = (
    "SerializationException",
    "Start of structure or map found where not expected.",
)


def denied(action: str, resource: str | None) -> tuple[str, str]:
    where = "" if resource is None else f"on resource: {resource} "
    return (
        "AccessDeniedException",
        f"User: {USER} is not authorized to perform: secretsmanager:{action} {where}"
        f"because no identity-based policy allows the secretsmanager:{action} action",
    )


@pytest.fixture
def guarded(world: Any) -> Any:
    """A service with a secret and a user who may do nothing; the user asks."""
    world.create()
    world.caller = world.service.create_principal("nobody")
    assert world.caller == USER
    return world


class TestOrder:
    def test_types_come_before_authorization(self, guarded: Any) -> None:
        """Both callers hear of a map in place of a list."""
        request = {"SecretId": "s", "SecretString": "x", "VersionStages": {}}
        assert guarded.refused("PutSecretValue", **request) == MAP_NOT_EXPECTED
        guarded.caller = None
        assert guarded.refused("PutSecretValue", **request) == MAP_NOT_EXPECTED

    @pytest.mark.parametrize(
        ("operation", "request_", "resource"),
        [
            ("PutSecretValue", {"SecretId": "s", "ClientRequestToken": "short"}, "s"),
            ("GetSecretValue", {"SecretId": "s", "VersionId": "short"}, "s"),
            ("GetSecretValue", {"SecretId": "not a name"}, "not a name"),
            ("GetSecretValue", {"SecretId": "unknown"}, "unknown"),
            ("DeleteSecret", {"SecretId": "s", "RecoveryWindowInDays": 1}, "s"),
            ("CreateSecret", {"Name": "new", "SecretString": ""}, "new"),
            ("CreateSecret", {"Name": "s", "ClientRequestToken": None}, "s"),
            ("ListSecrets", {"MaxResults": 0}, None),
            ("GetRandomPassword", {"PasswordLength": 0}, None),
            ("BatchGetSecretValue", {"SecretIdList": []}, None),
        ],
    )
    def test_authorization_comes_before_values(
        self, guarded: Any, operation: str, request_: dict[str, Any], resource: str | None
    ) -> None:
        """Who may not, learns nothing but that; the resource is named as it was sent."""
        assert guarded.refused(operation, **request_) == denied(operation, resource)

    def test_a_denial_names_the_arn_where_the_arn_was_sent(self, guarded: Any) -> None:
        """And the partial one where that was."""
        guarded.caller = None
        arn = guarded.describe()["ARN"]
        guarded.caller = USER
        for sent in (arn, arn[:-7]):
            refused = guarded.refused("GetSecretValue", SecretId=sent)
            assert refused == denied("GetSecretValue", sent)

    def test_a_denial_changes_nothing(self, guarded: Any) -> None:
        """Not by any operation that writes."""
        for operation, more in {
            "CreateSecret": {"Name": "new", "SecretString": "x"},
            "PutSecretValue": {"SecretId": "s", "SecretString": "x"},
            "UpdateSecret": {"SecretId": "s", "Description": "x"},
            "DeleteSecret": {"SecretId": "s", "ForceDeleteWithoutRecovery": True},
            "TagResource": {"SecretId": "s", "Tags": [{"Key": "a", "Value": "b"}]},
        }.items():
            assert guarded.refused(operation, **more)[0] == "AccessDeniedException"
        guarded.caller = None
        assert [entry["Name"] for entry in guarded("ListSecrets")["SecretList"]] == ["s"]
        assert guarded.value() == "v0"
        assert guarded.describe().keys() & {"Description", "Tags", "DeletedDate"} == set()

    def test_values_come_before_the_secret_is_looked_up(self, world: Any) -> None:
        """A limit is broken, whether the secret exists or not."""
        code, _ = world.refused("GetSecretValue", SecretId="unknown", VersionId="short")
        assert code == "ValidationException"

    def test_the_administrator_of_another_account_is_nobody_here(self, world: Any) -> None:
        """An account ends at its border, unless a policy opens it."""
        from smclient_embedded.context import Principal

        arn = world.create()
        other = world.service.context(Principal.administrator("999999999999"))
        with pytest.raises(ServiceError) as caught:
            world.service.call("GetSecretValue", {"SecretId": arn}, other)
        assert caught.value.code == "AccessDeniedException"
        with pytest.raises(ServiceError) as caught:
            world.service.call("GetSecretValue", {"SecretId": "s"}, other)
        assert caught.value.code == "ResourceNotFoundException"


class TestValidation:
    """The exact texts of facts/captures.md §1."""

    @pytest.mark.parametrize(
        ("operation", "request_", "text"),
        [
            (
                "PutSecretValue",
                {"SecretString": "x", "ClientRequestToken": "short"},
                "Value 'short' at 'clientRequestToken' failed to satisfy constraint: Member must "
                "have length greater than or equal to 32",
            ),
            (
                "GetSecretValue",
                {"VersionId": "short"},
                "Value 'short' at 'versionId' failed to satisfy constraint: Member must have "
                "length greater than or equal to 32",
            ),
            (
                "PutSecretValue",
                {"SecretString": "x", "VersionStages": []},
                "Value '[]' at 'versionStages' failed to satisfy constraint: Member must have "
                "length greater than or equal to 1",
            ),
            (
                "PutSecretValue",
                {"SecretString": "x", "VersionStages": [""]},
                "Value '[]' at 'versionStages' failed to satisfy constraint: Member must satisfy "
                "constraint: [Member must have length less than or equal to 256, Member must have "
                "length greater than or equal to 1]",
            ),
            (
                "PutSecretValue",
                {"SecretString": ""},
                "Value at 'secretString' failed to satisfy constraint: Member must have length "
                "greater than or equal to 1",
            ),
            (
                "RotateSecret",
                {"RotationRules": {"AutomaticallyAfterDays": 1001}},
                "Value '1001' at 'rotationRules.automaticallyAfterDays' failed to satisfy "
                "constraint: Member must have value less than or equal to 1000",
            ),
            (
                "RotateSecret",
                {"RotationRules": {"Duration": "xh"}},
                "Value 'xh' at 'rotationRules.duration' failed to satisfy constraint: Member must "
                "satisfy regular expression pattern: [0-9]+h",
            ),
        ],
    )
    def test_says_what_aws_says(
        self, memory: Any, operation: str, request_: dict[str, Any], text: str
    ) -> None:
        """Word for word."""
        memory.create()
        assert memory.refused(operation, SecretId="s", **request_) == (
            "ValidationException",
            "1 validation error detected: " + text,
        )

    def test_counts_the_errors_and_joins_them(self, memory: Any) -> None:
        """All of them in one sentence."""
        code, text = memory.refused("GetSecretValue", VersionId="short")
        assert code == "ValidationException"
        assert text == (
            "2 validation errors detected: Value null at 'secretId' failed to satisfy constraint: "
            "Member must not be null; Value 'short' at 'versionId' failed to satisfy constraint: "
            "Member must have length greater than or equal to 32"
        )

    @pytest.mark.parametrize("operation", sorted(OPERATIONS))
    def test_misses_what_is_required(self, memory: Any, operation: str) -> None:
        """By name; null is the same as absent."""
        required = service_model().input_shape(operation).required_members
        for request in ({}, dict.fromkeys(required)):
            if not required:
                continue
            code, text = memory.refused(operation, **request)
            assert code == "ValidationException"
            for member in required:
                camel = member[0].lower() + member[1:]
                assert f"Value null at '{camel}' failed to satisfy constraint" in text

    def test_ignores_members_that_the_operation_does_not_know(self, memory: Any) -> None:
        """Whatever they hold."""
        memory.create()
        found = memory("GetSecretValue", SecretId="s", Colour={"deep": [1, None]}, secretId=3)
        assert found["SecretString"] == "v0"

    def test_takes_null_for_absent(self, memory: Any) -> None:
        """As AWS's parser does."""
        memory("CreateSecret", Name="s", SecretString="x", SecretBinary=None, Tags=None)
        assert "Tags" not in memory.describe()
        assert memory.value(VersionId=None, VersionStage=None) == "x"

    @pytest.mark.parametrize(
        ("operation", "member", "value", "text"),
        [
            ("GetSecretValue", "SecretId", 7, "NUMBER_VALUE can not be converted to a String"),
            ("GetSecretValue", "SecretId", True, "TRUE_VALUE can not be converted to a String"),
            ("GetSecretValue", "SecretId", [], "Start of list found where not expected"),
            ("GetSecretValue", "SecretId", {}, MAP_NOT_EXPECTED[1]),
            ("ListSecrets", "MaxResults", "7", "STRING_VALUE can not be converted to an Integer"),
            ("ListSecrets", "MaxResults", True, "TRUE_VALUE can not be converted to an Integer"),
            ("ListSecrets", "MaxResults", 1.5, "NUMBER_VALUE can not be converted to an Integer"),
            ("ListSecrets", "Filters", {}, MAP_NOT_EXPECTED[1]),
            ("ListSecrets", "Filters", "x", "Expected list or null"),
            ("ListSecrets", "Filters", ["x"], "Expected null"),
            ("ListSecrets", "Filters", [[]], "Start of list found where not expected"),
            ("RotateSecret", "RotationRules", "x", "Expected null"),
            ("CreateSecret", "SecretBinary", "text", None),
            ("CreateSecret", "Name", "\ud800", None),
        ],
    )
    def test_of_types_is_a_serialization_exception(
        self, memory: Any, operation: str, member: str, value: Any, text: str | None
    ) -> None:
        """With the words of AWS's parser."""
        code, said = memory.refused(operation, **{member: value})
        assert code == "SerializationException"
        assert text in (None, said)

    def test_knows_no_unknown_operation(self, memory: Any) -> None:
        """Before anything else is looked at."""
        assert memory.refused("MakeCoffee", Sugar=1)[0] == "UnknownOperationException"


MODELLED = {
    name
    for name, member in vars(error_module).items()
    if isinstance(member, type) and issubclass(member, ServiceError)
} - {"ServiceError", "InternalServiceError"}

SCALARS: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=40)
    | st.binary(max_size=40)
    | st.sampled_from(["s", "AWSCURRENT", "AWSPENDING", "\ud800", "\0", "x" * 70_000, 2**70])
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


def fitting(shape: Any) -> st.SearchStrategy[Any]:
    """Values of about the right type, inside and outside the limits."""
    kind = shape.type_name
    if kind == "structure":
        return members(shape)
    if kind == "list":
        return st.lists(fitting(shape.member), max_size=3)
    if kind in ("integer", "long"):
        return st.integers(-1, 40)
    if kind == "boolean":
        return st.booleans()
    if kind == "blob":
        return st.binary(max_size=5)
    own = st.sampled_from(["s", "t", "AWSCURRENT", "AWSPENDING", "v0-".ljust(32, "0"), "!", ""])
    return own | st.text(max_size=70) | st.sampled_from(getattr(shape, "enum", None) or ["x"])


def members(shape: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {}, optional={name: fitting(m) | ANYTHING for name, m in shape.members.items()}
    )


REQUESTS = st.sampled_from(sorted(service_model().operations)).flatmap(
    lambda operation: st.tuples(st.just(operation), members(service_model().input_shape(operation)))
)


class TestWhateverIsSent:
    @settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
    @given(calls=st.lists(REQUESTS, min_size=1, max_size=4), who=st.sampled_from([None, USER]))
    def test_only_modelled_refusals_come_out_and_nothing_is_half_written(
        self, calls: list[tuple[str, Any]], who: str | None
    ) -> None:
        """No InternalServiceError, no exception of another kind; a refused call leaves no trace but
        its record."""
        with EmbeddedService() as service:
            service.create_principal("nobody")
            token = "v0-".ljust(32, "0")
            service.call(
                "CreateSecret",
                {"Name": "s", "SecretString": "canary", "ClientRequestToken": token},
            )
            for operation, request in calls:
                before = state(service)
                try:
                    service.call(operation, request, service.context(who))
                except ServiceError as error:
                    code, text = error.code, str(error)
                else:
                    continue
                assert code in MODELLED, (code, text)
                assert "canary" not in text
                assert state(service) == before
            assert_consistent(service)

    def test_a_number_of_thousands_of_digits_is_refused_politely(self, memory: Any) -> None:
        """Python itself does not print it; AWS's integers end at 32 and 64 bits."""
        for number in (2**63, -(2**63) - 1, 10**5000):
            code, _ = memory.refused("GetRandomPassword", PasswordLength=number)
            assert code == "SerializationException"
        assert memory.refused("ListSecrets", MaxResults=2**31)[0] == "SerializationException"
        for number in (2**63 - 1, -(2**62)):
            code, _ = memory.refused("GetRandomPassword", PasswordLength=number)
            assert code == "ValidationException"


def state(service: EmbeddedService) -> Any:
    """All that a store in memory holds, but for its audit trail."""
    tables = service._store._tables  # type: ignore[attr-defined]
    return {name: dict(table) for name, table in vars(tables).items() if isinstance(table, dict)}


def assert_consistent(service: EmbeddedService) -> None:
    """A secret with a value has one current version, and labels stand on versions that exist."""
    tables: Any = service._store._tables  # type: ignore[attr-defined]
    for arn in tables.secrets:
        versions = tables.versions.get(arn, {})
        labels = tables.labels.get(arn, {})
        assert set(labels.values()) <= set(versions)
        valued = {v for v, record in versions.items() if record.sealed is not None}
        if valued:
            assert labels.get("AWSCURRENT") in valued
