"""Shipped helpers for tests: a clock moved by hand, a backend with a call log, inline work, and the
contract that every backend passes.

    class TestMyBackend(BackendContract):
        def make_backend(self): return MyBackend(...)
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from smclient.backend import Answer, Backend, Identity
from smclient.background import Work
from smclient.errors import (
    InvalidRequestError,
    NotSupportedError,
    ResourceExistsError,
    ResourceNotFoundError,
    SmclientError,
)
from smclient.secret import (
    AWSCURRENT,
    AWSPREVIOUS,
    SecretDescription,
    SecretRef,
    SecretValue,
)


class FakeClock:
    """A clock that stands still until ``advance`` moves it; ``sleep`` moves it too."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed = 0.0
        self._set_by = 0.0
        self._lock = threading.Lock()
        self.slept: list[float] = []

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._elapsed

    def time(self) -> float:
        """Seconds since 1970 by the time of day."""
        return self.now().timestamp()

    def now(self) -> datetime:
        """The start plus what has passed, and what the time of day was set ahead or back by."""
        return self._start + timedelta(seconds=self._elapsed + self._set_by)

    def set_ahead(self, seconds: float) -> None:
        """Set the time of day, as an administrator does or a machine that was frozen; the monotonic
        clock knows nothing of it. Negative sets it back."""
        self._set_by += seconds

    def advance(self, seconds: float = 0.0, **more: float) -> None:
        """Let time pass: seconds, and ``minutes=``, ``hours=``, ``days=`` as timedelta has them."""
        step = seconds + timedelta(**more).total_seconds()
        if step < 0:
            raise ValueError("a monotonic clock never goes back")
        with self._lock:
            self._elapsed += step

    def sleep(self, seconds: float) -> None:
        """Pass the time at once, and note it in ``slept``."""
        self.slept.append(seconds)
        self.advance(seconds)


class Inline:
    """A ``Worker`` that does the work at once, on the caller's own thread."""

    def submit(self, work: Work) -> None:
        """Do it now."""
        work()

    def close(self) -> None:
        """Nothing to end."""


class Queued:
    """A ``Worker`` that keeps the work until ``run`` is called."""

    def __init__(self) -> None:
        self.waiting: list[Work] = []

    def submit(self, work: Work) -> None:
        """Keep it."""
        self.waiting.append(work)

    def run(self) -> None:
        """Do everything that waits."""
        while self.waiting:
            self.waiting.pop(0)()

    def close(self) -> None:
        """Forget what waits."""
        self.waiting.clear()


@dataclass(frozen=True, slots=True)
class Call:
    """One call that a ``FakeBackend`` answered or refused."""

    operation: str
    secret_ids: tuple[str, ...]
    stage: str | None = None


