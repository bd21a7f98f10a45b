"""The login that is remembered is forgotten with its secret, and found by whoever masks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smclient import ClientConfig, LoginHeldBackError, SecretsClient, SecretValue
from smclient.backend import BackendUrl
from smclient.masking import Masker
from smclient.testing import FakeBackend, FakeClock

MakeClient = Callable[..., SecretsClient]
OLD = "of-yesterday"


class WrongPassword(Exception):
    """What asyncpg raises."""

    sqlstate = "28P01"


WrongPassword.__module__ = "asyncpg.exceptions"


@pytest.fixture
def backend() -> FakeBackend:
    """A secret whose AWSCURRENT the database does not take yet."""
    backend = FakeBackend({"db": {"username": "app", "password": OLD}})
    backend.put("db", {"username": "app", "password": "of-today"})
    return backend


@pytest.fixture
def client(make_client: MakeClient) -> SecretsClient:
    """A client that holds little and does not wait."""
    return make_client(max_secrets=1, login_wait=0.0)


def tried(client: SecretsClient) -> list[str]:
    """The passwords of one login."""
    passwords: list[str] = []

    def attempt(value: SecretValue) -> None:
        passwords.append(str(value["password"]))
        if passwords[-1] != OLD:
            raise WrongPassword

    client.login("db", attempt)
    return passwords


def test_a_winner_is_tried_first(client: SecretsClient) -> None:
    """As long as it is remembered."""
    assert tried(client) == ["of-today", OLD]
    assert tried(client) == [OLD]


@pytest.mark.parametrize("named", ["name", "arn", "partial", "all"])
def test_a_winner_is_forgotten_with_its_secret(
    client: SecretsClient, backend: FakeBackend, named: str
) -> None:
    """Password and all, however the secret is named; the ladder is climbed anew."""
    arn = backend.arn("db")
    ids: dict[str, str | None] = {"name": "db", "arn": arn, "partial": arn[:-7], "all": None}
    tried(client)
    client.invalidate(ids[named])
    assert client._ladder.memory.values() == []
    assert tried(client) == ["of-today", OLD]


def test_another_secret_s_winner_stays(client: SecretsClient, backend: FakeBackend) -> None:
    """Also that of one whose name begins the same."""
    tried(client)
    backend.put("d", "x")
    client.invalidate("d")
    assert tried(client) == [OLD]


def test_what_was_refused_is_not_forgotten(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """An account that is about to be locked is so whatever a client forgets."""

    def refuse(value: SecretValue) -> None:
        raise WrongPassword

    tries: list[str] = []
    for _ in range(5):
        with pytest.raises(WrongPassword):
            client.login("db", refuse)
        client.invalidate("db")
    with pytest.raises(LoginHeldBackError):
        client.login("db", lambda value: tries.append(value.version_id))
    assert tries == []


def test_a_winner_is_masked_though_the_cache_has_let_it_go(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """Another secret has taken its room."""
    tried(client)
    backend.put("other", "x")
    client.get("other")
    mask = Masker(client)
    assert OLD not in mask(f"password={OLD}")
    client.invalidate("db")
    assert OLD in mask(f"password={OLD}")


def test_no_password_of_a_url_is_in_a_repr() -> None:
    """Nor of its options; scheme and path tell which it is."""
    url = "embedded+postgresql://app:hunter2@db/shop?token=hunter3"
    for shown in (repr(BackendUrl.parse(url)), repr(ClientConfig(backend=url))):
        assert "hunter" not in shown
    assert "embedded+postgresql" in repr(BackendUrl.parse(url))
