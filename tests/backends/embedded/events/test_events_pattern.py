"""EventBridge's event patterns: what fits, what does not, what is no pattern."""

from __future__ import annotations

import fnmatch
import json
import operator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smclient_embedded.events import EventPattern, InvalidPatternError

EVENT: dict[str, Any] = {
    "source": "aws.secretsmanager",
    "detail-type": "AWS API Call via CloudTrail",
    "resources": ["arn:a", "arn:b"],
    "detail": {
        "eventName": "PutSecretValue",
        "sourceIPAddress": "10.1.2.3",
        "readOnly": False,
        "count": 7,
        "ratio": 0.5,
        "nothing": None,
        "empty": "",
        "none": [],
        "items": [{"name": "a", "size": 1}, {"name": "b", "size": 2}],
    },
}


def fits(pattern: Any, event: Any = EVENT) -> bool:
    return EventPattern.parse(pattern).matches(event)


def detail(**members: Any) -> dict[str, Any]:
    return {"detail": members}


class TestValues:
    @pytest.mark.parametrize(
        "pattern",
        [
            {"source": ["aws.secretsmanager"]},
            {"source": ["aws.kms", "aws.secretsmanager"]},
            {"resources": ["arn:b"]},
            detail(readOnly=[False]),
            detail(count=[7]),
            detail(count=[7.0]),
            detail(nothing=[None]),
            detail(empty=[""]),
            detail(eventName=["PutSecretValue"], count=[7]),
            json.dumps({"source": ["aws.secretsmanager"], **detail(eventName=["PutSecretValue"])}),
        ],
    )
    def test_that_fit(self, pattern: Any) -> None:
        """One alternative of each member, one element of an array."""
        assert fits(pattern)

    @pytest.mark.parametrize(
        "pattern",
        [
            {"source": ["aws.kms"]},
            {"Source": ["aws.secretsmanager"]},
            {"resources": ["arn:c"]},
            detail(readOnly=[0]),
            detail(readOnly=["false"]),
            detail(count=["7"]),
            detail(count=[True]),
            detail(nothing=[""]),
            detail(absent=[None]),
            detail(none=[None]),
            detail(eventName=["PutSecretValue"], count=[8]),
            detail(eventName={"deep": ["PutSecretValue"]}),
            {"detail": ["PutSecretValue"]},
        ],
    )
    def test_that_do_not(self, pattern: Any) -> None:
        """Kinds are told apart; what is absent equals nothing."""
        assert not fits(pattern)

    def test_members_of_an_array_of_objects_fit_in_one_element(self) -> None:
        """Not one here and one there."""
        assert fits(detail(items={"name": ["a"], "size": [1]}))
        assert not fits(detail(items={"name": ["a"], "size": [2]}))


