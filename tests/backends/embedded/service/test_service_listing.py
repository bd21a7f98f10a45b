"""ListSecrets, ListSecretVersionIds, BatchGetSecretValue: filters, order, pages, items."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from smclient_embedded.filters import name_prefixes

SECRETS: dict[str, dict[str, Any]] = {
    "/x": {"Description": "a secret", "Tags": [{"Key": "Team", "Value": "Red"}]},
    "x/": {"Description": "an secret", "Tags": [{"Key": "team", "Value": "red"}]},
    "x-word": {"Description": "asecret", "Tags": [{"Key": "Tier", "Value": "Gold"}]},
    "Prod/Db": {"Description": "thesecret"},
    "prod/web": {"Description": "The Front door (web)"},
    "plain": {},
}
"""The examples of facts/service.md and some more, in the order of creation."""


def filled(world: Any) -> Any:
    """A service with these secrets, a second between each."""
    for name, more in SECRETS.items():
        world.create(name, **more)
        world.clock.advance(1)
    return world


@pytest.fixture
def shelf(world: Any) -> Any:
    """Over each store."""
    return filled(world)


@pytest.fixture
def memory_shelf(memory: Any) -> Any:
    """In memory, for what is decided above the store."""
    return filled(memory)


def listed(world: Any, *filters: tuple[str, list[str]], **more: Any) -> list[str]:
    if filters:
        more["Filters"] = [{"Key": key, "Values": values} for key, values in filters]
    return [entry["Name"] for entry in world("ListSecrets", **more)["SecretList"]]


def paged(world: Any, operation: str, member: str, **request: Any) -> list[list[Any]]:
    """All pages."""
    pages, token = [], {}
    while True:
        answer = world(operation, **request, **token)
        pages.append(answer[member])
        if "NextToken" not in answer:
            return pages
        token = {"NextToken": answer["NextToken"]}


class TestEntries:
    def test_of_a_plain_secret_have_these_members(self, world: Any) -> None:
        """The map of versions has another name than in DescribeSecret."""
        arn = world.create(Description="d")
        now = world.service._door.now()
        assert world("ListSecrets") == {
            "SecretList": [
                {
                    "ARN": arn,
                    "Name": "s",
                    "Description": "d",
                    "CreatedDate": now,
                    "LastChangedDate": now,
                    "SecretVersionsToStages": {world.token("v0"): ["AWSCURRENT"]},
                }
            ]
        }

    def test_of_nothing_are_an_empty_list(self, world: Any) -> None:
        """And no token."""
        assert world("ListSecrets") == {"SecretList": []}


class TestFilters:
    @pytest.mark.parametrize(
        ("key", "values", "found"),
        [
            ("name", ["/"], ["/x"]),
            ("name", ["x"], ["x/", "x-word"]),
            ("name", ["prod"], ["prod/web"]),
            ("name", ["word"], []),
            ("name", ["web"], []),
            ("description", ["a"], ["/x", "x/", "x-word"]),
            ("description", ["A SEC"], ["/x"]),
            ("description", ["secret"], ["/x", "x/"]),
            ("description", ["FRONT"], ["prod/web"]),
            ("description", ["ront"], []),
            ("tag-key", ["T"], ["/x", "x-word"]),
            ("tag-key", ["team"], ["x/"]),
            ("tag-key", ["eam"], []),
            ("tag-value", ["Re"], ["/x"]),
            ("tag-value", ["red"], ["x/"]),
            ("all", ["RED"], ["/x", "x/"]),
            ("all", ["word"], ["x-word"]),
            ("all", ["db"], ["Prod/Db"]),
            ("all", ["pro"], ["Prod/Db", "prod/web"]),
            ("all", ["ecret"], []),
            ("all", ["front web"], ["prod/web"]),
            ("all", ["team red"], ["/x", "x/"]),
            ("all", ["front nothing"], []),
            ("primary-region", ["us-east-1"], []),
            ("owning-service", ["rds"], []),
            ("name", ["/", "plain"], ["/x", "plain"]),
            ("name", ["!x"], ["/x", "Prod/Db", "prod/web", "plain"]),
            ("name", ["!nothing-matches"], list(SECRETS)),
            ("description", ["!a"], ["Prod/Db", "prod/web", "plain"]),
            ("tag-key", ["!T"], ["x/", "Prod/Db", "prod/web", "plain"]),
            ("all", ["!secret"], ["x-word", "Prod/Db", "prod/web", "plain"]),
        ],
    )
    def test_find_what_aws_finds(
        self, memory_shelf: Any, key: str, values: list[str], found: list[str]
    ) -> None:
        """Starts of names and tags by case; starts of words in any case; ``!`` for the rest."""
        assert listed(memory_shelf, (key, values)) == found

    def test_are_anded_also_two_of_one_key(self, shelf: Any) -> None:
        """The values of one filter are ORed."""
        assert listed(shelf, ("name", ["x"]), ("description", ["an"])) == ["x/"]
        assert listed(shelf, ("name", ["x"]), ("name", ["x-"])) == ["x-word"]
        assert listed(shelf, ("name", ["x"]), ("name", ["!x-"])) == ["x/"]
        assert listed(shelf, ("name", ["/"]), ("name", ["x"])) == []

    @pytest.mark.parametrize(
        ("shape", "message"),
        [
            ({"Values": ["x"]}, "Invalid filter key"),
            ({"Key": "name"}, "Invalid filter values for key: name"),
        ],
    )
    def test_need_key_and_values(self, memory: Any, shape: dict[str, Any], message: str) -> None:
        """Both, in ListSecrets and in a batch."""
        for operation in ("ListSecrets", "BatchGetSecretValue"):
            refused = memory.refused(operation, Filters=[shape])
            assert refused == ("InvalidParameterException", message)

    @pytest.mark.parametrize(
        ("filters", "text"),
        [
            (
                [{"Key": "colour", "Values": ["x"]}],
                "Value 'colour' at 'filters.1.member.key' failed to satisfy constraint: Member "
                "must satisfy enum value set: [description, name, tag-key, tag-value, "
                "primary-region, owning-service, all]",
            ),
            (
                [{"Key": "name", "Values": []}],
                "Value '[]' at 'filters.1.member.values' failed to satisfy constraint: Member must "
                "have length greater than or equal to 1",
            ),
            (
                [{"Key": "name", "Values": [str(n) for n in range(11)]}],
                "Value '[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]' at 'filters.1.member.values' failed to "
                "satisfy constraint: Member must have length less than or equal to 10",
            ),
        ],
    )
    def test_keep_the_limits_of_the_model(self, memory: Any, filters: Any, text: str) -> None:
        """Keys of an enum, up to ten values."""
        assert memory.refused("ListSecrets", Filters=filters) == (
            "ValidationException",
            "1 validation error detected: " + text,
        )

    def test_may_be_ten(self, memory: Any) -> None:
        """And not eleven."""
        one = {"Key": "name", "Values": ["x"]}
        memory("ListSecrets", Filters=[one] * 10)
        code, _ = memory.refused("ListSecrets", Filters=[one] * 11)
        assert code == "ValidationException"


class TestOrder:
    def test_is_that_of_creation_and_later_changes_do_not_move_an_entry(self, shelf: Any) -> None:
        """Oldest first."""
        shelf("UpdateSecret", SecretId="/x", Description="changed")
        assert listed(shelf) == list(SECRETS)
        assert listed(shelf, SortOrder="desc") == list(SECRETS)[::-1]
        assert listed(shelf, SortBy="created-date") == list(SECRETS)

    def test_by_name_is_by_the_characters(self, shelf: Any) -> None:
        """Capitals first."""
        assert listed(shelf, SortBy="name") == sorted(SECRETS)
        assert listed(shelf, SortBy="name", SortOrder="desc") == sorted(SECRETS)[::-1]

    def test_by_last_change(self, shelf: Any) -> None:
        """What was changed last is last."""
        shelf("UpdateSecret", SecretId="/x", Description="changed")
        assert listed(shelf, SortBy="last-changed-date")[-1] == "/x"
        assert listed(shelf, SortBy="last-changed-date", SortOrder="desc")[0] == "/x"

    def test_by_last_access(self, shelf: Any) -> None:
        """What was read on a later day is later; what was never read is first."""
        shelf.value("x/")
        shelf.clock.advance(days=1)
        shelf.value("/x")
        assert listed(shelf, SortBy="last-accessed-date")[-2:] == ["x/", "/x"]
        assert listed(shelf, SortBy="last-accessed-date", SortOrder="desc")[:2] == ["/x", "x/"]

    def test_of_another_kind_breaks_a_limit(self, memory: Any) -> None:
        """Both are enums."""
        assert memory.refused("ListSecrets", SortBy="colour") == (
            "ValidationException",
            "1 validation error detected: Value 'colour' at 'sortBy' failed to satisfy constraint: "
            "Member must satisfy enum value set: [created-date, last-accessed-date, "
            "last-changed-date, name]",
        )
        assert memory.refused("ListSecrets", SortOrder="up")[0] == "ValidationException"


class TestPages:
    @pytest.mark.parametrize("sort_by", ["created-date", "last-changed-date", "name"])
    @pytest.mark.parametrize("order", ["asc", "desc"])
    @pytest.mark.parametrize("size", [1, 6])
    def test_hold_every_secret_once(self, shelf: Any, sort_by: str, order: str, size: int) -> None:
        """In order, whatever their size; no token after the last."""
        request = {"SortBy": sort_by, "SortOrder": order}
        pages = paged(shelf, "ListSecrets", "SecretList", MaxResults=size, **request)
        assert [len(page) for page in pages[:-1]] == [size] * (len(pages) - 1)
        names = [entry["Name"] for page in pages for entry in page]
        assert names == listed(shelf, **request)

    def test_are_full_also_with_a_filter(self, shelf: Any) -> None:
        """What does not match takes no place, and no empty page follows."""
        filters = [{"Key": "name", "Values": ["x", "plain"]}]
        pages = paged(shelf, "ListSecrets", "SecretList", MaxResults=1, Filters=filters)
        assert [[entry["Name"] for entry in page] for page in pages] == [
            ["x/"],
            ["x-word"],
            ["plain"],
        ]

    def test_stand_still_while_secrets_come_and_go(self, shelf: Any) -> None:
        """A page goes on where the one before ended."""
        first = shelf("ListSecrets", MaxResults=2)
        shelf("DeleteSecret", SecretId="/x", ForceDeleteWithoutRecovery=True)
        shelf.create("late")
        more = shelf("ListSecrets", NextToken=first["NextToken"])
        names = [entry["Name"] for entry in more["SecretList"]]
        assert names == [*list(SECRETS)[2:], "late"]

    @pytest.mark.parametrize(
        "content",
        [
            "made up",
            "[]",
            "null",
            "{}",
            "[1, 2, 3]",
            '["created", false, null]',
            '["created", false, {}]',
            '["name", false, "x"]',
            '["created", true, "x"]',
            '["created", false, "\\ud800"]',
            "[" * 3000,
            "[" + "9" * 3000 + "]",
        ],
    )
    def test_refuse_a_made_up_token(self, memory: Any, content: str) -> None:
        """As it is, and in the guise of one of ours."""
        for token in (content, base64.urlsafe_b64encode(content.encode()).decode()):
            code, _ = memory.refused("ListSecrets", NextToken=token)
            assert code == "InvalidNextTokenException"

    @pytest.mark.parametrize("position", ["", "x", "-1", "9" * 400, "2026\0zzz", "' OR 1=1 --"])
    def test_survive_a_forged_position(self, world: Any, position: str) -> None:
        """A page or a refusal, nothing else."""
        world.create()
        for sort_by in ("created", "accessed", "changed", "name"):
            content = json.dumps([sort_by, False, position]).encode()
            key = "created-date" if sort_by == "created" else f"last-{sort_by}-date"
            request = {"SortBy": "name" if sort_by == "name" else key}
            request["NextToken"] = base64.urlsafe_b64encode(content).decode()
            try:
                answer = world("ListSecrets", **request)
            except Exception as error:
                assert type(error).__name__ == "InvalidNextTokenException"  # noqa: PT017
            else:
                assert len(answer["SecretList"]) <= 1

    def test_of_another_order_are_refused(self, shelf: Any) -> None:
        """A token belongs to its question."""
        token = shelf("ListSecrets", MaxResults=1)["NextToken"]
        code, _ = shelf.refused("ListSecrets", SortBy="name", NextToken=token)
        assert code == "InvalidNextTokenException"

    @pytest.mark.parametrize("size", [0, 101, -1])
    def test_have_1_to_100_entries(self, memory: Any, size: int) -> None:
        """The model's range."""
        for operation in ("ListSecrets", "ListSecretVersionIds"):
            code, text = memory.refused(operation, SecretId="s", MaxResults=size)
            assert (code, "at 'maxResults'" in text) == ("ValidationException", True)


