"""Settling a rotation while it may still run: the login is never taken from under it."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from smclient import RotationStepError
from smclient.rotation import users
from smclient.rotation.databases import Login


def begun(kind: Any, bench: Any, store: Any, function: Any, *, master: bool) -> str:
    """A rotation before its setSecret."""
    store(kind, kind.make(), master=master)
    token: str = bench.begin(function)
    bench.step(function, "createSecret", token)
    return token


def after_the_login(label: str, monkeypatch: pytest.MonkeyPatch, act: Any) -> None:
    """Do something when setSecret has read its values and logged in with these credentials."""
    real = users.log_in

    def logged_in(engine: Any, login: Login) -> Any:
        session = real(engine, login)
        if login.label == label:
            monkeypatch.setattr(users, "log_in", real)
            act()
        return session

    monkeypatch.setattr(users, "log_in", logged_in)


def test_a_rotation_that_is_on_is_not_settled(kind: Any, bench: Any, store: Any) -> None:
    """Its function may be about to set the pending password."""
    function = kind.single()
    token = begun(kind, bench, store, function, master=kind.name == "redis")
    with pytest.raises(RotationStepError, match="CancelRotateSecret"):
        function.settle(bench.name, bench.secrets)
    assert bench.labels()["AWSPENDING"] == token


def test_a_rotation_that_is_on_is_settled_on_demand(kind: Any, bench: Any, store: Any) -> None:
    """Where somebody knows that nothing runs any more."""
    function = kind.single()
    begun(kind, bench, store, function, master=kind.name == "redis")
    assert function.settle(bench.name, bench.secrets, force=True) == "discarded"
    assert kind.takes(bench.value())


def test_nothing_pending_is_no_matter_of_cancelling(kind: Any, bench: Any, store: Any) -> None:
    """There is nothing to settle, whether rotation is on or not."""
    function = kind.single()
    store(kind, kind.make(), master=kind.name == "redis")
    assert function.settle(bench.name, bench.secrets) is None


@pytest.mark.parametrize("forced", [False, True])
@pytest.mark.parametrize("name", ["postgres", "redshift", "mariadb", "mongo"])
def test_a_password_that_was_settled_meanwhile_is_not_set(
    kind_named: Any,
    bench: Any,
    store: Any,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    forced: bool,
) -> None:
    """setSecret has read everything; then the rotation is discarded."""
    kind = kind_named(name)
    function = kind.single()
    token = begun(kind, bench, store, function, master=False)

    def settle() -> None:
        if not forced:
            bench.client.call("CancelRotateSecret", SecretId=bench.name)
        assert function.settle(bench.name, bench.secrets, force=forced) == "discarded"

    after_the_login("current", monkeypatch, settle)
    with pytest.raises(RotationStepError):
        bench.step(function, "setSecret", token)
    assert kind.takes(bench.value())


def test_the_other_user_is_not_made_for_a_rotation_that_was_settled_meanwhile(
    alternating_kind: Any, bench: Any, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login that no version has would be left behind."""
    kind = alternating_kind
    function = kind.alternating()
    token = begun(kind, bench, store, function, master=True)
    pending = bench.value("AWSPENDING")
    cancel = partial(bench.client.call, "CancelRotateSecret", SecretId=bench.name)
    after_the_login("current", monkeypatch, cancel)
    with pytest.raises(RotationStepError, match="not enabled"):
        bench.step(function, "setSecret", token)
    assert not kind.takes(pending)


def test_a_password_is_not_added_for_a_rotation_that_was_cancelled_meanwhile(
    redis_kind: Any, bench: Any, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a user has several."""
    function = redis_kind.single()
    token = begun(redis_kind, bench, store, function, master=True)
    pending = bench.value("AWSPENDING")
    cancel = partial(bench.client.call, "CancelRotateSecret", SecretId=bench.name)
    after_the_login("master", monkeypatch, cancel)
    with pytest.raises(RotationStepError, match="not enabled"):
        bench.step(function, "setSecret", token)
    assert not redis_kind.takes(pending)
