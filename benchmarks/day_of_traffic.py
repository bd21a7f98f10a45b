"""API calls of one day: 500 secrets, 100 rotations, one process; smclient beside its peers.

    python benchmarks/day_of_traffic.py [--hours 24] [--secrets 500] [--rotations 100] [--json]
                                        [--without-peers]

Time is a fake clock, so a day takes seconds. Everybody gets the same reads at the same moments:
a tenth of the secrets every half minute, three tenths every two minutes, the rest every ten.
smclient is the real client in each refresh mode; the peers are their algorithms, written down
again, and, where they are installed, the peers themselves on a patched clock. Then: how many calls
a cold start and a refresh of all secrets take. Ends with 1 if one of these is more than 20 to a
call.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from smclient import SecretsClient
from smclient.pricing import calls_cost
from smclient.testing import FakeBackend, FakeClock, Inline, Queued

Calls = Counter[str]
Event = tuple[float, int, bool]
"""When, which secret, and whether it is a rotation instead of a read."""

MODES = ("auto", "batch", "describe", "get")


def day(seconds: float, secrets: int, rotations: int, seed: int = 7) -> list[Event]:
    """Reads and rotations, in order."""
    chance = random.Random(seed)
    events: list[Event] = []
    for n in range(secrets):
        every = 30.0 if n < secrets * 0.1 else 120.0 if n < secrets * 0.4 else 600.0
        now = chance.uniform(0, every)
        while now < seconds:
            events.append((now, n, False))
            now += every * chance.uniform(0.8, 1.2)
    for _ in range(rotations):
        events.append((chance.uniform(0, seconds), chance.randrange(secrets), True))
    return sorted(events)


def name(n: int) -> str:
    """A secret's name."""
    return f"app/{n}"


def smclient_calls(events: list[Event], secrets: int, mode: str) -> Calls:
    """The real client on a fake clock; background work done at once."""
    clock, backend = FakeClock(), FakeBackend({name(n): "0" for n in range(secrets)})
    client = SecretsClient(backend, refresh=mode, clock=clock, worker=Inline())
    for when, n, rotates in events:
        clock.advance(max(0.0, when - clock.monotonic()))
        if rotates:
            backend.put(name(n), str(when))
        else:
            client.get(name(n))
    calls = Counter(client.usage().api_calls)
    asked = Counter(call.operation for call in backend.calls)
    assert calls == asked, (calls, asked)
    return calls


# --- the peers' algorithms, written down again ----------------------------------------------------


class Peer:
    """Counts what an algorithm calls. Versions are numbers."""

    def __init__(self) -> None:
        self.calls: Calls = Counter()
        self.version: Counter[int] = Counter()
        self.due: dict[int, float] = {}
        self.held: dict[int, int] = {}

    def read(self, now: float, n: int) -> None:
        """A read."""
        raise NotImplementedError


class NoCache(Peer):
    """boto3, and pydantic-settings at each construction."""

    def read(self, now: float, n: int) -> None:
        self.calls["GetSecretValue"] += 1


class AwsCaching(Peer):
    """AWS's library for Python (and Java): describe when due, get each version once."""

    chance = random.Random(11)

    def read(self, now: float, n: int) -> None:
        if now >= self.due.get(n, float("-inf")):
            self.calls["DescribeSecret"] += 1
            self.due[n] = now + self.chance.randint(1800, 3600)
            if self.held.get(n) != self.version[n]:
                self.calls["GetSecretValue"] += 1
                self.held[n] = self.version[n]


class Agent(Peer):
    """AWS's agent: get when missing; when expired describe, get if the version lost the label."""

    def read(self, now: float, n: int) -> None:
        if n not in self.due:
            self.calls["GetSecretValue"] += 1
        elif now >= self.due[n]:
            self.calls["DescribeSecret"] += 1
            self.calls["GetSecretValue"] += self.held[n] != self.version[n]
        else:
            return
        self.due[n], self.held[n] = now + 300, self.version[n]


class Powertools(Peer):
    """Powertools for AWS Lambda: get when 300 s are over."""

    def read(self, now: float, n: int) -> None:
        if now > self.due.get(n, float("-inf")):
            self.calls["GetSecretValue"] += 1
            self.due[n] = now + 300


class Wrapper(Peer):
    """AWS's advanced Python wrapper: held for a year, got again when a login fails. Each rotation
    is one failed login first."""

    def read(self, now: float, n: int) -> None:
        if self.held.get(n) != self.version[n]:
            self.calls["GetSecretValue"] += 1
            self.held[n] = self.version[n]


def peer_calls(events: list[Event], peer: Peer) -> Calls:
    """Reads and rotations put to an algorithm."""
    for when, n, rotates in events:
        if rotates:
            peer.version[n] += 1
        else:
            peer.read(when, n)
    return +peer.calls


# --- the peers themselves -------------------------------------------------------------------------


