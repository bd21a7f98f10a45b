"""Random lives of a secret against a model of it: labels never come apart."""

from __future__ import annotations

import tempfile
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from smclient.testing import FakeClock
from smclient_embedded import EmbeddedService
from smclient_embedded.errors import ServiceError

CURRENT, PREVIOUS, PENDING = "AWSCURRENT", "AWSPREVIOUS", "AWSPENDING"
NAMES = st.sampled_from(["a", "b"])
LABELS = st.sampled_from(["BLUE", "GREEN", PENDING])
PLACES = st.integers(0, 9)


class Model:
    """What one secret should look like."""

    def __init__(self) -> None:
        self.values: dict[str, str | None] = {}
        self.labels: dict[str, str] = {}
        self.deleted = False
        self.rotating: str | None = None

    def attach(self, label: str, version: str) -> None:
        left = self.labels.get(label)
        self.labels[label] = version
        if label == CURRENT and left not in (None, version):
            self.labels[PREVIOUS] = str(left)

    def busy(self) -> bool:
        return self.labels.get(PENDING) not in (None, self.labels.get(CURRENT))

    def abandon(self, by: str) -> None:
        if self.busy() and self.labels[PENDING] != by:
            del self.labels[PENDING]
            self.rotating = None


class SecretLife(RuleBasedStateMachine):
    """Every rule does the same to the service and to the model."""

    url = "embedded://"

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FakeClock()
        url = self.url.replace("FOLDER", self.folder.name)
        self.service = EmbeddedService(url, clock=self.clock)
        self.function = self.service.register_function("rotate", self.handler)
        self.models: dict[str, Model] = {}
        self.count = 0
        self.fails = False

    def teardown(self) -> None:
        self.service.close()
        self.folder.cleanup()

    def ask(self, operation: str, **request: Any) -> str | dict[str, Any]:
        """The answer, or the code of the refusal."""
        try:
            return self.service.call(operation, request)
        except ServiceError as error:
            return error.code

    def token(self) -> str:
        self.count += 1
        return f"version-{self.count}-".ljust(32, "0")

    def pick(self, name: str, place: int) -> str:
        versions = list(self.models[name].values)
        return versions[place % len(versions)] if versions else "nowhere".ljust(32, "0")

    def handler(self, event: dict[str, Any], context: Any) -> None:
        if self.fails:
            raise RuntimeError
        token, secret = event["ClientRequestToken"], event["SecretId"]
        if event["Step"] == "createSecret":
            stages = {"VersionStages": [PENDING], "ClientRequestToken": token}
            request = {"SecretId": secret, "SecretString": token, **stages}
            context.secrets.call("PutSecretValue", request)
        if event["Step"] == "finishSecret":
            current = context.secrets.describe(secret).value.version_at(CURRENT)
            request = {"SecretId": secret, "VersionStage": CURRENT, "MoveToVersionId": token}
            if current:
                request["RemoveFromVersionId"] = current
            context.secrets.call("UpdateSecretVersionStage", request)

    # --- rules ------------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        self.create("a", valued=True)

    @rule(name=NAMES, valued=st.booleans())
    def create(self, name: str, valued: bool) -> None:
        token = self.token()
        more = {"SecretString": token} if valued else {}
        answer = self.ask("CreateSecret", Name=name, ClientRequestToken=token, **more)
        if name in self.models:
            deleted = self.models[name].deleted
            assert answer == ("InvalidRequestException" if deleted else "ResourceExistsException")
            return
        assert isinstance(answer, dict), answer
        self.models[name] = Model()
        if valued:
            self.models[name].values[token] = token
            self.models[name].attach(CURRENT, token)

    @rule(name=NAMES, labels=st.lists(st.just(CURRENT) | LABELS, unique=True, max_size=3))
    def put(self, name: str, labels: list[str]) -> None:
        token = self.token()
        more = {"VersionStages": labels} if labels else {}
        answer = self.ask(
            "PutSecretValue",
            SecretId=name,
            SecretString=token,
            ClientRequestToken=token,
            **more,
        )
        if not self.lives(name, answer):
            return
        model = self.models[name]
        wanted = labels or [CURRENT]
        if not any(model.values.values()) and CURRENT not in wanted:
            wanted = [*wanted, CURRENT]
        model.values[token] = token
        if {CURRENT, PENDING} & set(wanted):
            model.abandon(token)
        for label in wanted:
            model.attach(label, token)
        assert isinstance(answer, dict)
        assert answer["VersionStages"] == sorted(wanted)

    @rule(name=NAMES, place=PLACES)
    def replay(self, name: str, place: int) -> None:
        """An old call once more: nothing happens."""
        if name not in self.models or not self.models[name].values:
            return
        version = self.pick(name, place)
        if self.models[name].values[version] is None:
            return
        answer = self.ask(
            "PutSecretValue", SecretId=name, SecretString=version, ClientRequestToken=version
        )
        self.lives(name, answer)

    @rule(name=NAMES, label=st.just(CURRENT) | LABELS, place=PLACES, right=st.booleans())
    def move(self, name: str, label: str, place: int, right: bool) -> None:
        if name not in self.models:
            return
        model = self.models[name]
        target = self.pick(name, place)
        holder = model.labels.get(label)
        source = holder if right else self.pick(name, place + 1)
        more = {} if source is None else {"RemoveFromVersionId": source}
        answer = self.ask(
            "UpdateSecretVersionStage",
            SecretId=name,
            VersionStage=label,
            MoveToVersionId=target,
            **more,
        )
        if isinstance(answer, str):
            fits = target in model.values and (source == holder)
            assert model.deleted or not fits or model.values[target] is None, answer
            return
        assert not model.deleted
        assert model.values[target] is not None
        model.attach(label, target)

    @rule(name=NAMES, label=st.just(CURRENT) | LABELS)
    def unlabel(self, name: str, label: str) -> None:
        if name not in self.models or label not in self.models[name].labels:
            return
        model = self.models[name]
        holder = model.labels[label]
        answer = self.ask(
            "UpdateSecretVersionStage",
            SecretId=name,
            VersionStage=label,
            RemoveFromVersionId=holder,
        )
        if label == CURRENT or model.deleted:
            assert isinstance(answer, str)
        else:
            assert isinstance(answer, dict), answer
            del model.labels[label]

    @rule(name=NAMES, forced=st.booleans())
    def delete(self, name: str, forced: bool) -> None:
        answer = self.ask("DeleteSecret", SecretId=name, ForceDeleteWithoutRecovery=forced)
        if forced:
            assert isinstance(answer, dict)
            self.models.pop(name, None)
        elif name not in self.models:
            assert answer == "ResourceNotFoundException"
        elif self.models[name].deleted:
            assert answer == "InvalidRequestException"
        else:
            self.models[name].deleted = True

    @rule(name=NAMES)
    def restore(self, name: str) -> None:
        answer = self.ask("RestoreSecret", SecretId=name)
        if name in self.models:
            assert isinstance(answer, dict)
            self.models[name].deleted = False
        else:
            assert answer == "ResourceNotFoundException"

    @rule(name=NAMES, fails=st.booleans())
    def rotate(self, name: str, fails: bool) -> None:
        """RotateSecret; the steps run at once, or fail and wait."""
        token = self.token()
        answer = self.ask(
            "RotateSecret",
            SecretId=name,
            ClientRequestToken=token,
            RotationLambdaARN=self.function,
        )
        if name in self.models and not self.models[name].deleted and self.models[name].busy():
            assert answer == "InvalidRequestException"
            return
        if not self.lives(name, answer):
            return
        model = self.models[name]
        model.values[token] = None
        model.labels[PENDING] = token
        model.rotating = token
        self.run(fails)

    @rule(name=NAMES)
    def cancel(self, name: str) -> None:
        answer = self.ask("CancelRotateSecret", SecretId=name)
        if self.lives(name, answer):
            self.models[name].rotating = None

    @precondition(lambda self: any(m.rotating for m in self.models.values()))
    @rule(fails=st.booleans())
    def retry(self, fails: bool) -> None:
        """Two hours later, whatever waits is tried again."""
        self.clock.advance(hours=2)
        self.run(fails)

    def run(self, fails: bool) -> None:
        """One pass; what ended well follows in the model."""
        self.fails = fails
        done = self.service.run_due()
        names = {arn.rsplit(":", 1)[1].rsplit("-", 1)[0] for arn in done.rotated}
        assert not (fails and names)
        for name in names:
            model = self.models[name]
            token = model.rotating
            assert token is not None
            assert token in (model.labels.get(PENDING), model.labels.get(CURRENT))
            model.values[token] = token
            model.attach(CURRENT, token)
            if model.labels.get(PENDING) == token:
                del model.labels[PENDING]
            model.rotating = None

    def lives(self, name: str, answer: str | dict[str, Any]) -> bool:
        """Whether a call could succeed; if not, that it was refused for that reason."""
        if name not in self.models:
            assert answer == "ResourceNotFoundException"
            return False
        if self.models[name].deleted:
            assert answer == "InvalidRequestException"
            return False
        assert isinstance(answer, dict), answer
        return True

    # --- what always holds ------------------------------------------------------------------------

    @invariant()
    def labels_are_the_models(self) -> None:
        for name, model in self.models.items():
            described = self.ask("DescribeSecret", SecretId=name)
            assert isinstance(described, dict)
            shown = described.get("VersionIdsToStages", {})
            flat = [label for labels in shown.values() for label in labels]
            assert len(flat) == len(set(flat))
            found = {label: version for version, labels in shown.items() for label in labels}
            assert found == model.labels

    @invariant()
    def a_secret_with_a_value_has_one_current_version_that_can_be_read(self) -> None:
        for name, model in self.models.items():
            if model.deleted or not any(model.values.values()):
                continue
            read = self.ask("GetSecretValue", SecretId=name)
            assert isinstance(read, dict)
            assert read["SecretString"] == model.values[model.labels[CURRENT]]
            assert read["VersionId"] == model.labels[CURRENT]
            for version, value in model.values.items():
                if value is not None:
                    by_id = self.ask("GetSecretValue", SecretId=name, VersionId=version)
                    assert isinstance(by_id, dict)
                    assert by_id["SecretString"] == value


class SecretLifeOnSqlite(SecretLife):
    """The same over SQLite."""

    url = "embedded://FOLDER/s.db"


TestLifeInMemory = SecretLife.TestCase
TestLifeInMemory.settings = settings(
    max_examples=150, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLifeOnSqlite = SecretLifeOnSqlite.TestCase
TestLifeOnSqlite.settings = settings(
    max_examples=8, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