class TestListSecretVersionIds:
    def test_shows_the_labelled_versions(self, world: Any) -> None:
        """Never the value; the default key under its own name."""
        arn = world.create()
        created = world.service._door.now()
        world.clock.advance(9)
        world.put("v1")
        entry = {"KmsKeyIds": ["DefaultEncryptionKey"]}
        assert world("ListSecretVersionIds", SecretId="s") == {
            "ARN": arn,
            "Name": "s",
            "Versions": [
                {
                    **entry,
                    "VersionId": world.token("v0"),
                    "VersionStages": ["AWSPREVIOUS"],
                    "CreatedDate": created,
                },
                {
                    **entry,
                    "VersionId": world.token("v1"),
                    "VersionStages": ["AWSCURRENT"],
                    "CreatedDate": world.service._door.now(),
                },
            ],
        }

    def test_shows_versions_without_labels_only_if_asked_for(self, world: Any) -> None:
        """They have no VersionStages member."""
        world.create()
        world.put("v1")
        world.put("v2")
        assert len(world("ListSecretVersionIds", SecretId="s")["Versions"]) == 2
        versions = world("ListSecretVersionIds", SecretId="s", IncludeDeprecated=True)["Versions"]
        assert [v["VersionId"] for v in versions] == [world.token(f"v{n}") for n in range(3)]
        assert "VersionStages" not in versions[0]

    def test_shows_the_keys_arn_where_one_was_named(self, world: Any) -> None:
        """An alias is resolved."""
        key = world.service.create_key(alias="alias/mine")
        world.create(KmsKeyId="alias/mine")
        versions = world("ListSecretVersionIds", SecretId="s")["Versions"]
        assert versions[0]["KmsKeyIds"] == [key]

    def test_of_an_empty_secret_is_an_empty_list(self, world: Any) -> None:
        """Not an error."""
        world.create(value=None)
        assert world("ListSecretVersionIds", SecretId="s")["Versions"] == []

    def test_pages_hold_every_version_once(self, world: Any) -> None:
        """In the order of creation."""
        world.create()
        for n in range(1, 5):
            world.put(f"v{n}", f"L{n}")
        pages = paged(world, "ListSecretVersionIds", "Versions", SecretId="s", MaxResults=2)
        assert [len(page) for page in pages] == [2, 2, 1]
        ids = [version["VersionId"] for page in pages for version in page]
        assert ids == [world.token(f"v{n}") for n in range(5)]

    def test_refuses_a_made_up_token(self, world: Any) -> None:
        """As ListSecrets does."""
        world.create()
        code, _ = world.refused("ListSecretVersionIds", SecretId="s", NextToken="made up")
        assert code == "InvalidNextTokenException"


