"""What `parse` takes and refuses, beyond the shared cases."""

import copy
import json
from typing import Any

import pytest

from smclient_embedded.policy import (
    MAX_RESOURCE_POLICY,
    Kind,
    PolicyGrammarError,
    compile_policy,
    lint,
    parse,
)

_ROLE = "arn:aws:iam::111122223333:role/app"
_RESOURCE = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "Read for the app",
            "Effect": "Allow",
            "Principal": {"AWS": _ROLE},
            "Action": "secretsmanager:GetSecretValue",
            "Resource": "*",
        }
    ],
}
_IDENTITY = copy.deepcopy(_RESOURCE)
del _IDENTITY["Statement"][0]["Principal"]  # type: ignore[attr-defined]
_IDENTITY["Statement"][0]["Sid"] = "Read"  # type: ignore[index]


def changed(document: Any, **elements: Any) -> Any:
    """The document with elements of its statement replaced, or removed where None."""
    copied = copy.deepcopy(document)
    statement = copied["Statement"][0]
    for name, value in elements.items():
        statement.pop(name, None)
        if value is not None:
            statement[name] = value
    return copied


def refuses(document: Any, kind: Kind = "resource") -> str:
    """The message of the refusal."""
    with pytest.raises(PolicyGrammarError) as caught:
        parse(document, kind)
    return str(caught.value)


@pytest.mark.parametrize(
    "principal",
    [
        "*",
        {"AWS": "*"},
        {"AWS": ["111122223333", _ROLE]},
        {"AWS": "arn:aws-cn:iam::111122223333:root"},
        {"AWS": "arn:aws:iam::111122223333:user/path/dev"},
        {"AWS": "arn:aws:sts::111122223333:assumed-role/app/web-1"},
        {"AWS": "arn:aws:sts::111122223333:federated-user/carlos"},
        {"Service": ["rds.amazonaws.com", "lambda.us-east-1.amazonaws.com"]},
        {"Federated": "cognito-identity.amazonaws.com", "CanonicalUser": "79a5"},
    ],
)
def test_principals(principal: Any) -> None:
    """Accounts, users, roles, sessions, services, identity providers, canonical users."""
    parse(changed(_RESOURCE, Principal=principal), "resource")


@pytest.mark.parametrize(
    "principal",
    [
        "111122223333",
        [],
        {},
        None,
        {"AWS": []},
        {"AWS": 111122223333},
        {"aws": "*"},
        {"AWS": "arn:aws:iam::111122223333:group/dev"},
        {"AWS": "arn:aws:iam::*:root"},
        {"AWS": "arn:aws:sts::111122223333:assumed-role/app/*"},
        {"AWS": "dev"},
        {"Service": "*"},
        {"Service": "rds"},
        {"Federated": "*"},
    ],
)
def test_faulty_principals(principal: Any) -> None:
    """Groups, partial wildcards, short accounts and unknown kinds are refused, with their place."""
    assert "Statement[0]" in refuses(changed(_RESOURCE, Principal=principal))


