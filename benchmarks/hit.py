"""A cached read: ours beside a bare dict with a clock check, AWS's client and powertools.

Prints microseconds and, what counts, ratios of one run; and the total throughput of 8 threads
against one. Peers that are not installed are left out (pip install 'smclient[bench]').
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from smclient import SecretsClient
from smclient.testing import FakeBackend
from smclient_embedded import EmbeddedService

NAME = "prod/db"
ROUNDS = 7
CALLS = 100_000


def bare() -> Callable[[], object]:
    """The least that a cache with a time limit can do."""
    held: dict[str, Any] = {NAME: ("value", time.monotonic() + 3600)}
    monotonic = time.monotonic

    def get() -> object:
        value, until = held[NAME]
        return value if monotonic() < until else None

    return get


def ours() -> Callable[[], object]:
    """``client.get``, metering and bounds on."""
    client = SecretsClient(FakeBackend({NAME: {"username": "u", "password": "p"}}))
    client.get(NAME)
    return partial(client.get, NAME)


def boto3_client() -> Any:
    """A real botocore client of the embedded service, for the peers."""
    client = EmbeddedService().client()
    client.create_secret(Name=NAME, SecretString='{"username": "u", "password": "p"}')
    return client


def aws_caching() -> Callable[[], object] | None:
    """AWS's own caching library."""
    try:
        from aws_secretsmanager_caching import SecretCache
    except ImportError:
        return None
    return partial(SecretCache(client=boto3_client()).get_secret_string, NAME)


def powertools() -> Callable[[], object] | None:
    """Powertools for AWS Lambda, parameters utility."""
    try:
        from aws_lambda_powertools.utilities.parameters import SecretsProvider
    except ImportError:
        return None
    return partial(SecretsProvider(boto3_client=boto3_client()).get, NAME, max_age=3600)


def microseconds(call: Callable[[], object], calls: int = CALLS) -> float:
    """The median time of one call over several rounds."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(calls):
            call()
        rounds.append((time.perf_counter() - began) / calls * 1e6)
    return statistics.median(rounds)


def throughput(call: Callable[[], object], threads: int) -> float:
    """Calls a second of all threads together."""
    barrier = threading.Barrier(threads + 1)

    def work() -> None:
        barrier.wait()
        for _ in range(CALLS):
            call()
        barrier.wait()

    for _ in range(threads):
        threading.Thread(target=work, daemon=True).start()
    barrier.wait()
    began = time.perf_counter()
    barrier.wait()
    return threads * CALLS / (time.perf_counter() - began)


def main() -> None:
    """Measure and print."""
    candidates = {
        "bare dict + clock": bare(),
        "smclient": ours(),
        "aws-secretsmanager-caching": aws_caching(),
        "aws-lambda-powertools": powertools(),
    }
    found = {
        name: microseconds(call, CALLS if name in ("bare dict + clock", "smclient") else 10_000)
        for name, call in candidates.items()
        if call is not None
    }
    mine = found["smclient"]
    for name, taken in found.items():
        print(f"{name:30} {taken:8.3f} µs   {taken / mine:7.2f} x smclient")
    one, eight = throughput(ours(), 1), throughput(ours(), 8)
    print(f"8 threads: {eight / one:.0%} of the throughput of one")


if __name__ == "__main__":
    main()