class FakeBackend:
    """A backend in memory, with a log of its calls and faults on request.

    ``put`` sets a secret; ``calls`` lists what was asked; ``fail_with`` makes the next calls fail;
    ``before`` is called before each answer, to hold it up or to change things meanwhile.
    """

    def __init__(
        self,
        secrets: Mapping[str, Any] | None = None,
        *,
        account: str = "123456789012",
        region: str = "eu-west-1",
    ) -> None:
        self._lock = threading.RLock()
        self._account = account
        self._region = region
        self._versions: dict[str, dict[str, tuple[str | bytes, datetime]]] = {}
        self._labels: dict[str, dict[str, str]] = {}
        self._faults: list[SmclientError] = []
        self._always: SmclientError | None = None
        self.calls: list[Call] = []
        self.before: Callable[[Call], object] = lambda call: None
        self.closed = False
        for name, value in (secrets or {}).items():
            self.put(name, value)

    # --- for the test ---------------------------------------------------------------------------

    def put(
        self, name: str, value: Any, *, stages: Iterable[str] = (AWSCURRENT,), version_id: str = ""
    ) -> str:
        """Add a version. Text and bytes are stored as they are, anything else as JSON."""
        content = value if isinstance(value, str | bytes) else json.dumps(value)
        version_id = version_id or str(uuid.uuid4())
        with self._lock:
            self._versions.setdefault(name, {})[version_id] = (content, datetime.now(UTC))
            for stage in stages:
                self.move(name, stage, version_id)
        return version_id

    def move(self, name: str, stage: str, version_id: str | None) -> None:
        """Move a staging label, AWSPREVIOUS following AWSCURRENT; ``None`` takes it away."""
        with self._lock:
            labels = self._labels.setdefault(name, {})
            before = labels.pop(stage, None)
            if version_id is not None:
                labels[stage] = version_id
            if stage == AWSCURRENT and before not in (None, version_id):
                labels[AWSPREVIOUS] = str(before)

    def remove(self, name: str) -> None:
        """Delete a secret."""
        with self._lock:
            del self._versions[name], self._labels[name]

    def fail_with(self, error: SmclientError, times: int | None = 1) -> None:
        """Let the next ``times`` calls fail; ``None`` for every call until ``recover``."""
        if times is None:
            self._always = error
        else:
            self._faults += [error] * times

    def recover(self) -> None:
        """Fail no more."""
        self._always = None
        self._faults.clear()

    def count(self, operation: str) -> int:
        """How often an operation was asked."""
        return sum(call.operation == operation for call in self.calls)

    def arn(self, name: str) -> str:
        """The ARN of a secret of this backend."""
        place = f"{self._region}:{self._account}"
        return f"arn:aws:secretsmanager:{place}:secret:{name}-AbCdEf"

    # --- Backend --------------------------------------------------------------------------------

    def fetch(self, ref: SecretRef) -> Answer[SecretValue]:
        """See ``Backend.fetch``."""
        self._asked(Call("GetSecretValue", (ref.secret_id,), ref.version_stage))
        return Answer(self._value(ref))

    def fetch_many(
        self, secret_ids: Sequence[str]
    ) -> Answer[Mapping[str, SecretValue | SmclientError]]:
        """See ``Backend.fetch_many``."""
        self._asked(Call("BatchGetSecretValue", tuple(secret_ids)))
        found: dict[str, SecretValue | SmclientError] = {}
        for secret_id in secret_ids:
            try:
                found[secret_id] = self._value(SecretRef(secret_id))
            except SmclientError as error:
                found[secret_id] = error
        return Answer(found)

    def describe(self, secret_id: str) -> Answer[SecretDescription]:
        """See ``Backend.describe``."""
        self._asked(Call("DescribeSecret", (secret_id,)))
        name = self._name(secret_id)
        stages: dict[str, set[str]] = {version_id: set() for version_id in self._versions[name]}
        for stage, version_id in self._labels[name].items():
            stages[version_id].add(stage)
        labelled = {version_id: frozenset(s) for version_id, s in stages.items() if s}
        return Answer(SecretDescription(self.arn(name), name, labelled))

    def call(self, operation: str, parameters: Mapping[str, Any]) -> Answer[dict[str, Any]]:
        """CreateSecret, PutSecretValue and DeleteSecret; anything else ``NotSupportedError``."""
        secret_id = str(parameters.get("SecretId") or parameters.get("Name") or "")
        self._asked(Call(operation, (secret_id,)))
        value = parameters.get("SecretString", parameters.get("SecretBinary"))
        if operation == "CreateSecret":
            if secret_id in self._versions:
                raise ResourceExistsError(f"the secret {secret_id} already exists")
            name = secret_id
        else:
            name = self._name(secret_id)
        answer: dict[str, Any] = {"ARN": self.arn(name), "Name": name}
        if operation in ("CreateSecret", "PutSecretValue"):
            stages = parameters.get("VersionStages", (AWSCURRENT,))
            answer["VersionId"] = self.put(name, value, stages=stages)
        elif operation == "DeleteSecret":
            self.remove(name)
        else:
            raise NotSupportedError(f"FakeBackend has no {operation}")
        return Answer(answer)

    def identity(self) -> Identity:
        """A made-up account."""
        return Identity(self._account, self._region, "fake://", "tester")

    def close(self) -> None:
        """Note that it was closed."""
        self.closed = True

    # --- inside ---------------------------------------------------------------------------------

    def _asked(self, call: Call) -> None:
        self.calls.append(call)
        self.before(call)
        if self._always is not None:
            raise self._always
        if self._faults:
            raise self._faults.pop(0)

    def _name(self, secret_id: str) -> str:
        for name in self._versions:
            if secret_id in (name, self.arn(name), self.arn(name)[:-7]):
                return name
        raise ResourceNotFoundError("Secrets Manager can't find the specified secret.")

    def _value(self, ref: SecretRef) -> SecretValue:
        with self._lock:
            name = self._name(ref.secret_id)
            labels = self._labels[name]
            version_id = ref.version_id or labels.get(ref.version_stage or AWSCURRENT)
            if version_id not in self._versions[name]:
                raise ResourceNotFoundError(
                    "Secrets Manager can't find the specified secret value for "
                    + (
                        f"VersionId: {version_id}"
                        if version_id
                        else f"staging label: {ref.version_stage}"
                    )
                )
            if ref.version_stage and labels.get(ref.version_stage) != version_id:
                raise InvalidRequestError(
                    "You provided a VersionStage that is not associated to the provided VersionId."
                )
            content, created = self._versions[name][version_id]
            return SecretValue(
                arn=self.arn(name),
                name=name,
                version_id=version_id,
                version_stages={s for s, v in labels.items() if v == version_id},
                created_date=created,
                text=content if isinstance(content, str) else None,
                binary=content if isinstance(content, bytes) else None,
            )