class TestBatchGetSecretValue:
    def test_answers_values_and_errors_beside_each_other(self, world: Any) -> None:
        """Values have GetSecretValue's members; an error has the id as it was sent."""
        world.create("a", "1")
        arn = world.create("b", "2")
        world.create("empty", None)
        asked = ["a", arn[:-7], "nope", "empty", "not a name"]
        answer = world("BatchGetSecretValue", SecretIdList=asked)
        assert answer.keys() == {"SecretValues", "Errors"}
        assert answer["SecretValues"] == [
            world("GetSecretValue", SecretId="a"),
            world("GetSecretValue", SecretId="b"),
        ]
        assert [(e["SecretId"], e["ErrorCode"]) for e in answer["Errors"]] == [
            ("nope", "ResourceNotFoundException"),
            ("empty", "ResourceNotFoundException"),
            ("not a name", "ValidationException"),
        ]
        assert answer["Errors"][0]["Message"] == "Secrets Manager can't find the specified secret."

    def test_reads_awscurrent_always(self, world: Any) -> None:
        """And marks the access."""
        world.create()
        world.put("v1")
        answer = world("BatchGetSecretValue", SecretIdList=["s"])
        assert answer["SecretValues"][0]["SecretString"] == "v1"
        assert "LastAccessedDate" in world.describe()

    def test_finds_by_filter_in_pages(self, shelf: Any) -> None:
        """MaxResults belongs to Filters."""
        filters = [{"Key": "name", "Values": ["x", "plain"]}]
        request = {"Filters": filters, "MaxResults": 2}
        pages = paged(shelf, "BatchGetSecretValue", "SecretValues", **request)
        assert [[value["Name"] for value in page] for page in pages] == [
            ["x/", "x-word"],
            ["plain"],
        ]

    def test_by_filter_leaves_out_what_waits_for_its_deletion(self, shelf: Any) -> None:
        """As ListSecrets does."""
        shelf("DeleteSecret", SecretId="plain")
        answer = shelf("BatchGetSecretValue", Filters=[{"Key": "name", "Values": ["plain"]}])
        assert answer == {"SecretValues": [], "Errors": []}

    @pytest.mark.parametrize(
        ("request_", "message"),
        [
            (
                {"SecretIdList": ["s"], "Filters": [{"Key": "name", "Values": ["s"]}]},
                "Either 'SecretIdList' or 'Filters' must be provided, but not both.",
            ),
            (
                {"SecretIdList": ["s"], "MaxResults": 2},
                "'Filters' not specified. 'Filters' must also be specified when 'MaxResults' is "
                "provided.",
            ),
            ({}, None),
        ],
    )
    def test_wants_ids_or_filters(
        self, memory: Any, request_: dict[str, Any], message: str | None
    ) -> None:
        """Exactly one of them."""
        code, text = memory.refused("BatchGetSecretValue", **request_)
        assert code == "InvalidParameterException"
        assert message in (None, text)

    @pytest.mark.parametrize("count", [0, 21])
    def test_takes_1_to_20_ids(self, memory: Any, count: int) -> None:
        """The model's limit."""
        code, _ = memory.refused("BatchGetSecretValue", SecretIdList=["s"] * count)
        assert code == "ValidationException"

    def test_takes_20_ids(self, memory: Any) -> None:
        """All of them, in order."""
        names = [f"s{n}" for n in range(20)]
        for name in names:
            memory.create(name, name)
        answer = memory("BatchGetSecretValue", SecretIdList=names)
        assert [value["SecretString"] for value in answer["SecretValues"]] == names


