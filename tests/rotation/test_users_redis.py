"""What is particular to Redis: two passwords at once, users without any, users that are saved."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from smclient import RotationStepError
from smclient.rotation import RedisAclUser
from smclient_demo.redis_server import RedisServer

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")


def rotate(bench: Any, function: Any) -> dict[str, Any]:
    bench.begin(function)
    assert bench.service.run_due().rotated == (bench.arn,)
    value: dict[str, Any] = bench.value()
    return value


def acl(server: RedisServer, *words: str) -> Any:
    with server.connect() as client:
        return client.execute_command("ACL", *words)


def digests(server: RedisServer, name: str) -> set[str]:
    found = acl(server, "GETUSER", name)
    fields = found if isinstance(found, dict) else dict(zip(found[::2], found[1::2], strict=True))
    fields = {getattr(k, "decode", lambda k=k: k)(): v for k, v in fields.items()}
    return {getattr(d, "decode", lambda d=d: d)() for d in fields["passwords"]}


def digest(secret: dict[str, Any]) -> str:
    return hashlib.sha256(secret["password"].encode()).hexdigest()


def test_a_user_has_two_passwords_and_never_more(redis_kind: Any, bench: Any, store: Any) -> None:
    """No login fails at any step: current and pending work, older ones do not."""
    values = [store(redis_kind, redis_kind.make(), master=True)]
    function = RedisAclUser()
    for _ in range(3):
        token = bench.begin(function)
        for step in STEPS:
            bench.step(function, step, token)
            assert redis_kind.takes(values[-1])
        bench.service.run_due()
        values.append(bench.value())
        name = values[0]["username"]
        assert digests(redis_kind.server, name) == {digest(value) for value in values[-2:]}
        assert redis_kind.may_read(values[-1])


def test_a_user_that_needed_no_password_needs_one_then(
    redis_kind: Any, bench: Any, store: Any
) -> None:
    """``nopass`` takes anything, so that a pending password that logs in proves nothing."""
    secret = store(redis_kind, redis_kind.make(), master=True)
    acl(redis_kind.server, "SETUSER", secret["username"], "nopass")
    value = rotate(bench, RedisAclUser())
    assert redis_kind.takes(value)
    assert not redis_kind.takes({**value, "password": "anything"})


def test_a_user_that_is_not_there_is_not_made(redis_kind: Any, bench: Any, store: Any) -> None:
    """ACL SETUSER would make one, without rights."""
    store(redis_kind, {**redis_kind.make(), "username": "nobody-here"}, master=True)
    function = RedisAclUser()
    token = bench.begin(function)
    bench.step(function, "createSecret", token)
    with pytest.raises(RotationStepError, match="no user 'nobody-here'"):
        bench.step(function, "setSecret", token)
    assert acl(redis_kind.server, "GETUSER", "nobody-here") is None


def test_without_a_master_the_user_does_it_itself(redis_kind: Any, bench: Any, store: Any) -> None:
    """Where it is allowed to."""
    secret = store(redis_kind, redis_kind.make(), master=False)
    acl(redis_kind.server, "SETUSER", secret["username"], "+acl")
    for _ in range(2):
        assert redis_kind.takes(rotate(bench, RedisAclUser()))


def test_a_user_that_may_not(redis_kind: Any, bench: Any, store: Any, shown: Any) -> None:
    """Told as what it is, without a password or a digest."""
    secret = store(redis_kind, redis_kind.make(), master=False)
    function = RedisAclUser()
    token = bench.begin(function)
    bench.step(function, "createSecret", token)
    with pytest.raises(RotationStepError, match="could not set the password") as caught:
        bench.step(function, "setSecret", token)
    text = shown(caught.value)
    for value in (secret, bench.value("AWSPENDING")):
        assert value["password"] not in text
        assert digest(value) not in text
    assert redis_kind.takes(secret)


def test_a_user_that_may_do_nothing_else_than_log_in(
    redis_kind: Any, bench: Any, store: Any
) -> None:
    """The test step needs no command."""
    secret = store(redis_kind, redis_kind.make(), master=True)
    acl(redis_kind.server, "SETUSER", secret["username"], "-@all")
    rotate(bench, RedisAclUser())


def test_a_rotation_outlives_a_restart(redis_kind: Any, bench: Any, store: Any) -> None:
    """Users are saved where the server has a file for them."""
    with RedisServer() as server:
        kind = type(redis_kind)(server)
        store(kind, kind.make(), master=True)
        value = rotate(bench, RedisAclUser())
        server.kill()
        server.restart()
        assert kind.takes(value)


def test_the_masters_password_goes_to_its_own_server_only(
    redis_kind: Any, bench: Any, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another port is another server."""
    master = {**redis_kind.admin_secret(), "port": 1}
    monkeypatch.setattr(redis_kind, "admin_secret", lambda: master)
    store(redis_kind, redis_kind.make(), master=True)
    function = RedisAclUser()
    token = bench.begin(function)
    bench.step(function, "createSecret", token)
    with pytest.raises(RotationStepError, match="goes nowhere else"):
        bench.step(function, "setSecret", token)


def test_a_master_whose_own_rotation_is_under_way(
    redis_kind: Any, bench: Any, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pending password is in force already, as for alternating users."""
    works = redis_kind.admin_secret()
    retired = {**works, "password": "retired-canary"}
    monkeypatch.setattr(redis_kind, "admin_secret", lambda: retired)
    arn = store(redis_kind, redis_kind.make(), master=True)["masterarn"]
    bench.client.call(
        "PutSecretValue",
        SecretId=arn,
        SecretString=json.dumps(works),
        VersionStages=["AWSPENDING"],
    )
    assert redis_kind.takes(rotate(bench, RedisAclUser()))


def test_tls_is_tried_and_then_done_without(redis_kind: Any, bench: Any, store: Any) -> None:
    """A secret that does not say: this server has no TLS."""
    secret = {k: v for k, v in redis_kind.make().items() if k != "ssl"}
    store(redis_kind, secret, master=True)
    assert redis_kind.takes(rotate(bench, RedisAclUser()))
