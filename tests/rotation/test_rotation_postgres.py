"""``PostgresSingleUser`` on a real PostgreSQL: whole rotations, and crashes at every step."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import pytest

from smclient.rotation import PasswordRules, PostgresSingleUser, Rotation
from smclient_embedded.scheduler import Done
from tests.rotation.helpers_rotation_postgres import STEPS, Crashing


class Fixed(PostgresSingleUser):
    """Rotates to a given password."""

    def __init__(self, password: str) -> None:
        super().__init__()
        self._password = password

    def new_value(self, rotation: Rotation) -> Mapping[str, Any]:
        return {**super().new_value(rotation), "password": self._password}


def test_rotations_in_a_row(bench: Any, user: Any) -> None:
    """Each time the database takes the new password only, and nothing else of the secret moves."""
    bench.create(user.secret())
    function = PostgresSingleUser()
    used = [user.password]
    for _ in range(3):
        bench.begin(function)
        assert bench.service.run_due().rotated == (bench.arn,)
        current = bench.value()
        assert user.takes(current["password"])
        assert not user.takes(used[-1])
        assert bench.value("AWSPREVIOUS")["password"] == used[-1]
        assert current == user.secret(password=current["password"])
        used.append(current["password"])
    assert len(set(used)) == 4


def test_each_step_twice_in_a_row(bench: Any, user: Any) -> None:
    """Steps repeated find their work done."""
    bench.create(user.secret())
    function = PostgresSingleUser()
    token = bench.begin(function)
    for step in STEPS:
        for _ in range(2):
            bench.step(function, step, token)
    assert bench.labels()["AWSCURRENT"] == token
    assert user.takes(bench.value()["password"])


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_any_step_is_made_good_by_the_next_try(
    bench: Any, user: Any, step: str, when: str
) -> None:
    """All four steps run again with the same token; the password that was stored first is the one
    that is set. The crash after setSecret is the one that leaves AWSCURRENT wrong meanwhile."""
    bench.create(user.secret())
    function = Crashing(step, when)
    token = bench.begin(function)
    assert bench.service.run_due().failed == (bench.arn,)
    stored = None
    if (step, when) not in [("createSecret", "before"), ("finishSecret", "after")]:
        stored = bench.value("AWSPENDING")["password"]
        was_set = step in STEPS[2:] or (step, when) == ("setSecret", "after")
        assert user.takes(stored) is was_set
        assert user.takes(user.password) is not was_set
    assert bench.service.run_due() == Done()  # not due again yet
    bench.clock.advance(minutes=5)
    assert bench.service.run_due().rotated == (bench.arn,)
    assert {token_ for _, token_ in function.calls} == {token}
    assert [name for name, _ in function.calls][-4:] == list(STEPS)
    assert bench.labels()["AWSCURRENT"] == token
    current = bench.value()["password"]
    assert stored in (None, current)
    assert user.takes(current)
    assert not user.takes(user.password)


def test_the_previous_password_serves_where_the_current_one_does_not(bench: Any, user: Any) -> None:
    """Somebody stored a password that was never set; the one before still logs in."""
    bench.create(user.secret())
    bench.put(user.secret(password="never-set-in-the-database"))
    bench.begin(PostgresSingleUser())
    assert bench.service.run_due().rotated == (bench.arn,)
    assert user.takes(bench.value()["password"])
    assert not user.takes(user.password)


@pytest.mark.parametrize(
    "password",
    [
        "it's",
        'double " quote',
        "back\\slash",
        "100%s %(name)s {} $1",
        "пароль-密码-é",
        " leading and trailing ",
        "a" * 200,
        "semi;colon--comment/*",
    ],
)
def test_odd_passwords(bench: Any, make_user: Any, password: str) -> None:
    """Into one and out of it again: both sides of a rotation take any text."""
    user = make_user()
    bench.create(user.secret())
    bench.begin(Fixed(password))
    assert bench.service.run_due().rotated == (bench.arn,)
    assert user.takes(password)
    assert not user.takes(user.password)
    bench.begin(PostgresSingleUser())
    assert bench.service.run_due().rotated == (bench.arn,)
    assert user.takes(bench.value()["password"])
    assert not user.takes(password)


@pytest.mark.parametrize(
    "name",
    ["O'Brien", 'double "quoted"', "MixedCase", "user name", "naïve-用户", "100%s {}", "a;--b\\"],
)
def test_odd_user_names(bench: Any, make_user: Any, name: str) -> None:
    """Names are quoted as identifiers and stay as they are."""
    user = make_user(name=name)
    bench.create(user.secret())
    bench.begin(PostgresSingleUser())
    assert bench.service.run_due().rotated == (bench.arn,)
    assert bench.value()["username"] == name
    assert user.takes(bench.value()["password"])
    assert not user.takes(user.password)


@pytest.mark.parametrize(
    "changes",
    [
        {"engine": None},
        {"engine": "postgresql"},
        {"engine": "aurora-postgresql"},
        {"port": "as text"},
        {"ssl": False},
        {"ssl": "False"},
        {"ssl": "nonsense"},
        {"dbname": None},
        {"dbname": ""},
    ],
    ids=str,
)
def test_secrets_as_awss_templates_allow_them(
    bench: Any, user: Any, changes: dict[str, Any]
) -> None:
    """Engine names, a port as text, ``ssl`` in several spellings, no database name."""
    if "port" in changes:
        changes = {"port": str(user.server.port)}
    bench.create(user.secret(**changes))
    bench.begin(PostgresSingleUser())
    assert bench.service.run_due().rotated == (bench.arn,)
    assert user.takes(bench.value()["password"])


def test_password_rules_are_kept(bench: Any, user: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the environment as in AWS Lambda, or given in code."""
    monkeypatch.setenv("PASSWORD_LENGTH", "17")
    monkeypatch.setenv("EXCLUDE_PUNCTUATION", "true")
    bench.create(user.secret())
    bench.begin(PostgresSingleUser())
    assert bench.service.run_due().rotated
    assert len(bench.value()["password"]) == 17
    assert bench.value()["password"].isalnum()
    bench.begin(PostgresSingleUser(PasswordRules(length=40)))
    assert bench.service.run_due().rotated
    assert len(bench.value()["password"]) == 40


def test_default_passwords_fit_a_connection_url(bench: Any, user: Any) -> None:
    """None of the characters that break URLs and quoting, though nothing was configured."""
    bench.create(user.secret())
    rotation = Rotation(bench.secrets, bench.arn, str(uuid.uuid4()))
    for _ in range(20):
        password = PostgresSingleUser().new_value(rotation)["password"]
        assert len(password) == 32
        assert not set(password) & set(":/@\"'\\")
