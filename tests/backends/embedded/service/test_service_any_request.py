"""Requests of every operation, put together from what fits and what does not: each is answered or
refused with a name of AWS's, and a refusal changes nothing."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smclient_embedded import EmbeddedService
from smclient_embedded.errors import ServiceError
from smclient_embedded.model import service_model

ACCOUNT = "123456789012"
REGIONS = st.sampled_from(["us-east-1", "eu-west-1", "ap-south-2"])
IDS = st.sampled_from(
    [
        "a",
        "b",
        "rds!owned",
        "/x",
        f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:a",
        f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:none-AbCdEf",
        "arn:aws:secretsmanager:us-east-1:999999999999:secret:a-AbCdEf",
        "arn:",
        "a b",
        "\ud7ff",
    ]
)
TEXTS = st.sampled_from(["", "x", "Größe", "\0", "a" * 300, "default", "aws:x"]) | st.text(
    max_size=6
)
TOKENS = st.sampled_from(["t" * 32, "u" * 32, "short", "v" * 64])
POLICIES = st.sampled_from(
    [
        "{}",
        "{",
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*",'
        '"Resource":"*"}]}',
        '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":{"AWS":"*"},'
        '"Action":"secretsmanager:*","Resource":"*"}]}',
    ]
)
KEYS = st.sampled_from(["", "alias/mine", "alias/aws/secretsmanager", "alias/none", "no-key"])
UNSUPPORTED = ("ExternalSecretRotationMetadata", "ExternalSecretRotationRoleArn")
"""Answered with 501: partners that hold secrets are not emulated."""

BY_MEMBER: dict[str, st.SearchStrategy[Any]] = {
    "SecretId": IDS,
    "Name": IDS,
    "SecretIdList": st.lists(IDS, max_size=3),
    "CrossAccountPrimaryARN": IDS,
    "CrossAccountReplicaARN": IDS,
    "ClientRequestToken": TOKENS,
    "MoveToVersionId": TOKENS,
    "RemoveFromVersionId": TOKENS,
    "VersionId": TOKENS,
    "VersionStage": st.sampled_from(["AWSCURRENT", "AWSPENDING", "BLUE"]),
    "KmsKeyId": KEYS,
    "ResourcePolicy": POLICIES,
    "AddReplicaRegions": st.lists(
        st.fixed_dictionaries({}, optional={"Region": REGIONS, "KmsKeyId": KEYS}), max_size=3
    ),
    "RemoveReplicaRegions": st.lists(REGIONS, max_size=2),
    "Tags": st.lists(
        st.fixed_dictionaries({}, optional={"Key": TEXTS, "Value": TEXTS}), max_size=3
    ),
    "RotationLambdaARN": st.sampled_from(
        [f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f", "arn:aws:lambda:x:1:function:none"]
    ),
    "SecretString": st.sampled_from(["one", "two"]),
    "SecretBinary": st.sampled_from([b"one", b"\0"]),
}


def members(operation: str) -> st.SearchStrategy[dict[str, Any]]:
    """Requests of an operation: what is required mostly there, everything else at times."""
    shape = service_model().input_shape(operation)
    if shape is None:
        return st.just({})
    given_ = {
        name: BY_MEMBER.get(name, _of_kind(of))
        for name, of in shape.members.items()
        if name not in UNSUPPORTED
    }
    needed = {name: given_[name] for name in shape.required_members}
    if "ClientRequestToken" in given_:
        needed["ClientRequestToken"] = TOKENS
    others = {name: value for name, value in given_.items() if name not in needed}
    return st.fixed_dictionaries(needed, optional=others)


def _of_kind(shape: Any) -> st.SearchStrategy[Any]:
    if getattr(shape, "enum", None):
        return st.sampled_from([*shape.enum, "nonsense"])
    kinds: dict[str, st.SearchStrategy[Any]] = {
        "boolean": st.booleans(),
        "integer": st.integers(-1, 40),
        "long": st.integers(-1, 40),
        "list": st.lists(TEXTS, max_size=2),
        "structure": st.just({}),
    }
    return kinds.get(shape.type_name, TEXTS)


CALLS = st.sampled_from(sorted(service_model().operations)).flatmap(
    lambda operation: st.tuples(st.just(operation), members(operation), REGIONS)
)
BEGINNING = ("a", "rds!owned")


def everything(service: EmbeddedService) -> object:
    """What the store holds, but for the trail and the day of the last access."""
    tables = service._store._tables  # type: ignore[attr-defined]
    return [dict(tables.secrets), dict(tables.versions), dict(tables.labels), dict(tables.jobs)]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(CALLS, min_size=1, max_size=25))
def test_is_answered_or_refused_by_name(calls: list[tuple[str, dict[str, Any], str]]) -> None:
    """No other error, in no order of calls."""
    with EmbeddedService() as service:
        service.create_key(alias="mine")
        service.register_function("f", lambda event, context: None)
        for name in BEGINNING:
            request = {"Name": name, "SecretString": "one", "ClientRequestToken": "t" * 32}
            service.call("CreateSecret", request)
        service.set_owning_service("rds!owned", "rds")
        for operation, request, region in calls:
            before = everything(service)
            refusal: ServiceError | None = None
            try:
                service.call(operation, request, service.context(region=region))
            except ServiceError as error:
                refusal = error
            if refusal is not None:
                assert refusal.status == 400, (operation, request, refusal)
                assert everything(service) == before, (operation, request)
