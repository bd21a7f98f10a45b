"""A GetSecretValue asked again has the answer, the records and the counts of the full way."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smclient.testing import FakeClock
from smclient_embedded import EmbeddedService
from smclient_embedded.access import ALLOWED, AccessRequest
from smclient_embedded.audit import at_once
from smclient_embedded.condition_keys import OF_THE_CALL, condition_keys
from smclient_embedded.context import Principal, RequestContext
from smclient_embedded.errors import ServiceError
from smclient_embedded.faults import Fault
from smclient_embedded.http.json11 import answer
from smclient_embedded.model import json_text
from smclient_embedded.store import StoreError

TARGET = "secretsmanager.GetSecretValue"
HOME, OTHER = "123456789012", "999988887777"
ALLOW = {"Effect": "Allow", "Action": "secretsmanager:*", "Resource": "*"}
KMS = {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


class Asking:
    """A service whose reads are asked twice: again, and in full. Both must come to the same."""

    def __init__(self, url: str = "embedded://") -> None:
        self.clock = FakeClock()
        self.service = EmbeddedService(url, clock=self.clock)
        self.heard: list[Any] = []
        self.service.audit.listen(self.heard.extend)
        self.key = self.service.create_key(alias="own")
        accounts = self.service.accounts
        self.user = accounts.create_user("ann", policies={"p": policy(ALLOW, KMS)})
        self.role = accounts.create_role("app", policies={"p": policy(ALLOW, KMS)})
        self.stranger = accounts.create_user(
            "eve", account=OTHER, policies={"p": policy(ALLOW, KMS)}
        )
        session = self.service.assume_role(self.role, seconds=3 * 3600).principal
        self.callers = [
            Principal.administrator(HOME),
            self.service.principal(self.user),
            session,
            self.service.principal(self.stranger),
        ]
        self.call("CreateSecret", Name="s", SecretString='v0 "\u00e9\U0001f600', token="v0")
        self.arn = self.call("DescribeSecret", SecretId="s")["ARN"]
        self.call("CreateSecret", Name="k", SecretBinary=b"\0\xff", KmsKeyId=self.key, token="v0")
        self.bodies = [
            json.dumps(body).encode()
            for body in (
                {"SecretId": "s"},
                {"SecretId": self.arn},
                {"SecretId": self.arn[:-7]},
                {"SecretId": "k"},
                {"SecretId": "s", "VersionStage": "AWSPREVIOUS"},
                {"SecretId": "s", "VersionId": "v0-".ljust(32, "0")},
                {"SecretId": "nowhere"},
                {"SecretId": "s", "VersionStage": None, "more": 1},
            )
        ] + [b' {"SecretId" : "s"}', b'{"SecretId": 1}', b"{"]
        self.puts = 0
        self.again = 0

    def call(self, operation: str, token: str | None = None, **request: Any) -> Any:
        if token is not None:
            request["ClientRequestToken"] = f"{token}-".ljust(32, "0")
        return self.service.call(operation, request)

    def context(self, who: int, address: str = "127.0.0.1") -> RequestContext:
        return RequestContext(self.callers[who], "us-east-1", "request", address)

    def read(self, who: int = 0, body: int = 0, address: str = "127.0.0.1") -> bytes:
        """The answer, asked three times: whatever is known after the first must not differ."""
        context, raw = self.context(who, address), self.bodies[body]
        for _ in range(2):
            answered = self._noted(lambda: answer(self.service.door, TARGET, raw, context))
        in_full = self._noted(lambda: self._in_full(raw, context))
        known = self.service.door.read_again(raw, context, at_once)
        self.again += known is not None
        assert known is None or known == answered[0].body
        if in_full[0] is not None:
            assert answered[0].status == (200 if in_full[0][1] is None else 400)
            assert in_full[0][1] is not None or answered[0].body == in_full[0][0].encode()
            assert answered[1:] == in_full[1:]
        assert (answered[0].status == 200) or known is None
        return bytes(answered[0].body)

    def _in_full(self, raw: bytes, context: RequestContext) -> Any:
        try:
            body = json.loads(raw)
        except ValueError:
            return None
        try:
            return json_text(self.service.door.call_json("GetSecretValue", body, context)), None
        except ServiceError as error:
            return "", error.code

    def _noted(self, ask: Any) -> Any:
        """What is answered, what goes on record but for its ids, and what is counted."""
        self.heard.clear()
        before = self.service.metrics()
        answered = ask()
        told = [(r.scope, r.at, r.event_name, _without_ids(r.document)) for r in self.heard]
        return answered, told, _more(before, self.service.metrics())

    def step(self, name: str, number: int) -> None:
        call, accounts = self.call, self.service.accounts
        try:
            if name == "put":
                self.puts += 1
                call("PutSecretValue", f"p{self.puts}", SecretId="s", SecretString=f"p{self.puts}")
            elif name == "tag":
                call("TagResource", SecretId="s", Tags=[{"Key": "a", "Value": str(number)}])
            elif name == "resource policy":
                text = policy(self._resource_statement(number))
                call("PutResourcePolicy", SecretId="s", ResourcePolicy=text)
            elif name == "no resource policy":
                call("DeleteResourcePolicy", SecretId="s")
            elif name == "own policy":
                whose = (self.user, self.role)[number % 2]
                accounts.put_policy(whose, "p", policy(KMS, self._own_statement(number)))
            elif name == "advance":
                self.clock.advance((60, 3600, 86400)[number % 3])
            elif name == "disable":
                self.service.keys.disable(self.key)
            elif name == "enable":
                self.service.keys.enable(self.key)
            elif name == "delete":
                call("DeleteSecret", SecretId="s")
            elif name == "restore":
                call("RestoreSecret", SecretId="s")
        except ServiceError:
            pass  # such as a policy for a secret that is marked for deletion: nothing changed

    def _resource_statement(self, number: int) -> dict[str, Any]:
        everybody = {"Action": "secretsmanager:GetSecretValue", "Resource": "*", "Principal": "*"}
        return [
            {**everybody, "Effect": "Deny", "Principal": {"AWS": self.user}},
            {
                **everybody,
                "Effect": "Deny",
                "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
            },
            {**everybody, "Effect": "Allow", "Principal": {"AWS": self.stranger}},
            {
                **everybody,
                "Effect": "Deny",
                "Condition": {"DateGreaterThan": {"aws:CurrentTime": self._in_an_hour()}},
            },
        ][number % 4]

    def _own_statement(self, number: int) -> dict[str, Any]:
        return [
            ALLOW,
            {**ALLOW, "Effect": "Deny"},
            {**ALLOW, "Condition": {"DateLessThan": {"aws:CurrentTime": self._in_an_hour()}}},
            {**ALLOW, "Condition": {"StringEquals": {"aws:ResourceTag/a": "1"}}},
            {**ALLOW, "Resource": "arn:aws:secretsmanager:*:*:secret:k-*"},
        ][number % 5]

    def _in_an_hour(self) -> str:
        return f"{self.clock.now() + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"


def _without_ids(document: Any) -> str:
    """As text in its order of members; refusals of KMS have an id in their message, too."""
    return re.sub("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "an id", json.dumps(document))


def _more(before: Any, after: Any) -> Any:
    def counts(snapshot: Any) -> dict[str, Any]:
        return {json.dumps({**e, "Value": 0}, sort_keys=True): e["Value"] for e in snapshot}

    first = counts(before)
    return {k: n - first.get(k, 0) for k, n in counts(after).items() if n != first.get(k, 0)}


CHANGES = st.tuples(
    st.sampled_from(
        [
            "put",
            "tag",
            "resource policy",
            "no resource policy",
            "own policy",
            "advance",
            "disable",
            "enable",
            "delete",
            "restore",
        ]
    ),
    st.integers(0, 19),
)
READS = st.tuples(st.integers(0, 3), st.integers(0, 10), st.sampled_from(["127.0.0.1", "10.1.1.1"]))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.lists(CHANGES, max_size=2), READS), min_size=1, max_size=12))
def test_asked_again_it_is_what_the_full_way_says(steps: list[Any]) -> None:
    """Whatever changed in between: values, labels, policies of either side, keys, time, address."""
    asking = Asking()
    try:
        for changes, (who, body, address) in steps:
            for name, number in changes:
                asking.step(name, number)
            asking.read(who, body, address)
    finally:
        asking.service.close()


@pytest.fixture(params=["embedded://", "sqlite"])
def asking(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Asking]:
    url = request.param if "://" in request.param else f"embedded://{tmp_path}/secrets.db"
    made = Asking(url)
    yield made
    made.service.close()


class TestWhatIsKnown:
    @pytest.mark.parametrize("who", [0, 1, 2])
    @pytest.mark.parametrize("body", [0, 1, 2, 3, 5, 7, 8])
    def test_a_read_by_a_caller_whom_no_condition_binds(
        self, asking: Asking, who: int, body: int
    ) -> None:
        asking.read(who, body)
        assert asking.again == 1

    def test_another_caller_is_asked_about_in_full(self, asking: Asking) -> None:
        """A stranger whom nothing lets in gets nothing of what others may read."""
        assert b"v0" in asking.read(0)
        assert b"AccessDenied" in asking.read(3, 1)

    def test_all_that_is_a_calls_own_is_known_as_such(self, asking: Asking) -> None:
        """Who adds a condition key that differs from call to call has to say so."""

        def keys(at: datetime, *how: Any) -> Any:
            asked = AccessRequest(
                asking.callers[1],
                "secretsmanager:GetSecretValue",
                asking.arn,
                "s",
                HOME,
                parameters={"SecretId": "s", "VersionStage": "AWSCURRENT"},
                context=RequestContext(asking.callers[1], "us-east-1", *how),
                at=at,
            )
            return condition_keys(asked, {}).items()

        now = asking.clock.now()
        one = keys(now, "one", "127.0.0.1", "an agent", True)
        other = keys(now + timedelta(days=1), "other", "10.1.1.1", "another", False)
        assert {name.lower() for name, _ in dict(one).items() ^ dict(other).items()} == OF_THE_CALL

    def test_a_condition_on_what_stays_is_no_reason_to_ask(self, asking: Asking) -> None:
        asking.step("tag", 1)
        asking.step("own policy", 8)
        assert b"v0" in asking.read(1)
        assert asking.again == 1

    def test_a_condition_is_asked_each_time(self, asking: Asking) -> None:
        asking.step("resource policy", 1)
        assert b"v0" in asking.read(1, address="127.0.0.1")
        assert b"AccessDenied" in asking.read(1, address="10.1.1.1")
        assert asking.again == 0

    def test_a_session_ends(self, asking: Asking) -> None:
        assert b"v0" in asking.read(2)
        asking.clock.advance(3 * 3600)
        assert b"ExpiredToken" in asking.read(2)

    def test_the_first_read_of_a_day_is_noted(self, asking: Asking) -> None:
        asking.read()
        asking.clock.advance(86400)
        asking.read()
        shown = asking.call("DescribeSecret", SecretId="s")["LastAccessedDate"]
        assert shown.date() == asking.clock.now().date()

    def test_faults_on_purpose_are_not_passed_by(self, asking: Asking) -> None:
        asking.read()
        asking.service.faults.add(Fault.throttling())
        context = asking.context(0)
        answered = answer(asking.service.door, TARGET, asking.bodies[0], context)
        assert b"Throttling" in answered.body

    def test_a_value_is_kept_sealed(self, asking: Asking) -> None:
        asking.call("PutSecretValue", "c", SecretId="s", SecretString="canary-4711")
        asking.read()
        context, raw = asking.context(0), asking.bodies[0]
        known = asking.service._store.recall(
            ("GetSecretValue", raw, context.principal, context.region, None)
        )
        assert known is not None
        assert "canary-4711" not in repr(known)


def test_a_decider_of_ones_own_is_asked_each_time() -> None:
    """Nobody knows what it decides by."""
    asked: list[str] = []

    def decide(request: Any) -> Any:
        asked.append(request.action)
        return ALLOWED

    with EmbeddedService(authoriser=decide) as service:
        service.call(
            "CreateSecret", {"Name": "s", "SecretString": "v", "ClientRequestToken": "t" * 32}
        )
        asked.clear()
        for _ in range(3):
            answer(service.door, TARGET, b'{"SecretId":"s"}', service.context())
        assert asked == ["secretsmanager:GetSecretValue", "kms:Decrypt"] * 3


def test_rates_are_counted_for_each_read() -> None:
    with EmbeddedService(rate_limits={"GetSecretValue": 3}, clock=FakeClock()) as service:
        service.call(
            "CreateSecret", {"Name": "s", "SecretString": "v", "ClientRequestToken": "t" * 32}
        )
        door, context = service.door, service.context()
        answers = [answer(door, TARGET, b'{"SecretId":"s"}', context).status for _ in range(9)]
        assert 400 in answers


def test_of_a_closed_store_nothing_is_recalled(tmp_path: Path) -> None:
    """The call is refused like any other, not with an error of another kind."""
    asking = Asking(f"embedded://{tmp_path}/secrets.db")
    asking.read()
    asking.service._store.close()
    answered = answer(asking.service.door, TARGET, asking.bodies[0], asking.context(0))
    assert answered.status == 500
    assert b"InternalServiceError" in answered.body
    with pytest.raises(StoreError):  # the trail of these reads is lost, and said to be
        asking.service.close()