@pytest.mark.parametrize(
    ("elements", "place"),
    [
        ({"Effect": 1}, "Statement[0].Effect"),
        ({"Effect": "Permit"}, "Statement[0].Effect"),
        ({"Sid": 1}, "Statement[0].Sid"),
        ({"Action": []}, "Statement[0].Action"),
        ({"Action": {}}, "Statement[0].Action"),
        ({"Action": ["secretsmanager:GetSecretValue", 1]}, "Statement[0].Action"),
        ({"Action": "secretsmanager:"}, "Statement[0].Action"),
        ({"Action": "secrets*:Get"}, "Statement[0].Action"),
        ({"Action": "secretsmanager:${aws:username}"}, "Statement[0].Action"),
        ({"Resource": []}, "Statement[0].Resource"),
        ({"Resource": "arn:aws:secretsmanager:secret"}, "Statement[0].Resource"),
        ({"Resource": "arn:aws:s3:::${}"}, "Statement[0].Resource"),
        ({"Resource": "arn:aws:s3:::${aws:username, x}"}, "Statement[0].Resource"),
        ({"Resource": "arn:aws:s3:::${aws:username, 'x}"}, "Statement[0].Resource"),
        ({"Resource": "arn:aws:s3:::${ aws:username }"}, "Statement[0].Resource"),
        ({"Resource": "arn:aws:s3:::${aws:PrincipalTag/}"}, "Statement[0].Resource"),
        ({"Resource": None}, "Statement[0]: needs"),
        ({"Condition": []}, "Statement[0].Condition"),
        ({"Condition": {"StringEquals": "x"}}, "Condition.StringEquals"),
        ({"Condition": {"StringEquals": {"a:b": {}}}}, "StringEquals.a:b"),
        ({"Condition": {"StringEquals": {"a:b": [["x"]]}}}, "StringEquals.a:b"),
        ({"Condition": {"StringEquals": {"a:b": None}}}, "StringEquals.a:b"),
        ({"Condition": {"StringEquals": {"ab": "x"}}}, "StringEquals.ab"),
        ({"Condition": {"StringEquals": {"aws:ResourceTag/": "x"}}}, "aws:ResourceTag/"),
        ({"Condition": {"StringEquals": {"a:b": "x", "A:B": "x"}}}, "StringEquals"),
        ({"Condition": {"StringEquals": {"a:b": "${aws:username"}}}, "StringEquals.a:b"),
        ({"Condition": {"NumericEquals": {"a:b": "${aws:username}"}}}, "NumericEquals.a:b"),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "300.0.0.1"}}}, "aws:SourceIp"),
        ({"Condition": {"Bool": {"a:b": ["true", "false"]}}}, "Bool.a:b"),
        ({"Condition": {"NotBool": {"a:b": "true"}}}, "NotBool"),
        ({"Condition": {"StringEqualsIfExistsIfExists": {"a:b": "x"}}}, "IfExists"),
        ({"Condition": {"ForNoValues:StringEquals": {"a:b": "x"}}}, "ForNoValues"),
        ({"Condition": {":StringEquals": {"a:b": "x"}}}, ":StringEquals"),
        ({"Condition": {"ForAllValues:NullIfExists": {"a:b": "x"}}}, "NullIfExists"),
    ],
)
def test_faulty_statements(elements: dict[str, Any], place: str) -> None:
    """Each fault is refused and the message says where it is."""
    assert place in refuses(changed(_RESOURCE, **elements))


@pytest.mark.parametrize(
    "condition",
    [
        {},
        {"StringEquals": {}},
        {"NumericLessThan": {"a:b": 14}, "Bool": {"a:c": True}, "Null": {"a:d": "true"}},
        {"ForAnyValue:ArnLikeIfExists": {"a:b": ["arn:aws:iam::*:role/${aws:username}"]}},
        {"StringLike": {"aws:PrincipalTag/team": "${aws:PrincipalTag/team, 'none'}-${*}"}},
        {"NotIpAddress": {"aws:SourceIp": ["203.0.113.0/24", "2001:db8::/32", "198.51.100.7"]}},
    ],
)
def test_conditions(condition: Any) -> None:
    """Operators with qualifiers and suffixes, scalar values, variables with defaults."""
    parse(changed(_RESOURCE, Condition=condition), "resource")


def test_elements_of_documents() -> None:
    """Only Version, Id and Statement; Id in resource policies only."""
    assert "Id" in refuses({**_IDENTITY, "Id": "x"}, "identity")
    assert "Version" in refuses({**_RESOURCE, "Version": None})
    assert "Statement" in refuses({**_RESOURCE, "Statement": []})
    assert "Statement[1]" in refuses({**_RESOURCE, "Statement": [*_RESOURCE["Statement"], 1]})
    parse({**_RESOURCE, "Id": "x", "Version": "2008-10-17"}, "resource")


