"""The four steps as a state machine, against a simple model of a database: whatever is repeated,
broken off, cancelled and settled, somebody who climbs the ladder logs in, with all rights."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from smclient import ResourceNotFoundError, RotationStepError
from smclient.rotation import AlternatingUsers, SingleUser
from smclient.rotation.databases import Engine, Login
from smclient.testing import FakeClock
from smclient_embedded import EmbeddedService

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")


class ModelError(Exception):
    """The driver's error of the model; verdicts know it as a refused login."""


ModelError.__module__ = "redis"  # a driver whose refusals are told by their class
ModelError.__name__ = "AuthenticationError"


@dataclass
class Model:
    """A database: users with passwords and rights, and a crash that is due."""

    users: dict[str, tuple[str, frozenset[str]]] = field(default_factory=dict)
    operations_left: int | None = None
    after: bool = False

    def crash(self, *, after: bool) -> None:
        """Called before and after every operation."""
        if self.operations_left is None or after != self.after:
            return
        self.operations_left -= 1
        if self.operations_left <= 0:
            self.operations_left = None
            raise OSError("the machine of the function went away")

    def takes(self, value: dict[str, Any]) -> bool:
        """Whether these credentials log in."""
        return self.users.get(value["username"], ("",))[0] == value["password"]


class ModelSession:
    def __init__(self, user: str) -> None:
        self.user = user

    def close(self) -> None:
        """Nothing to let go of."""


class ModelEngine(Engine):
    title: ClassVar[str] = "the model"
    engines: ClassVar[frozenset[str]] = frozenset({"model"})
    port: ClassVar[int] = 1
    model: ClassVar[Model]

    def errors(self) -> tuple[type[Exception], ...]:
        return (ModelError,)

    def connect(self, login: Login) -> ModelSession:
        self.model.crash(after=False)
        if not self.model.takes({"username": login.username, "password": str(login.password)}):
            raise ModelError
        self.model.crash(after=True)
        return ModelSession(login.username)

    def probe(self, session: ModelSession) -> None:
        self.model.crash(after=False)

    def set_password(self, session: ModelSession, login: Login) -> None:
        assert session.user == login.username
        self._change(login.username, str(login.password), self.model.users[login.username][1])

    def clone(self, master: ModelSession, current: ModelSession, old: Login, new: Login) -> None:
        assert (master.user, current.user) == ("root", old.username)
        if new.username not in self.model.users:
            self._change(new.username, "nobody knows it", frozenset())
        rights = self.model.users[old.username][1]
        self._change(new.username, self.model.users[new.username][0], rights)
        self._change(new.username, str(new.password), rights)

    def _change(self, user: str, password: str, rights: frozenset[str]) -> None:
        self.model.crash(after=False)
        self.model.users[user] = (password, rights)
        self.model.crash(after=True)


class ModelSingle(SingleUser):
    engine = ModelEngine


class ModelAlternating(AlternatingUsers):
    engine = ModelEngine


