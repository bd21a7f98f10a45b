"""The reference grammar: what each form means, and what is wrong with a malformed one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smclient import (
    InvalidReferenceError,
    NotJsonError,
    NotTextError,
    ResourceNotFoundError,
    SecretKeyError,
    SecretRef,
    SecretsClient,
)
from smclient.references import Merged, Reference, Template, find, is_reference, parse, shown
from smclient.testing import FakeBackend

ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-AbCdEf"


def ref(
    secret_id: str = "prod/db",
    *,
    stage: str | None = None,
    version: str | None = None,
    key: str | None = None,
    optional: bool = False,
) -> Reference:
    return Reference(SecretRef(secret_id, stage, version), key, optional)


FORMS = {
    "secret://prod/db": ref(),
    "secret://prod/db#password": ref(key="password"),
    "secret://prod/db?stage=AWSPENDING#password": ref(stage="AWSPENDING", key="password"),
    "secret://prod/db?version=v-1": ref(version="v-1"),
    "secret://prod/db?optional=1": ref(optional=True),
    "secret://prod/db?optional=true#k": ref(key="k", optional=True),
    "secret://prod/db?optional=0": ref(),
    "secret://prod/db?optional=1&stage=AWSPREVIOUS": ref(stage="AWSPREVIOUS", optional=True),
    "secret://prod/db#a.b[0]": ref(key="a.b[0]"),
    "secret://prod/db#what?": ref(key="what?"),
    "secret://prod/db#a%23b": ref(key="a#b"),
    "secret://prod/db#100%25": ref(key="100%"),
    "secret://prod%2Fdb": ref(),
    "secret://prod/db?stage=my%20stage": ref(stage="my stage"),
    "secret://user_1+x=.@!-": ref("user_1+x=.@!-"),
    f"secret://{ARN}": ref(ARN),
    f"secret://{ARN}?version=v-1#k": ref(ARN, version="v-1", key="k"),
    "{{resolve:secretsmanager:prod/db}}": ref(),
    "{{resolve:secretsmanager:prod/db:SecretString}}": ref(),
    "{{resolve:secretsmanager:prod/db:SecretString:}}": ref(),
    "{{resolve:secretsmanager:prod/db:SecretString:password}}": ref(key="password"),
    "{{resolve:secretsmanager:prod/db:SecretString:password:AWSPENDING}}": ref(
        key="password", stage="AWSPENDING"
    ),
    "{{resolve:secretsmanager:prod/db:SecretString:password::v-1}}": ref(
        key="password", version="v-1"
    ),
    "{{resolve:secretsmanager:prod/db:SecretString:::}}": ref(),
    f"{{{{resolve:secretsmanager:{ARN}}}}}": ref(ARN),
    f"{{{{resolve:secretsmanager:{ARN}:SecretString:k:AWSPREVIOUS:}}}}": ref(
        ARN, key="k", stage="AWSPREVIOUS"
    ),
    "aws-secretsmanager:prod/db": ref(),
    "optional:aws-secretsmanager:prod/db": ref(optional=True),
    f"aws-secretsmanager:{ARN}": ref(ARN),
    ARN: ref(ARN),
    ARN[:-7]: ref(ARN[:-7]),
    f"{ARN}:password::": ref(ARN, key="password"),
    f"{ARN}:password:AWSPENDING:": ref(ARN, key="password", stage="AWSPENDING"),
    f"{ARN}:::v-1": ref(ARN, version="v-1"),
    f"{ARN}:password": ref(ARN, key="password"),
    ARN.replace("aws:", "aws-cn:").replace("eu-west-1", "cn-north-1"): ref(
        ARN.replace("aws:", "aws-cn:").replace("eu-west-1", "cn-north-1")
    ),
}


@pytest.mark.parametrize("text", FORMS)
def test_each_form_names_one_version_of_one_secret(text: str) -> None:
    """And written out again it names the same."""
    parsed = parse(text)
    assert parsed == FORMS[text]
    assert parse(str(parsed)) == parsed


@pytest.mark.parametrize(
    ("text", "segment"),
    [
        ("secret://", "secret name: it is empty"),
        ("secret://#k", "secret name: it is empty"),
        ("secret://a b", "secret name 'a b'"),
        ("secret://naïve", "secret name 'naïve'"),
        ("secret://" + "x" * 513, "names have 1 to 512"),
        ("secret://a%", "percent-encoding: write a lone % as %25"),
        ("secret://a#50%", "percent-encoding"),
        ("secret://a%zz", "percent-encoding"),
        ("secret://a#", "key: it is empty"),
        ("secret://a?", "query option ''"),
        ("secret://a?stage", "query option 'stage': it has no value"),
        ("secret://a?stage=", "query option 'stage': it has no value"),
        ("secret://a?stage=x&stage=y", "query option 'stage': it stands there twice"),
        ("secret://a?stage=x&version=y", "query: stage and version exclude each other"),
        ("secret://a?colour=red", "query option 'colour'"),
        ("secret://a?optional=perhaps", "query option 'optional': its value is 1 or 0"),
        ("secret://arn:aws:s3:::bucket", "ARN 'arn:aws:s3:::bucket'"),
        (f"secret://{ARN}:key", "ARN"),
        ("{{resolve:secretsmanager:}}", "secret name: it is empty"),
        ("{{resolve:secretsmanager:a:SecretString", "end: the closing }} is missing"),
        ("x {{resolve:secretsmanager:a}} {{resolve:secretsmanager:b", "closing }} is missing"),
        ("{{resolve:secretsmanager:a:SecretBinary}}", "segment 'SecretBinary'"),
        ("{{resolve:secretsmanager:a:SecretStringy}}", "SecretString segment"),
        ("{{resolve:secretsmanager:a:SecretString:k:s:v}}", "version: stage and version id"),
        ("{{resolve:secretsmanager:a:SecretString:k:s::more}}", "segment 'more'"),
        ("aws-secretsmanager:", "secret name: it is empty"),
        ("aws-secretsmanager:a;;b", "secret name: it is empty"),
        ("aws-secretsmanager:a?x", "secret name 'a?x'"),
        (f"{ARN}:k:s:v", "version: stage and version id"),
        (f"{ARN}:k:s::more", "segment 'more'"),
        ("arn:aws:secretsmanager:eu-west-1:12:secret:a-AbCdEf", "ARN"),
        ("prod/db", "form: it is none of"),
        ("", "form: it is none of"),
        ("arn:aws:ssm:eu-west-1:123456789012:parameter/a", "form: it is none of"),
    ],
)
def test_a_malformed_reference_is_refused_by_its_segment(text: str, segment: str) -> None:
    """The message repeats the reference and names what is wrong in it."""
    with pytest.raises(InvalidReferenceError) as caught:
        parse(text)
    assert segment in str(caught.value)
    assert str(caught.value).startswith("bad secret reference '")


def test_a_bare_arn_is_a_reference_only_where_one_is_asked_for() -> None:
    """Scanning leaves ARNs alone, since configuration is full of them."""
    assert find(ARN) is None
    assert not is_reference(ARN)
    assert parse(ARN) == ref(ARN)
    with pytest.raises(InvalidReferenceError, match="form") as caught:
        parse(ARN, arns=False)
    assert "or a secret's ARN" not in str(caught.value)


@given(st.text())
@example("postgresql://user@host/db")
@example("the secret:// scheme")
@example(" secret://a")
@example("Secret://a")
@example("{{resolve:ssm:/a/b}}")
@example("xaws-secretsmanager:a")
@example("optional:file:./a")
@example(f"{ARN}:key:stage:version")
def test_scanning_never_touches_ordinary_text(text: str) -> None:
    """Only the three forms are looked at; everything else is let through unread."""
    if not is_reference(text):
        assert find(text) is None


PIECES = st.sampled_from(
    [
        "secret://", "aws-secretsmanager:", "optional:", "{{resolve:secretsmanager:", "}}", ARN,
        ":SecretString", ":", "#", "?", "&", "=", "%", "%25", "%3F", ";", "/", "{", "stage=",
        "version=", "optional=", "1", "prod/db", "key", "AWSPENDING", "v-1", "\n", " ",
        "ü", "\ud800",
    ]
)  # fmt: skip


@given(st.one_of(st.text(), st.lists(st.one_of(PIECES, st.text(max_size=3))).map("".join)))
@example("secret://a?stage=%26")
@example("secret://a#%26%3D")
@example("pre {{resolve:secretsmanager:a:SecretString:k}} post")
@example("{{resolve:secretsmanager:a}}{{resolve:secretsmanager:b:SecretString:k:s}}")
def test_any_text_parses_or_is_refused_and_what_parses_survives_writing_out(text: str) -> None:
    """No other exception, and ``str`` loses nothing."""
    try:
        parsed = parse(text)
    except InvalidReferenceError:
        return
    assert parse(str(parsed)) == parsed


NAMES = st.from_regex(r"[A-Za-z0-9/_+=.@!-]{1,40}", fullmatch=True)
ANY_TEXT = st.text(st.characters(codec="utf-8"), min_size=1)


@given(
    NAMES,
    st.none() | ANY_TEXT,
    st.none() | st.tuples(st.booleans(), ANY_TEXT),
    st.booleans(),
)
def test_every_key_and_stage_can_be_written_as_a_reference(
    name: str, key: str | None, version: tuple[bool, str] | None, optional: bool
) -> None:
    """Whatever characters they have."""
    by_stage, text = version or (True, None)
    made = ref(
        name,
        stage=text if by_stage else None,
        version=None if by_stage else text,
        key=key,
        optional=optional,
    )
    assert parse(str(made)) == made


def test_text_around_dynamic_references_makes_a_template() -> None:
    """As CloudFormation has it; the parts know which secrets are read."""
    parsed = parse(
        "pg://{{resolve:secretsmanager:a:SecretString:u}}:{{resolve:secretsmanager:b}}@h"
    )
    assert parsed == Template(("pg://", ref("a", key="u"), ":", ref("b"), "@h"))
    assert parsed.refs() == (SecretRef("a"), SecretRef("b"))


@pytest.mark.parametrize(
    ("text", "optional"),
    [
        ("secret://a", False),
        ("secret://a?optional=1#k", True),
        ("aws-secretsmanager:a;b", False),
        ("optional:aws-secretsmanager:a;b", True),
        ("x {{resolve:secretsmanager:a}}", False),
    ],
)
def test_every_form_says_whether_it_may_lead_nowhere(text: str, optional: bool) -> None:
    """For whoever checks what there is before it is used."""
    assert parse(text).optional is optional


def test_text_around_references_is_not_shown() -> None:
    """It may be a password that somebody wrote out; parsed or not, good or bad."""
    good = "pg://u:hunter2@{{resolve:secretsmanager:a:SecretString:host}}/hunter2"
    assert shown(parse(good)) == "secret://a#host"
    assert shown(good) == "{{resolve:secretsmanager:a:SecretString:host}}"
    for bad in (
        "pg://u:hunter2@{{resolve:secretsmanager:prod/a:SecretStrin:host}}/hunter2",
        "pg://u:hunter2@{{resolve:secretsmanager:prod/a:SecretString:host/hunter2",
        "{{resolve:secretsmanager:prod/a:SecretString:user:hunter2@host",
        "{{resolve:secretsmanager:prod/a:SecretString:user}}:hunter2@{{resolve:secretsmanager:",
    ):
        with pytest.raises(InvalidReferenceError, match="resolve") as caught:
            parse(bad)
        assert "hunter2" not in str(caught.value) + shown(bad)
    assert shown("secret://prod/db#key") == shown(parse("secret://prod/db#key"))


def test_several_spring_names_are_one_merged_reference() -> None:
    """In the order given, optional all together."""
    parsed = parse("optional:aws-secretsmanager:a;b/c")
    assert parsed == Merged((ref("a", optional=True), ref("b/c", optional=True)))
    assert parsed.refs() == (SecretRef("a"), SecretRef("b/c"))
    assert str(parsed) == "optional:aws-secretsmanager:a;b/c"


# --- what a reference resolves to -----------------------------------------------------------------


class TestResolving:
    """``SecretsClient.resolve``."""

    @pytest.fixture
    def resolve(self, client: SecretsClient, backend: FakeBackend) -> Any:
        backend.put(
            "app",
            {
                "password": "p-1",
                "port": 5432,
                "ratio": 0.5,
                "on": True,
                "none": None,
                "list": ["x", "y"],
                "deep": {"er": {"est": "down"}},
                "deep.er": "flat",
                "": "nameless",
            },
        )
        backend.put("plain", "just text")
        backend.put("blob", b"\x00\xff")
        backend.put("utf8", "ü".encode())
        backend.put("array", ["only", "elements"])
        return client.resolve

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("password", "p-1"),
            ("port", 5432),
            ("ratio", 0.5),
            ("on", True),
            ("none", None),
            ("list", ["x", "y"]),
            ("list[1]", "y"),
            ("deep", {"er": {"est": "down"}}),
            ("deep.er.est", "down"),
            ("join('-', list)", "x-y"),
            ("length(password)", 3),
            ("{p: password, port: port}", {"p": "p-1", "port": 5432}),
        ],
    )
    def test_a_key_gives_text_as_text_and_json_as_json(
        self, resolve: Any, key: str, value: Any
    ) -> None:
        """Numbers stay numbers, objects stay objects; strings say nothing in ``repr``."""
        found = resolve(f"secret://app#{key}")
        assert found == value
        assert type(found) is type(value) or isinstance(found, str)
        assert "p-1" not in repr(found)

    def test_a_flat_key_beats_jmespath(self, resolve: Any) -> None:
        """A name that could be read as an expression is a name first."""
        assert resolve("secret://app#deep.er") == "flat"

    def test_without_a_key_it_is_the_whole_value(self, resolve: Any) -> None:
        """Text as text, bytes as bytes."""
        assert resolve("secret://plain") == "just text"
        assert resolve("secret://blob") == b"\x00\xff"
        assert json.loads(resolve("secret://app"))["port"] == 5432

    def test_the_service_s_own_forms_resolve_too(self, resolve: Any, backend: FakeBackend) -> None:
        """ARNs, ECS's longer form, CloudFormation's, Spring's."""
        arn = backend.arn("app")
        assert resolve(f"{arn}:password::") == "p-1"
        assert resolve("{{resolve:secretsmanager:app:SecretString:password}}") == "p-1"
        assert json.loads(resolve("aws-secretsmanager:app"))["password"] == "p-1"

    def test_a_stage_or_a_version_is_read_where_it_is_named(
        self, resolve: Any, backend: FakeBackend
    ) -> None:
        """Not AWSCURRENT."""
        old = backend.put("moving", "one")
        backend.put("moving", "two")
        assert resolve("secret://moving") == "two"
        assert resolve("secret://moving?stage=AWSPREVIOUS") == "one"
        assert resolve(f"secret://moving?version={old}") == "one"

    @pytest.mark.parametrize("key", ["absent", "deep.absent", "[[", "list[::0]", "sort(list, 1)"])
    def test_an_absent_key_is_an_error_unless_optional(self, resolve: Any, key: str) -> None:
        """Also one that is no expression at all; the message lists the keys there are."""
        with pytest.raises(SecretKeyError) as caught:
            resolve(f"secret://app#{key}")
        assert repr(key) in str(caught.value)
        assert "'password'" in str(caught.value)
        assert "p-1" not in str(caught.value)
        assert resolve(f"secret://app?optional=1#{key}") is None

    def test_an_absent_secret_is_an_error_unless_optional(self, resolve: Any) -> None:
        """A missing stage counts as absent."""
        with pytest.raises(ResourceNotFoundError, match="'nowhere'"):
            resolve("secret://nowhere")
        assert resolve("secret://nowhere?optional=1") is None
        assert resolve("secret://app?optional=1&stage=AWSPENDING#password") is None
        assert resolve("optional:aws-secretsmanager:nowhere") is None

    @pytest.mark.parametrize("name", ["plain", "array"])
    def test_a_key_of_what_is_no_object_is_refused(self, resolve: Any, name: str) -> None:
        """Optional or not: such a secret is not what the reference takes it for."""
        for query in ("", "?optional=1"):
            with pytest.raises(NotJsonError, match=repr(name)):
                resolve(f"secret://{name}{query}#key")

    def test_a_key_of_a_binary_secret_is_refused(self, resolve: Any) -> None:
        """With the kind it has."""
        with pytest.raises(NotTextError, match="'blob' is binary"):
            resolve("secret://blob#key")

    def test_a_template_is_filled_in(self, resolve: Any) -> None:
        """Numbers and objects as JSON; the result hides itself."""
        filled = resolve(
            "u:{{resolve:secretsmanager:app:SecretString:password}}@"
            "{{resolve:secretsmanager:app:SecretString:port}}/"
            "{{resolve:secretsmanager:app:SecretString:deep}}"
            "{{resolve:secretsmanager:utf8}}"
        )
        assert filled == 'u:p-1@5432/{"er": {"est": "down"}}ü'
        assert "p-1" not in repr(filled)

    def test_bytes_that_are_no_text_do_not_go_into_a_template(self, resolve: Any) -> None:
        """A typed error, which does not carry the bytes."""
        with pytest.raises(NotTextError, match="secret://blob") as caught:
            resolve("x{{resolve:secretsmanager:blob}}")
        assert caught.value.__context__ is None

    def test_a_spring_list_is_one_object_and_later_ones_win(
        self, resolve: Any, backend: FakeBackend
    ) -> None:
        """Absent optional ones are left out."""
        backend.put("over", {"port": 1, "extra": "e-1"})
        merged = resolve("optional:aws-secretsmanager:app;nowhere;over")
        assert (merged["password"], merged["port"], merged["extra"]) == ("p-1", 1, "e-1")
        assert "p-1" not in repr(merged)
        assert "e-1" not in repr(merged)

    @pytest.mark.parametrize("name", ["plain", "array", "blob"])
    def test_a_spring_list_takes_objects_only(self, resolve: Any, name: str) -> None:
        """The message names the one that is none."""
        with pytest.raises(NotJsonError, match=repr(name)):
            resolve(f"aws-secretsmanager:app;{name}")

    def test_a_parsed_reference_resolves_like_its_text(self, resolve: Any) -> None:
        """So that settings may be checked once and read later."""
        assert resolve(parse("secret://app#password")) == "p-1"

    def test_nothing_is_read_for_a_bad_reference(self, resolve: Any, backend: FakeBackend) -> None:
        """It fails when parsed."""
        with pytest.raises(InvalidReferenceError):
            resolve("secret://app?stage=")
        assert backend.calls == []


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_no_key_makes_resolving_fail_in_an_untyped_way(key: str) -> None:
    """JMESPath's own errors never come out."""
    backend = FakeBackend({"app": {"a": ["x", 1, None], "b": {"c": "d"}}})
    with SecretsClient(backend) as client:
        try:
            client.resolve(ref("app", key=key))
        except SecretKeyError as error:
            assert "'app'" in str(error)  # noqa: PT017  both outcomes are fine