class BackendContract:
    """What every backend does alike. Subclass it in a test module and give ``make_backend``.

    The backend starts empty and can be written to with CreateSecret and PutSecretValue.
    """

    def make_backend(self) -> Backend:
        """A fresh backend without secrets."""
        raise NotImplementedError("a subclass of BackendContract says which backend to test")

    def _with(self, name: str, **value: Any) -> tuple[Backend, dict[str, Any]]:
        backend = self.make_backend()
        assert isinstance(backend, Backend)
        token = str(uuid.uuid4())
        made = backend.call("CreateSecret", {"Name": name, "ClientRequestToken": token, **value})
        return backend, made.value

    def _put(self, backend: Backend, name: str, text: str, **more: Any) -> str:
        parameters = {"SecretId": name, "SecretString": text, **more}
        parameters["ClientRequestToken"] = str(uuid.uuid4())
        return str(backend.call("PutSecretValue", parameters).value["VersionId"])

    def test_a_text_secret_is_read_by_name_arn_and_partial_arn(self) -> None:
        """One secret, three ways to name it, the same answer."""
        backend, made = self._with("contract/text", SecretString="seen")
        arn = made["ARN"]
        for secret_id in ("contract/text", arn, arn[:-7]):
            answer = backend.fetch(SecretRef(secret_id))
            assert (answer.value.text, answer.value.arn) == ("seen", arn)
            assert answer.value.name == "contract/text"
            assert answer.value.version_id == made["VersionId"]
            assert AWSCURRENT in answer.value.version_stages
        backend.close()

    def test_every_answer_says_what_it_cost(self) -> None:
        """One attempt at least for each answer of a backend that asks somebody."""
        backend, _ = self._with("contract/cost", SecretString="x")
        assert backend.fetch(SecretRef("contract/cost")).attempts >= 1
        assert backend.fetch_many(["contract/cost"]).attempts >= 1
        assert backend.describe("contract/cost").attempts >= 1
        backend.close()

    def test_a_binary_secret_comes_back_as_bytes(self) -> None:
        """Every byte survives."""
        content = bytes(range(256))
        backend, _ = self._with("contract/binary", SecretBinary=content)
        assert backend.fetch(SecretRef("contract/binary")).value.binary == content
        backend.close()

    def test_an_unknown_secret_is_not_found(self) -> None:
        """With AWS's code and the attempts on the error."""
        backend, _ = self._with("contract/known", SecretString="x")
        error = _refusal(backend, SecretRef("contract/unknown"))
        assert error.code == "ResourceNotFoundException"
        assert error.attempts >= 1
        backend.close()

    def test_a_new_value_is_current_and_the_old_one_previous(self) -> None:
        """Labels move on PutSecretValue; versions stay readable by id."""
        backend, made = self._with("contract/moved", SecretString="old")
        newer = self._put(backend, "contract/moved", "new")
        assert backend.fetch(SecretRef("contract/moved")).value.text == "new"
        previous = backend.fetch(SecretRef("contract/moved", AWSPREVIOUS)).value
        assert (previous.text, previous.version_id) == ("old", made["VersionId"])
        by_id = backend.fetch(SecretRef("contract/moved", version_id=newer)).value
        assert by_id.text == "new"
        backend.close()

    def test_a_stage_that_no_version_has_is_not_found(self) -> None:
        """The error says so; the secret itself is there."""
        backend, _ = self._with("contract/stage", SecretString="x")
        _refusal(backend, SecretRef("contract/stage", "AWSPENDING"))
        assert backend.fetch(SecretRef("contract/stage")).value.text == "x"
        backend.close()

    def test_many_are_read_in_one_call_with_an_error_for_what_is_absent(self) -> None:
        """A value or an error for each id, under the id as it was asked."""
        backend, made = self._with("contract/one", SecretString="1")
        token = str(uuid.uuid4())
        parameters = {"Name": "contract/two", "SecretString": "2", "ClientRequestToken": token}
        backend.call("CreateSecret", parameters)
        asked = [made["ARN"], "contract/two", "contract/none"]
        found = backend.fetch_many(asked).value
        texts = [v.text for v in map(found.get, asked[:2]) if isinstance(v, SecretValue)]
        assert texts == ["1", "2"]
        assert isinstance(found["contract/none"], ResourceNotFoundError)
        backend.close()

    def test_a_description_has_labels_and_no_value(self) -> None:
        """Version ids with their staging labels."""
        backend, made = self._with("contract/described", SecretString="canary-value")
        described = backend.describe("contract/described").value
        assert described.version_at(AWSCURRENT) == made["VersionId"]
        assert described.arn == made["ARN"]
        assert "canary-value" not in repr(described)
        backend.close()

    def test_its_identity_is_the_same_each_time(self) -> None:
        """Cache keys rest on it."""
        backend = self.make_backend()
        assert backend.identity() == backend.identity()
        backend.close()


def _refusal(backend: Backend, ref: SecretRef) -> ResourceNotFoundError:
    try:
        backend.fetch(ref)
    except ResourceNotFoundError as error:
        return error
    raise AssertionError(f"{ref} was answered")
