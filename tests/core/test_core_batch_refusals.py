"""What becomes of many when the service refuses a whole batch: each is judged by its own answer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smclient import CredentialsError, SecretsClient, ValidationError
from smclient.errors import BackendUnavailableError, SmclientError
from smclient.testing import Call, FakeBackend, FakeClock, Queued

MakeClient = Callable[..., SecretsClient]

NAMES = [f"s{n}" for n in range(20)]


@pytest.fixture
def backend() -> FakeBackend:
    """Twenty secrets whose text is their name."""
    return FakeBackend({name: name for name in NAMES})


def refuse_batches_with(error: SmclientError, bad: str) -> Callable[[Call], None]:
    """A hook that refuses every call with a bad id in it, and no other."""

    def before(call: Call) -> None:
        if bad in call.secret_ids:
            raise error

    return before


def test_credentials_that_are_refused_end_what_a_batch_would_refresh(
    make_client: MakeClient, backend: FakeBackend, clock: FakeClock, worker: Queued
) -> None:
    """No value outlives them, and the refusal is not asked for again at once."""
    client = make_client(refresh="batch", worker=worker)
    client.get_many(NAMES)
    clock.advance(301)
    backend.fail_with(CredentialsError("the security token is expired"), times=None)
    client.get_many(NAMES)
    backend.calls.clear()
    worker.run()
    asked = len(backend.calls)
    assert asked == 1  # it is about who asks: asking for each alone tells nothing new
    for name in NAMES:
        with pytest.raises(CredentialsError, match=f"secret '{name}'"):
            client.get(name)
    assert len(backend.calls) == asked


def test_one_id_that_spoils_the_batch_spoils_no_other(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """The rest is read one by one."""
    backend.before = refuse_batches_with(ValidationError("s7 is no id"), "s7")
    batch = client.get_many(NAMES)
    assert list(batch.errors) == ["s7"]
    assert len(batch.values) == 19


def test_an_outage_of_the_batch_is_not_asked_twenty_times_more(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """No answer is no refusal."""
    backend.fail_with(BackendUnavailableError("no answer"), times=None)
    assert list(client.get_many(NAMES).errors) == NAMES
    assert len(backend.calls) == 1
