"""One run of the proof: an application, its rotations, and what came of it."""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from sqlalchemy import event
from sqlalchemy.engine import Engine

from smclient import SecretsClient, Usage
from smclient_demo.proof.application import Application, make_engine
from smclient_demo.proof.scene import Scene, Server, Users
from smclient_sqlalchemy import bind_engine

How = Literal["smclient", "ladder off", "aws-secretsmanager-caching"]

SPACE = 0.5
"""Seconds between two rotations."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is run.

    Attributes:
        how: where logins come from.
        hold: seconds for which each window stays open.
        lag: seconds that reads may be behind.
    """

    users: Users
    how: How = "smclient"
    rotations: int = 10
    hold: float = 2.0
    lag: float = 0.0
    threads: int = 20
    pause: float = 0.05


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it. ``usage`` is absent where the peer counts nothing."""

    case: Case
    server: str
    requests: int
    failures: dict[str, int]
    slowest: float
    rotated: int
    shortest_window: float
    logins: int
    usage: Usage | None = field(default=None, repr=False)

    @property
    def failed(self) -> int:
        """How many requests got an error."""
        return sum(self.failures.values())

    def broken(self) -> list[str]:
        """What should hold and does not: for smclient, and for the control with the ladder off.
        Nothing is claimed of the peer."""
        if self.case.how not in ("smclient", "ladder off"):
            return []
        claims = {
            "requests were made": self.requests > 0,
            "every rotation ended": self.rotated == self.case.rotations,
            "each window was held open": self.shortest_window >= self.case.hold,
        }
        if self.case.how == "ladder off":
            claims["requests failed, as they do without the ladder"] = self.failed > 0
        else:
            pending = self.usage.logins.get("AWSPENDING", 0) if self.usage else 0
            claims[f"no request failed, but {self.failures}"] = self.failed == 0
            claims["a login was won by AWSPENDING"] = (
                self.case.users == "alternating" or pending > 0
            )
        return [claim for claim, holds in claims.items() if not holds]


def run_cases(server: Server, cases: Sequence[Case]) -> list[Outcome]:
    """Run cases side by side, each with an account and a service of its own."""
    with ThreadPoolExecutor(len(cases)) as pool:
        return list(pool.map(partial(run_case, server), cases))


def run_case(server: Server, case: Case) -> Outcome:
    """Run one case."""
    scene = Scene(server, case.users, hold=case.hold, lag=case.lag)
    logins: list[float] = []
    try:
        bind, usage, close = _LOGIN[case.how](scene)
        engine = make_engine(server, scene.user, bind)
        event.listen(engine, "connect", lambda *_: logins.append(time.monotonic()))
        rotated = 0
        with Application(engine, threads=case.threads, pause=case.pause) as application:
            for _ in range(case.rotations):
                application.wait(SPACE)
                rotated += scene.rotate()
            application.wait(SPACE)
        outcome = Outcome(
            case=case,
            server=type(server).__name__.removesuffix("Server"),
            requests=application.requests,
            failures=dict(application.failures),
            slowest=application.slowest,
            rotated=rotated,
            shortest_window=min(scene.function.windows, default=0.0),
            logins=len(logins),
            usage=usage(),
        )
        close()
        return outcome
    finally:
        scene.close()


Login = tuple[Callable[[Engine], object], Callable[[], Usage | None], Callable[[], object]]


def _smclient(scene: Scene, **settings: Any) -> Login:
    client = SecretsClient(scene.backend(), **settings)

    def bind(engine: Engine) -> object:
        return bind_engine(engine, scene.secret_id, client)

    return bind, client.usage, client.close


def _aws_caching(scene: Scene) -> Login:
    """AWS's client as its README shows it: the secret is read from its cache at each connect. What
    a refused login can do there is to refresh by hand, which the application does not."""
    found = importlib.import_module("aws_secretsmanager_caching")  # it may be absent, has no types
    cache = found.SecretCache(client=scene.service.client())

    def bind(engine: Engine) -> object:
        @event.listens_for(engine, "do_connect")
        def connect(dialect: Any, record: Any, args: Any, kwargs: dict[str, Any]) -> None:
            login = json.loads(str(cache.get_secret_string(scene.secret_id)))
            kwargs["user"], kwargs["password"] = login["username"], login["password"]

        return connect

    return bind, lambda: None, lambda: None


_LOGIN: dict[How, Callable[[Scene], Login]] = {
    "smclient": _smclient,
    "ladder off": partial(_smclient, ladder=("AWSCURRENT",), login_wait=0.0),
    "aws-secretsmanager-caching": _aws_caching,
}
