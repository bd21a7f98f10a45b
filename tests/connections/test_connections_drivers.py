"""The login ladder through every driver, against the real servers: who logs in at each phase of a
rotation, what is not taken for a bad password, and what an error gives away."""

from __future__ import annotations

import asyncio
import functools
import socket
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import CANARY, Account, Connecting, Way


def fresh() -> str:
    return f"{CANARY}{uuid.uuid4().hex}"


def test_a_login_with_what_is_held(bench: Any, account: Account, connecting: Connecting) -> None:
    """One login, nothing asked twice."""
    bench.create(account.secret())
    assert connecting.whoami() == account.name
    assert connecting.whoami() == account.name
    assert connecting.client.usage().logins == {"cached": 2}
    assert connecting.client.usage().failed_logins == 0


def test_after_a_rotation_that_nobody_saw(
    bench: Any, account: Account, connecting: Connecting
) -> None:
    """The held password is refused: a fresh AWSCURRENT logs in."""
    bench.create(account.secret())
    connecting.client.get(bench.name)
    account.become(fresh())
    bench.put(account.secret())
    assert connecting.whoami() == account.name
    assert connecting.client.usage().logins == {"AWSCURRENT": 1}
    assert connecting.client.usage().failed_logins == 1


def test_in_the_window_of_a_rotation(
    bench: Any, account: Account, connecting: Connecting, put_pending: Callable[[Any], None]
) -> None:
    """The server knows the new password, AWSCURRENT is still the old one: AWSPENDING logs in, and
    is remembered."""
    bench.create(account.secret())
    account.become(fresh())
    put_pending(account.secret())
    for _ in range(3):
        assert connecting.whoami() == account.name
    assert connecting.client.usage().logins == {"AWSPENDING": 1, "remembered": 2}
    assert connecting.client.usage().failed_logins == 1


def test_after_a_rotation_that_the_database_does_not_know_of(
    bench: Any, account: Account, connecting: Connecting
) -> None:
    """A replica that lags, a backup that was restored: AWSPREVIOUS logs in."""
    bench.create(account.secret())
    bench.put(account.secret(fresh()))
    assert connecting.whoami() == account.name
    assert connecting.client.usage().logins == {"AWSPREVIOUS": 1}


def test_when_every_version_is_refused_the_drivers_own_error_is_raised(
    bench: Any, account: Account, connecting: Connecting, shown: Callable[[BaseException], str]
) -> None:
    """With the versions tried as a note, and without a password anywhere in it."""
    bench.create(account.secret())
    bench.put(account.secret(fresh()))
    account.become(fresh())
    with pytest.raises(Exception) as caught:
        connecting.whoami()
    module = type(caught.value).__module__
    assert not module.startswith("smclient")
    assert CANARY not in shown(caught.value)
    notes = "".join(caught.value.__notes__)
    for version in bench.labels().values():
        assert version in notes
    assert connecting.client.usage().failed_logins == 2


def test_a_server_that_is_down_is_no_matter_of_passwords(
    bench: Any, account: Account, connecting: Connecting
) -> None:
    """One try, and no version is asked for."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        bench.create({**account.secret(), "port": probe.getsockname()[1]})
        bench.put({**account.secret(fresh()), "port": probe.getsockname()[1]})
        with pytest.raises(Exception) as caught:
            connecting.whoami()
    assert not type(caught.value).__module__.startswith("smclient")
    assert connecting.client.usage().failed_logins == 0


def test_a_database_that_does_not_exist_is_no_matter_of_passwords(
    bench: Any, account: Account, connecting: Connecting, way: Way
) -> None:
    """Though MySQL's family says "Access denied" there too."""
    if way.family == "redis":
        pytest.skip("Redis has no databases of a name")
    bench.create({**account.secret(), "dbname": "no_such_database"})
    bench.put({**account.secret(fresh()), "dbname": "no_such_database"})
    bench.client.call(
        "UpdateSecretVersionStage",
        SecretId=bench.name,
        VersionStage="AWSCURRENT",
        MoveToVersionId=bench.labels()["AWSPREVIOUS"],
        RemoveFromVersionId=bench.labels()["AWSCURRENT"],
    )
    with pytest.raises(Exception, match="no_such_database"):
        connecting.whoami()
    assert connecting.client.usage().failed_logins == 0


def test_nothing_is_tried_twice(
    bench: Any, account: Account, connecting: Connecting, way: Way
) -> None:
    """A rolled-back secret has the same password in two versions: the server counts one refusal."""
    bench.create(account.secret())
    bench.put(account.secret())
    account.become(fresh())
    tried: list[str] = []
    factory = way.connect()

    @functools.wraps(factory)
    def counting(*args: Any, **kwargs: Any) -> Any:
        tried.append(str(kwargs["password"]))
        return factory(*args, **kwargs)

    with pytest.raises(Exception):  # noqa: B017  each driver has its own
        connecting.whoami(counting)
    assert len(tried) == 1


def test_the_loop_goes_on_while_a_backend_is_slow(
    bench: Any, account: Account, connecting: Connecting, way: Way
) -> None:
    """An async login that has to climb holds nobody else up."""
    if not way.asynchronous:
        pytest.skip("only a loop can be held up")
    from smclient import AsyncSecretsClient

    bench.create(account.secret())
    connecting.client.get(bench.name)
    account.become(fresh())
    bench.put(account.secret())
    loop_ran: list[bool] = []
    backend = connecting.client._backend
    fetch = backend.fetch

    async def main() -> str:
        loop, ran = asyncio.get_running_loop(), asyncio.Event()

        def slow(ref: Any) -> Any:
            """Answers once the loop has run something else meanwhile."""
            loop.call_soon_threadsafe(ran.set)
            loop_ran.append(asyncio.run_coroutine_threadsafe(ran.wait(), loop).result(20))
            return fetch(ref)

        backend.fetch = slow  # type: ignore[method-assign]
        client = AsyncSecretsClient(sync=connecting.client)
        connection = await client.connect(bench.name, way.connect())
        return str(await way.who(connection)).partition("@")[0]

    assert asyncio.run(main()) == account.name
    assert loop_ran == [True]
