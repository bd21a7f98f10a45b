"""The shared policy cases, each by its id: decisions, public policies, grammar."""

import json
from pathlib import Path
from typing import Any

import pytest

from smclient_embedded.policy import CaseError, lint, read_cases, report, simulate

_DATA = Path(__file__).parents[3] / "data" / "policy"


def _cases(name: str) -> list[Any]:
    return read_cases(json.loads((_DATA / name).read_text(encoding="utf-8")))


_REQUESTS = _cases("cases.json")
_BROAD = _cases("broad.json")
_GRAMMAR = _cases("validation.json")


def _id(case: dict[str, Any]) -> str:
    return f"{case['id']}-{case['name']}"


@pytest.mark.parametrize("case", _REQUESTS, ids=_id)
def test_decision(case: dict[str, Any]) -> None:
    """The decision is the one the case expects, and no evaluation error brought it about."""
    decision = simulate(case)
    assert (str(decision.reason), decision.error) == (case["expect"], None), case["why"]
    assert decision.allowed == (case["expect"] == "allow")


@pytest.mark.parametrize("case", _REQUESTS, ids=_id)
def test_explanation(case: dict[str, Any]) -> None:
    """Every decision says in sentences what decided it."""
    answer = report(case)
    first = answer["explanation"][0]
    assert answer["id"] == case["id"]
    assert first.startswith("Allowed" if case["expect"] == "allow" else ("Denied", "Not allowed"))
    assert all(sentence.endswith(".") for sentence in answer["explanation"])
    assert json.loads(json.dumps(answer)) == answer


@pytest.mark.parametrize("case", _BROAD, ids=_id)
def test_public(case: dict[str, Any]) -> None:
    """BlockPublicPolicy refuses the policies that the case calls public, and says why."""
    answer = lint(case)
    assert answer["public"] is case["public"], case["why"]
    assert bool(answer["explanation"]) is case["public"]


@pytest.mark.parametrize("case", _GRAMMAR, ids=_id)
def test_grammar(case: dict[str, Any]) -> None:
    """A document is accepted for its kind exactly if the case says so, and faults have a place."""
    answer = lint(case)
    assert answer["valid"] is case["valid"], case["why"]
    assert all(": " in fault for fault in answer["explanation"])


@pytest.mark.parametrize("case", [*_REQUESTS, *_BROAD, *_GRAMMAR], ids=_id)
def test_cases_without_their_answers(case: dict[str, Any]) -> None:
    """The engine does not look at the expected answer."""
    asked = {k: v for k, v in case.items() if k not in ("expect", "public", "valid", "why")}
    ask = simulate if "principal" in case else lint
    assert ask(asked) == ask(case)


def test_secret_policies_of_the_cases_are_valid() -> None:
    """Only the case about a wildcard inside a principal holds a document AWS would not store."""
    refused = []
    for case in _REQUESTS:
        documents = case["policies"].get("resource", [])
        for document in documents if isinstance(documents, list) else [documents]:
            if not lint({"kind": "resource", "document": document})["valid"]:
                refused.append(case["name"])
    assert refused == ["rp-wildcard-principal-arn"]


@pytest.mark.parametrize(
    "case",
    [
        {},
        {"principal": "arn:aws:iam::111122223333:user/dev"},
        {**_REQUESTS[0], "account": None},
        {**_REQUESTS[0], "context": []},
        {**_REQUESTS[0], "context": {"a:b": {}}},
        {**_REQUESTS[0], "principal_role": 1},
        {**_REQUESTS[0], "policies": {"scp": {}}},
        {**_REQUESTS[0], "policies": {"boundary": [{}, {}]}},
    ],
)
def test_request_case_in_another_format(case: dict[str, Any]) -> None:
    """A case that is not in the documented format is an error of its own, not a decision."""
    with pytest.raises(CaseError):
        simulate(case)


@pytest.mark.parametrize("case", [{}, {"kind": "bucket", "document": {}}, {"kind": "scp"}])
def test_lint_case_in_another_format(case: dict[str, Any]) -> None:
    """`lint` needs a policy, or a known kind with a document or a text."""
    with pytest.raises(CaseError):
        lint(case)


@pytest.mark.parametrize("data", [1, [1], {"cases": {}}])
def test_case_file_in_another_format(data: Any) -> None:
    """A case file holds a list of objects."""
    with pytest.raises(CaseError):
        read_cases(data)


def test_case_files_come_in_three_shapes() -> None:
    """An object with cases, a list, and a single case."""
    assert read_cases({"cases": [{"id": 1}]}) == read_cases([{"id": 1}]) == read_cases({"id": 1})