class Stub:
    """What the peers ask of a boto3 client."""

    def __init__(self) -> None:
        self.calls: Calls = Counter()
        self.version: Counter[str] = Counter()

    def describe_secret(self, *, SecretId: str) -> dict[str, Any]:  # noqa: N803
        """Labels."""
        self.calls["DescribeSecret"] += 1
        return {"VersionIdsToStages": {str(self.version[SecretId]): ["AWSCURRENT"]}}

    def get_secret_value(self, *, SecretId: str, VersionId: str = "") -> dict[str, Any]:  # noqa: N803
        """A value."""
        self.calls["GetSecretValue"] += 1
        return {"SecretString": "x", "VersionId": VersionId or str(self.version[SecretId])}


@contextmanager
def patched(module: Any) -> Iterator[Callable[[float], None]]:
    """``datetime.now`` of a module as a number of seconds says."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    moment = [start]

    class Moved(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return moment[0] if tz is not None else moment[0].replace(tzinfo=None)

    real, module.datetime = module.datetime, Moved
    try:
        yield lambda seconds: moment.__setitem__(0, start + timedelta(seconds=seconds))
    finally:
        module.datetime = real


def real_peers(events: list[Event]) -> dict[str, Calls]:
    """Those that are installed."""
    found: dict[str, Calls] = {}
    try:
        from aws_secretsmanager_caching import SecretCache
        from aws_secretsmanager_caching.cache import items
    except ImportError:
        pass
    else:
        stub = Stub()
        with patched(items) as move:
            cache = SecretCache(client=stub)
            drive(events, stub, move, cache.get_secret_string)
        found["aws-secretsmanager-caching"] = stub.calls
    try:
        from aws_lambda_powertools.utilities.parameters import SecretsProvider, base
    except ImportError:
        pass
    else:
        stub = Stub()
        with patched(base) as move:
            drive(events, stub, move, SecretsProvider(boto3_client=stub).get)
        found["aws-lambda-powertools"] = stub.calls
    return found


def drive(
    events: list[Event], stub: Stub, move: Callable[[float], None], get: Callable[[str], object]
) -> None:
    """Put reads and rotations to a peer."""
    for when, n, rotates in events:
        if rotates:
            stub.version[name(n)] += 1
        else:
            move(when)
            get(name(n))


# --- all at once ----------------------------------------------------------------------------------


def at_once(secrets: int, mode: str) -> tuple[int, int]:
    """Calls of a cold start and of a refresh when all are due together."""
    clock, worker = FakeClock(), Queued()
    backend = FakeBackend({name(n): "0" for n in range(secrets)})
    client = SecretsClient(backend, refresh=mode, clock=clock, worker=worker)
    names = [name(n) for n in range(secrets)]
    client.get_many(names)
    cold = len(backend.calls)
    clock.advance(301)
    for one in names:
        client.get(one)
    worker.run()
    return cold, len(backend.calls) - cold


def main() -> int:
    """Simulate and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--hours", type=float, default=24.0)
    options.add_argument("--secrets", type=int, default=500)
    options.add_argument("--rotations", type=int, default=100)
    options.add_argument("--without-peers", action="store_true", help="algorithms only")
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    secrets = given.secrets
    events = day(given.hours * 3600, secrets, given.rotations)
    reads = sum(not rotates for _, _, rotates in events)
    rows = {f"smclient {mode}": smclient_calls(events, secrets, mode) for mode in MODES}
    for label, peer in (
        ("no cache", NoCache()),
        ("AWS caching (algorithm, 1 h)", AwsCaching()),
        ("AWS agent (algorithm, 300 s)", Agent()),
        ("powertools (algorithm, 300 s)", Powertools()),
        ("AWS wrapper (algorithm, 1 y)", Wrapper()),
    ):
        rows[label] = peer_calls(events, peer)
    if not given.without_peers:
        rows |= {f"{label} (itself)": calls for label, calls in real_peers(events).items()}
    once = {mode: at_once(secrets, mode) for mode in MODES}
    pages = -(-secrets // 20)
    good = once["auto"] == once["batch"] == (pages, pages)
    if given.json:
        shown = {label: dict(calls) for label, calls in rows.items()}
        print(json.dumps({"reads": reads, "calls": shown, "at_once": once, "ok": good}))
        return 0 if good else 1
    own = rows["smclient auto"].total()
    print(f"{secrets} secrets, {reads:,} reads, {given.rotations} rotations, {given.hours:g} hours")
    print(f"{'':32}{'calls':>9}{'x auto':>8}{'a month':>10}  by operation")
    for label, calls in rows.items():
        month = calls_cost(calls) * Decimal(730) / Decimal(given.hours)
        told = ", ".join(f"{n:,} {operation}" for operation, n in sorted(calls.items()))
        total = calls.total()
        print(f"{label:32}{total:>9,}{total / own:>8.2f}{f'${month:,.2f}':>10}  {told}")
    for mode, (cold, again) in once.items():
        print(f"all {secrets} at once, {mode:8}: cold start {cold} calls, refresh {again} calls")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
