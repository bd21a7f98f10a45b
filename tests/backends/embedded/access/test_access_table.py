"""The tables of condition keys and extra actions, against the shared facts about AWS's actions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from smclient_embedded.condition_keys import KMS_KEYS, PARAMETER_KEYS, TAGGING
from smclient_embedded.model import service_model
from smclient_embedded.needs import NEEDS

FACTS: dict[str, Any] = json.loads(
    (Path(__file__).parents[3] / "data" / "policy" / "actions.json").read_text(encoding="utf-8")
)
FROM_THE_STORE = {"KmsKeyArn", "SecretId"}
"""Keys of requests whose value has to be looked up: the door fills them in."""


def test_every_key_of_a_request_is_filled_in_for_the_actions_that_have_it() -> None:
    wanted = {
        name.removeprefix("secretsmanager:"): set(fact["actions"])
        for name, fact in FACTS["conditionKeys"].items()
        if fact["from"] == "request" and name.startswith("secretsmanager:")
    }
    ours = {name: set(actions) for name, (_, _, actions) in PARAMETER_KEYS.items()}
    assert ours == {name: acts for name, acts in wanted.items() if name not in FROM_THE_STORE}


@pytest.mark.parametrize("name", sorted(PARAMETER_KEYS))
def test_the_parameter_of_a_key_is_one_of_its_operations(name: str) -> None:
    member, _, actions = PARAMETER_KEYS[name]
    for action in actions:
        assert member in service_model().input_shape(action).members, action


def test_request_tags_belong_to_the_actions_that_have_them() -> None:
    assert set(FACTS["conditionKeys"]["aws:RequestTag/${TagKey}"]["actions"]) == TAGGING


def test_operations_that_need_more_are_in_the_table() -> None:
    """KMS and what depends on another secret is asked where it is known."""
    listed = {
        action
        for action, fact in FACTS["actions"].items()
        if any(
            need.startswith("secretsmanager:")
            and "each secret" not in need
            and "cross-account" not in need
            for need in fact.get("alsoNeeds", [])
        )
    }
    assert listed == set(NEEDS) - {"RotateSecret"}


def test_kms_knows_the_keys_that_the_facts_list() -> None:
    assert set(KMS_KEYS) <= set(FACTS["kms"]["Decrypt"])
