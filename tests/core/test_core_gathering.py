"""Cold reads of many secrets at once share calls; the first is never delayed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from smclient import AccessDeniedError, ResourceNotFoundError, SecretsClient, ValidationError
from smclient.testing import Call, FakeBackend

MakeClient = Callable[..., SecretsClient]
NAMES = [f"app/{n}" for n in range(60)]


@pytest.fixture
def many() -> FakeBackend:
    """A backend with sixty secrets."""
    return FakeBackend({name: name.upper() for name in NAMES})


class Gate:
    """Holds the first call until everybody else waits behind it."""

    def __init__(self, client: SecretsClient, waiting: int) -> None:
        self._gatherer = client._reader._gatherer
        self._waiting = waiting
        self._first = threading.Lock()
        self._bell = threading.Event()

    def __call__(self, call: Call) -> None:
        """Called by the backend before each answer."""
        if self._first.acquire(blocking=False):
            for _ in range(2000):
                if len(self._gatherer._waiting) >= self._waiting:
                    return
                self._bell.wait(0.001)
            raise AssertionError("they did not come")


def test_misses_behind_the_first_go_in_batches(
    make_client: MakeClient, many: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One call for the first, three for the other 59."""
    monkeypatch.setattr("smclient.gathering.LONGEST_WAIT", 10.0)
    client = make_client(many, refresh="auto")
    many.before = Gate(client, len(NAMES) - 1)
    with ThreadPoolExecutor(len(NAMES)) as pool:
        texts = list(pool.map(lambda name: client.get(name).text, NAMES))
    assert texts == [name.upper() for name in NAMES]
    assert [call.operation for call in many.calls] == [
        "GetSecretValue",
        *["BatchGetSecretValue"] * 3,
    ]
    assert client.usage().misses == len(NAMES)


def test_an_error_in_a_batch_is_its_own_readers_only(
    make_client: MakeClient, many: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others get their values."""
    monkeypatch.setattr("smclient.gathering.LONGEST_WAIT", 10.0)
    client = make_client(many, refresh="batch")
    asked = [*NAMES[:12], "absent"]
    many.before = Gate(client, len(asked) - 1)

    def read(name: str) -> str:
        try:
            return client.get(name).text
        except ResourceNotFoundError:
            return "not found"

    with ThreadPoolExecutor(len(asked)) as pool:
        texts = list(pool.map(read, asked))
    assert texts == [*(name.upper() for name in NAMES[:12]), "not found"]


def test_an_id_that_spoils_a_batch_is_its_own_readers_only(
    make_client: MakeClient, many: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that is refused as a whole for one of its ids says nothing about the others."""
    monkeypatch.setattr("smclient.gathering.LONGEST_WAIT", 10.0)
    client = make_client(many, refresh="batch")
    asked = [*NAMES[:12], "no id"]
    gate = Gate(client, len(asked) - 1)

    def before(call: Call) -> None:
        gate(call)
        if "no id" in call.secret_ids:
            raise ValidationError("no such name can be")

    def read(name: str) -> str:
        try:
            return client.get(name).text
        except ValidationError:
            return "refused"

    many.before = before
    with ThreadPoolExecutor(len(asked)) as pool:
        texts = list(pool.map(read, asked))
    assert texts == [*(name.upper() for name in NAMES[:12]), "refused"]


def test_a_few_misses_go_each_alone(
    make_client: MakeClient, many: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So do all, where batches are denied."""
    monkeypatch.setattr("smclient.gathering.LONGEST_WAIT", 10.0)
    client = make_client(many, refresh="auto")
    many.before = Gate(client, 3)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(client.get, NAMES[:4]))
    assert many.count("BatchGetSecretValue") == 0
    assert many.count("GetSecretValue") == 4


def test_a_denied_batch_still_answers_everybody(
    make_client: MakeClient, many: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One by one, and the batch is not asked again."""
    monkeypatch.setattr("smclient.gathering.LONGEST_WAIT", 10.0)
    client = make_client(many, refresh="auto")
    gate = Gate(client, len(NAMES) - 1)

    def before(call: Call) -> None:
        gate(call)
        if call.operation == "BatchGetSecretValue":
            raise AccessDeniedError("not authorized")

    many.before = before
    with ThreadPoolExecutor(len(NAMES)) as pool:
        texts = list(pool.map(lambda name: client.get(name).text, NAMES))
    assert texts == [name.upper() for name in NAMES]
    assert many.count("BatchGetSecretValue") == 1


def test_a_first_call_that_hangs_holds_nobody_up(
    make_client: MakeClient, many: FakeBackend
) -> None:
    """Who waited 50 ms goes alone."""
    client = make_client(many, refresh="auto")
    release, first = threading.Event(), threading.Event()

    def before(call: Call) -> None:
        if call.secret_ids == ("app/0",):
            first.set()
            assert release.wait(10)

    many.before = before
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(client.get, "app/0")
        assert first.wait(10)
        assert client.get("app/1").text == "APP/1"
        assert not hanging.done()
        release.set()
        assert hanging.result(10).text == "APP/0"


def test_one_reader_at_a_time_never_batches(make_client: MakeClient, many: FakeBackend) -> None:
    """Nothing to share, nothing to wait for."""
    client = make_client(many, refresh="batch")
    for name in NAMES:
        client.get(name)
    assert {call.operation for call in many.calls} == {"GetSecretValue"}