class TestComparisons:
    @pytest.mark.parametrize(
        ("comparison", "fitting", "other"),
        [
            ({"prefix": "Put"}, ["Put", "PutSecretValue"], ["put", "xPut", 7, None]),
            ({"prefix": {"equals-ignore-case": "put"}}, ["PUTx", "putx"], ["xput"]),
            ({"suffix": ".png"}, [".png", "a.png"], ["a.PNG", "a.png "]),
            ({"suffix": {"equals-ignore-case": ".png"}}, ["a.PNG"], ["a.jpg"]),
            ({"equals-ignore-case": "Alice"}, ["ALICE", "alice"], ["alic", "alices"]),
            ({"wildcard": "a*c"}, ["ac", "abc", "aXXc"], ["a", "acb", "bac"]),
            ({"wildcard": "*/lib/*"}, ["/lib/", "x/lib/y"], ["lib", "/lib"]),
            ({"wildcard": "a\\*\\\\*"}, ["a*\\", "a*\\x"], ["ab\\", "a*"]),
            ({"anything-but": "a"}, ["b", "", 7, None, False], ["a"]),
            ({"anything-but": ["a", 7]}, ["b", 8], ["a", 7, 7.0]),
            ({"anything-but": {"prefix": "a"}}, ["b", "ba"], ["a", "ab"]),
            ({"anything-but": {"prefix": ["a", "b"]}}, ["c"], ["ax", "bx"]),
            ({"anything-but": {"suffix": ".png"}}, ["a.jpg"], ["a.png"]),
            ({"anything-but": {"equals-ignore-case": ["A", "b"]}}, ["c"], ["a", "B"]),
            ({"anything-but": {"wildcard": "*x*"}}, ["a"], ["axb", "x"]),
            ({"numeric": ["=", 7]}, [7, 7.0], [8, "7", True]),
            ({"numeric": [">", 0, "<=", 5]}, [0.1, 5], [0, 5.1, -1]),
            ({"numeric": ["<", -1.5]}, [-2], [-1.5, 0]),
            ({"numeric": [">=", 1]}, [1], [0.99, True]),
            ({"cidr": "10.0.0.0/8"}, ["10.0.0.0", "10.255.1.1"], ["11.0.0.1", "x", "", 10]),
            ({"cidr": "2001:db8::/32"}, ["2001:db8::1"], ["2001:db9::1", "10.0.0.1"]),
            ({"exists": True}, ["", 0, None, False, "x"], [[], {}, {"a": 1}]),
        ],
    )
    def test_compare(self, comparison: Any, fitting: list[Any], other: list[Any]) -> None:
        """Alone and in an array, where one element is enough."""
        for value in fitting:
            assert fits({"a": [comparison]}, {"a": value}), value
            assert fits({"a": ["no", comparison]}, {"a": [{}, value]}), value
        for value in other:
            assert not fits({"a": [comparison]}, {"a": value}), value
        assert not fits({"a": [comparison]}, {"b": "x"}), "absent"

    def test_exists_false_wants_it_absent(self) -> None:
        """Also below what is absent."""
        assert fits(detail(absent=[{"exists": False}]))
        assert not fits(detail(count=[{"exists": False}]))
        assert fits({"none": {"deep": [{"exists": False}]}})
        assert fits({"a": [{"exists": False}, "x"]}, {"a": "x"})

    def test_or_wants_one_of_several(self) -> None:
        """Beside what is wanted in any case, at any depth."""
        either = {"$or": [{"count": [1]}, {"eventName": [{"prefix": "Put"}]}]}
        assert fits({"detail": either})
        assert not fits({"detail": {**either, "readOnly": [True]}})
        assert not fits({"detail": {"$or": [{"count": [1]}, {"count": [2]}]}})
        assert fits({"$or": [{"source": ["x"]}, {"$or": [{"source": ["y"]}, detail(count=[7])]}]})


class TestWhatIsNoPattern:
    @pytest.mark.parametrize(
        ("pattern", "says"),
        [
            ("", "not JSON"),
            ("[]", "JSON object"),
            ("{}", "at least one"),
            ('{"a":[1],"a":[2]}', "twice"),
            ("[" * 100_000, "JSON|deep"),
            ({"a": "x"}, "a is neither"),
            ({"a": {"b": 3}}, r"a\.b is neither"),
            ({"a": {}}, "a is empty"),
            ({"a": []}, "a is an empty list"),
            ({"a": [["x"]]}, "list in its list"),
            ({"a": [{"prefix": "x", "suffix": "y"}]}, "2 members"),
            ({"a": [{}]}, "0 members"),
            ({"a": [{"like": "x"}]}, "'like'"),
            ({"a": [{"prefix": 3}]}, "needs a text"),
            ({"a": [{"prefix": {"suffix": "x"}}]}, "equals-ignore-case"),
            ({"a": [{"wildcard": "a**b"}]}, r"\*\*"),
            ({"a": [{"wildcard": "a\\b"}]}, "backslash"),
            ({"a": [{"wildcard": "*a" * 20}]}, "at most"),
            ({"a": [{"numeric": [">"]}]}, "one comparison or two"),
            ({"a": [{"numeric": ["!", 3]}]}, "compares by"),
            ({"a": [{"numeric": [">", "3"]}]}, "numbers"),
            ({"a": [{"numeric": [">", 6e9]}]}, "5e9"),
            ({"a": [{"numeric": ["<", 3, ">", 1]}]}, "lower bound first"),
            ({"a": [{"numeric": [">", 3, "<", 1]}]}, "empty"),
            ({"a": [{"exists": "yes"}]}, "true or false"),
            ({"a": [{"cidr": "10.0.0.0/99"}]}, "range"),
            ({"a": [{"anything-but": []}]}, "anything-but"),
            ({"a": [{"anything-but": {"numeric": [">", 1]}}]}, "anything-but takes one"),
            ({"a": [{"anything-but": True}]}, "texts and numbers"),
            ({"a": ["x" * 5000]}, "longer than 4096"),
            ({"a": [object()]}, "JSON can say"),
            ({"a": [float("nan")]}, "JSON can say"),
            (3, "JSON object"),
        ],
    )
    def test_is_refused_saying_where_and_why(self, pattern: Any, says: str) -> None:
        """When it is subscribed with, not when an event comes."""
        with pytest.raises(InvalidPatternError, match=says):
            EventPattern.parse(pattern)


