"""GetRandomPassword with all its options."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smclient_embedded import EmbeddedService
from smclient_embedded.errors import InvalidParameterException

TYPES = {
    "ExcludeLowercase": string.ascii_lowercase,
    "ExcludeUppercase": string.ascii_uppercase,
    "ExcludeNumbers": string.digits,
    "ExcludePunctuation": string.punctuation,
}
PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


def test_the_punctuation_is_that_of_the_models_text() -> None:
    """Thirty-two signs."""
    assert string.punctuation == PUNCTUATION


def test_has_32_characters_of_four_types(memory: Any) -> None:
    """Without any option, and only RandomPassword in the answer."""
    for _ in range(50):
        answer = memory("GetRandomPassword")
        assert answer.keys() == {"RandomPassword"}
        assert len(answer["RandomPassword"]) == 32
        for alphabet in TYPES.values():
            assert set(answer["RandomPassword"]) & set(alphabet)
        assert " " not in answer["RandomPassword"]


def test_is_another_one_each_time(memory: Any) -> None:
    """Two the same would be a broken source."""
    assert len({memory("GetRandomPassword")["RandomPassword"] for _ in range(100)}) == 100


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    length=st.integers(1, 200) | st.just(4096),
    without=st.sets(st.sampled_from(sorted(TYPES))),
    characters=st.text(st.sampled_from(string.printable), max_size=60),
    space=st.none() | st.booleans(),
    each=st.none() | st.booleans(),
)
def test_options_hold_together(
    length: int, without: set[str], characters: str, space: bool | None, each: bool | None
) -> None:
    """The length holds, nothing excluded is in it, each included type is unless told otherwise."""
    request: dict[str, Any] = {"PasswordLength": length, "ExcludeCharacters": characters}
    request |= dict.fromkeys(without, True)
    request |= {} if space is None else {"IncludeSpace": space}
    request |= {} if each is None else {"RequireEachIncludedType": each}
    included = [set(TYPES[t]) - set(characters) for t in sorted(TYPES) if t not in without]
    included = [alphabet for alphabet in included if alphabet]
    allowed = set().union(*included) | ({" "} if space and " " not in characters else set())
    service = EmbeddedService()
    if not allowed or (each is not False and length < len(included)):
        with pytest.raises(InvalidParameterException):
            service.call("GetRandomPassword", request)
        return
    password = service.call("GetRandomPassword", request)["RandomPassword"]
    assert len(password) == length
    assert set(password) <= allowed
    if each is not False:
        assert all(set(password) & alphabet for alphabet in included)


def test_too_short_for_one_of_each_type_is_refused(memory: Any) -> None:
    """With AWS's sentence; four are enough, or fewer types."""
    assert memory.refused("GetRandomPassword", PasswordLength=3) == (
        "InvalidParameterException",
        "Password length is too short based on the required types.",
    )
    assert len(memory("GetRandomPassword", PasswordLength=4)["RandomPassword"]) == 4
    short = memory("GetRandomPassword", PasswordLength=3, ExcludePunctuation=True)
    assert len(short["RandomPassword"]) == 3


def test_space_is_used_when_included(memory: Any) -> None:
    """In a long one it turns up."""
    password = memory("GetRandomPassword", PasswordLength=4096, IncludeSpace=True)["RandomPassword"]
    assert " " in password


def test_everything_excluded_is_refused(memory: Any) -> None:
    """By type or by character."""
    for request in (dict.fromkeys(TYPES, True), {"ExcludeCharacters": "".join(TYPES.values())}):
        assert memory.refused("GetRandomPassword", **request)[0] == "InvalidParameterException"


@pytest.mark.parametrize("length", [0, -1, 4097, 10**15])
def test_length_is_1_to_4096(memory: Any, length: int) -> None:
    """The model's range."""
    code, text = memory.refused("GetRandomPassword", PasswordLength=length)
    assert (code, "at 'passwordLength'" in text) == ("ValidationException", True)


def test_characters_come_from_the_whole_alphabet_alike(memory: Any) -> None:
    """No bias that 4,096 draws of ten digits would show (six sigma)."""
    digits = dict.fromkeys(set(TYPES) - {"ExcludeNumbers"}, True)
    password = memory("GetRandomPassword", PasswordLength=4096, **digits)["RandomPassword"]
    for digit in string.digits:
        assert abs(password.count(digit) - 409.6) < 6 * (4096 * 0.1 * 0.9) ** 0.5