def test_variables_are_plain_text_before_2012() -> None:
    """What would be a malformed variable is then no fault."""
    open_brace = changed(_RESOURCE, Resource="arn:aws:s3:::${aws:username")
    parse({**open_brace, "Version": "2008-10-17"}, "resource")
    assert "closing brace" in refuses(open_brace)


def test_sids() -> None:
    """Letters and digits, each once; resource policies may have blanks, as KMS's own do."""
    assert "Sid" in refuses(changed(_IDENTITY, Sid="a b"), "identity")
    twice = {**_IDENTITY, "Statement": _IDENTITY["Statement"] * 2}  # type: ignore[operator]
    assert "twice" in refuses(twice, "identity")


def test_service_control_policies() -> None:
    """The full language without Principal, under the current Version."""
    parse(changed(_IDENTITY, Condition={"Bool": {"a:b": "true"}}), "scp")
    parse(changed(_IDENTITY, Action=None, NotAction="iam:*", Effect="Deny"), "scp")
    assert "Principal" in refuses(_RESOURCE, "scp")
    assert "Version" in refuses({"Statement": _IDENTITY["Statement"]}, "scp")


def test_resource_control_policies() -> None:
    """Deny, for the Principal `*`, with actions of named services."""
    good = changed(_RESOURCE, Effect="Deny", Principal="*", Sid="Org")
    parse(good, "rcp")
    parse(changed(good, Resource=None, NotResource="arn:aws:s3:::x"), "rcp")
    assert "Principal" in refuses(changed(good, Principal={"AWS": _ROLE}), "rcp")
    assert "Principal" in refuses(changed(good, Principal=None, NotPrincipal="*"), "rcp")
    assert "NotAction" in refuses(changed(good, Action=None, NotAction="s3:*"), "rcp")
    assert "Action" in refuses(changed(good, Action="*"), "rcp")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        '"*"',
        '{"Version": "2012-10-17", "Version": "2012-10-17", "Statement": []}',
        '{"Statement": NaN}',
        "[" * 100_000,
        '{"Statement": ' + "9" * 5000 + "}",
    ],
)
def test_texts_that_are_no_policy(text: str) -> None:
    """Not JSON, a repeated name, a constant JSON lacks, endless nesting, an endless number."""
    refuses(text)


def test_repeated_names_anywhere() -> None:
    """Also deep inside a statement."""
    text = json.dumps(changed(_RESOURCE, Condition={"Bool": {"a:b": "true"}}))
    assert "twice" in refuses(text.replace('"a:b": "true"', '"a:b": "true", "a:b": "false"'))


def test_size() -> None:
    """A secret policy has at most 20480 characters."""
    text = json.dumps(_RESOURCE)
    parse(text + " " * (MAX_RESOURCE_POLICY - len(text)), "resource")
    assert "longer" in refuses(text + " " * MAX_RESOURCE_POLICY)
    assert "longer" in refuses(text + " " * 5 * MAX_RESOURCE_POLICY)


def test_things_that_are_not_json_values() -> None:
    """Python objects without a JSON form are refused like text."""
    loop: dict[str, Any] = {}
    loop["Statement"] = loop
    for document in (loop, {"Statement": object()}, {"Statement": float("nan")}):
        refuses(document)


def test_compiled_once() -> None:
    """The same text gives the same compiled policy."""
    text = json.dumps(_RESOURCE)
    assert parse(text, "resource") is parse(text, "resource")
    assert parse(_RESOURCE, "resource") is parse(copy.deepcopy(_RESOURCE), "resource")
    assert compile_policy(text, "identity") is not parse(text, "resource")


def test_a_document_that_is_a_string_is_not_policy_text() -> None:
    """`document` holds a JSON value, `text` holds text."""
    text = json.dumps(_RESOURCE)
    assert lint({"kind": "resource", "text": text})["valid"]
    assert not lint({"kind": "resource", "document": text})["valid"]