@pytest.mark.parametrize(
    ("filters", "prefixes"),
    [
        ([], ()),
        ([{"Key": "name", "Values": ["a/", "b"]}], ("a/", "b")),
        ([{"Key": "name", "Values": ["a/", "!b"]}], ()),
        ([{"Key": "all", "Values": ["a"]}, {"Key": "name", "Values": ["b"]}], ("b",)),
        ([{"Key": "name", "Values": ["!a"]}, {"Key": "name", "Values": ["b"]}], ("b",)),
    ],
)
def test_a_name_filter_is_the_stores_work(filters: Any, prefixes: tuple[str, ...]) -> None:
    assert name_prefixes(filters) == prefixes


@pytest.mark.parametrize("values", [["a/"], ["a/", "c"], ["!b"], ["a/", "!a/"], ["d"]])
@pytest.mark.parametrize("order", ["name", "created-date"])
def test_pages_of_a_name_filter_are_those_of_all_names(
    world: Any, values: list[str], order: str
) -> None:
    created = [f"{letter}/{number}" for number in range(4) for letter in "cab"]
    for name in created:
        world.create(name)
    wanted = [
        name
        for name in (sorted(created) if order == "name" else created)
        if any(name.startswith(v.removeprefix("!")) != (v[0] == "!") for v in values)
    ]
    found: list[str] = []
    request = {"Filters": [{"Key": "name", "Values": values}], "SortBy": order, "MaxResults": 3}
    while True:
        page = world("ListSecrets", **request)
        found += [secret["Name"] for secret in page["SecretList"]]
        if "NextToken" not in page:
            break
        assert len(page["SecretList"]) == 3
        request["NextToken"] = page["NextToken"]
    assert found == wanted