# --- properties -----------------------------------------------------------------------------------

leaves = st.none() | st.booleans() | st.integers(-9, 9) | st.text("aB*\\.", max_size=4)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner),
    max_leaves=8,
)
events = st.dictionaries(st.sampled_from("abcd"), values, max_size=4)
alternatives = (
    leaves
    | st.builds(lambda text: {"prefix": text}, st.text("aB", max_size=2))
    | st.builds(lambda text: {"suffix": text}, st.text("aB", max_size=2))
    | st.builds(lambda text: {"equals-ignore-case": text}, st.text("aB", max_size=2))
    | st.builds(lambda text: {"anything-but": text}, st.text("aB", max_size=2))
    | st.builds(lambda wanted: {"exists": wanted}, st.booleans())
    | st.builds(lambda bound: {"numeric": [">", bound]}, st.integers(-5, 5))
)
lists = st.lists(alternatives, min_size=1, max_size=3)
patterns = st.dictionaries(
    st.sampled_from("abcd"),
    lists | st.dictionaries(st.sampled_from("xyz"), lists, min_size=1),
    min_size=1,
)


@given(patterns, events)
def test_more_alternatives_never_fit_less(pattern: dict[str, Any], event: dict[str, Any]) -> None:
    """A list is an or."""
    wider = {k: [*v, "aB"] if isinstance(v, list) else v for k, v in pattern.items()}
    assert not fits(pattern, event) or fits(wider, event)


@given(patterns, patterns, events)
def test_members_are_an_and_and_or_is_an_or(
    one: dict[str, Any], other: dict[str, Any], event: dict[str, Any]
) -> None:
    """However they are written."""
    both = {**{f"{k}": v for k, v in one.items()}}
    shared = one.keys() & other.keys()
    if not shared:
        assert fits({**both, **other}, event) is (fits(one, event) and fits(other, event))
    assert fits({"$or": [one, other]}, event) is (fits(one, event) or fits(other, event))


@given(patterns, events)
def test_order_of_members_and_alternatives_says_nothing(
    pattern: dict[str, Any], event: dict[str, Any]
) -> None:
    """Neither does being written as JSON."""
    turned = {
        k: v[::-1] if isinstance(v, list) else dict(reversed(v.items()))
        for k, v in reversed(pattern.items())
    }
    assert fits(turned, event) is fits(json.dumps(pattern), event)


@given(st.text("ab*", min_size=1, max_size=6), st.text("ab", max_size=8))
def test_wildcards_agree_with_fnmatch(wildcard: str, value: str) -> None:
    """On what both know."""
    if "**" in wildcard:
        return
    assert fits({"a": [{"wildcard": wildcard}]}, {"a": value}) is fnmatch.fnmatchcase(
        value, wildcard
    )


@given(
    st.sampled_from(["=", ">", ">=", "<", "<="]),
    st.integers(-100, 100) | st.floats(-100, 100),
    st.integers(-100, 100) | st.floats(-100, 100),
)
def test_numbers_compare_as_numbers(sign: str, value: float, bound: float) -> None:
    """Whole or not."""
    of = {"=": operator.eq, ">": operator.gt, ">=": operator.ge, "<": operator.lt}
    wanted = of.get(sign, operator.le)(value, bound)
    assert fits({"a": [{"numeric": [sign, bound]}]}, {"a": value}) is wanted


@given(leaves.filter(lambda leaf: leaf is not None and not isinstance(leaf, bool)), leaves)
def test_anything_but_is_the_opposite_of_equal(excluded: Any, value: Any) -> None:
    """For one value that is there."""
    equal = fits({"a": [excluded]}, {"a": value})
    assert fits({"a": [{"anything-but": excluded}]}, {"a": value}) is not equal


json_values = st.recursive(
    leaves | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["a", "$or", "prefix", "numeric", "exists", "anything-but", "cidr", "wildcard"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=10,
)


@given(json_values, events)
def test_whatever_comes_is_a_pattern_or_is_refused(pattern: Any, event: dict[str, Any]) -> None:
    """Nothing else is raised, and a pattern that was taken decides on every event."""
    try:
        parsed = EventPattern.parse(pattern)
    except InvalidPatternError:
        return
    assert parsed.matches(event) in (True, False)