class RotationMachine(RuleBasedStateMachine):
    """Secrets Manager's side: steps in order, any of them again, from the start after a failure."""

    function: ClassVar[type[SingleUser | AlternatingUsers]]

    def __init__(self) -> None:
        super().__init__()
        self.service = EmbeddedService(clock=FakeClock())
        self.backend = self.service.backend()
        self.model = ModelEngine.model = Model()
        self.model.users = {
            "app": ("first", frozenset({"read"})),
            "root": ("root", frozenset()),
        }
        master = {"engine": "model", "host": "h", "username": "root", "password": "root"}
        arn = self._call("CreateSecret", Name="m", SecretString=json.dumps(master))["ARN"]
        secret = {**master, "username": "app", "password": "first", "masterarn": arn}
        self.arn = self._call("CreateSecret", Name="db", SecretString=json.dumps(secret))["ARN"]
        self.rotating = self.function()
        self.function_arn = self.service.register_function("f", self.rotating)
        self.token: str | None = None
        self.done = 0  # steps of this try that ended well
        self.was_set = False  # whether setSecret may have reached the database
        self.rotations = 0

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return self.backend.call(operation, parameters).value

    def _value(self, stage: str) -> dict[str, Any] | None:
        try:
            answer = self._call("GetSecretValue", SecretId=self.arn, VersionStage=stage)
        except ResourceNotFoundError:
            return None
        found: dict[str, Any] = json.loads(answer["SecretString"])
        return found

    def _labels(self) -> dict[str, list[str]]:
        stages: dict[str, list[str]] = self._call("DescribeSecret", SecretId=self.arn)[
            "VersionIdsToStages"
        ]
        return stages

    @precondition(lambda self: self.token is None)
    @rule()
    def begin(self) -> None:
        """RotateSecret."""
        answer = self._call("RotateSecret", SecretId=self.arn, RotationLambdaARN=self.function_arn)
        self.token, self.done, self.was_set = answer["VersionId"], 0, False

    @precondition(lambda self: self.token is not None)
    @rule(number=st.integers(1, 8), after=st.booleans())
    def crash_soon(self, number: int, after: bool) -> None:
        """The n-th operation from now will be the last of its step."""
        self.model.operations_left, self.model.after = number, after

    @precondition(lambda self: self.token is not None)
    @rule(back=st.integers(0, 3))
    def step(self, back: int) -> None:
        """The next step, or one of those before it once more."""
        index = max(min(self.done, 3) - back, 0)
        event = {"Step": STEPS[index], "SecretId": self.arn, "ClientRequestToken": self.token}
        self.was_set = self.was_set or index == 1
        try:
            self.rotating(event, SimpleNamespace(secrets=self.backend))
        except (RotationStepError, OSError):
            self.done = 0  # Secrets Manager begins again, with the same token
            return
        self.done = max(self.done, index + 1)
        if index == 3:
            self._call(
                "UpdateSecretVersionStage",
                SecretId=self.arn,
                VersionStage="AWSPENDING",
                RemoveFromVersionId=self.token,
            )
            self.token, self.was_set = None, False
            self.rotations += 1
            current = self._value("AWSCURRENT")
            assert current is not None
            assert self.model.takes(current)

    @precondition(lambda self: self.token is not None)
    @rule()
    def cancel_and_settle(self) -> None:
        """The rotation is given up at any point; the value in force is the current one then."""
        self.model.operations_left = None
        self._call("CancelRotateSecret", SecretId=self.arn)
        pending = self._value("AWSPENDING")
        done = self.rotating.settle(self.arn, self.backend)
        assert done in ("finished", "discarded")
        assert (done == "finished") <= (self.was_set and pending is not None)
        current = self._value("AWSCURRENT")
        assert current is not None
        assert self.model.takes(current)
        assert "AWSPENDING" not in str(self._labels())
        self.token = None

    @invariant()
    def somebody_on_the_ladder_logs_in(self) -> None:
        """One user: current or pending. Two: current, always. With every right, both."""
        current, pending = self._value("AWSCURRENT"), self._value("AWSPENDING")
        assert current is not None
        assert self.model.takes(current) or (
            self.was_set
            and self.function is ModelSingle
            and pending is not None
            and self.model.takes(pending)
        )
        for value in (current, pending):
            if value is not None and self.model.takes(value):
                assert self.model.users[value["username"]][1] == {"read"}

    @invariant()
    def labels_are_whole(self) -> None:
        """One AWSCURRENT; one AWSPENDING at most; AWSCURRENT is never an empty version."""
        stages = [label for labels in self._labels().values() for label in labels]
        assert stages.count("AWSCURRENT") == 1
        assert stages.count("AWSPENDING") == (0 if self.token is None else 1)

    def teardown(self) -> None:
        self.service.close()


class SingleMachine(RotationMachine):
    function = ModelSingle


class AlternatingMachine(RotationMachine):
    function = ModelAlternating


TestSingleUserMachine = SingleMachine.TestCase
TestAlternatingUsersMachine = AlternatingMachine.TestCase
TestSingleUserMachine.settings = TestAlternatingUsersMachine.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None
)
