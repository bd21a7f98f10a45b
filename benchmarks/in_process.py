"""GetSecretValue through a real botocore client, without a socket: this service beside moto's.

    .venv/bin/python benchmarks/in_process.py [--calls 2000]

Both answer the same unmodified boto3 client in this process: ours by `EmbeddedService.client()` and
by `patch_boto3()`, moto's by `mock_aws`. Rounds alternate and the best of each counts. Aim: at most
half of moto's time; most of what is left is botocore's own. The client of `client()` does not sign
its requests, which nobody would verify; those of `patch_boto3()` and moto's sign as they are
configured, so both ratios are told. A fresh service, as a test has one, is timed too.
"""

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import boto3
from moto import mock_aws

from smclient_embedded import EmbeddedService

REGION = "us-east-1"
ROUNDS = 5
KEYS: dict[str, Any] = {
    "region_name": REGION,
    "aws_access_key_id": "AKIABENCHMARKBENCHMA",
    "aws_secret_access_key": "benchmark-secret-key",
}


def main() -> int:
    """Print microseconds a call, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=2000)
    calls = parser.parse_args().calls
    with EmbeddedService() as service, mock_aws():
        moto = boto3.client("secretsmanager", **KEYS)
        ours = service.client()
        with service.patch_boto3():
            patched = boto3.client("secretsmanager", **KEYS)
        clients = {
            "smclient client()": ours,
            "smclient patch_boto3": patched,
            "moto mock_aws": moto,
        }
        for client in (ours, moto):
            client.create_secret(Name="s", SecretString='{"user": "app", "password": "first"}')
        best = dict.fromkeys(clients, float("inf"))
        for _ in range(ROUNDS):
            for name, client in clients.items():
                asked = per_call(partial(client.get_secret_value, SecretId="s"), calls // ROUNDS)
                best[name] = min(best[name], asked)
    for name, microseconds in best.items():
        print(f"{name:22} {microseconds:8.0f} us a call")
    for name, signs in (("smclient client()", "not signed"), ("smclient patch_boto3", "signed")):
        ratio = best[name] / best["moto mock_aws"]
        print(f"{name:22} {ratio:8.2f} of moto's time (aim: 0.50; {signs})")
    fresh = per_call(lambda: EmbeddedService().close(), 50) / 1000
    print(f"{'a fresh service':22} {fresh:8.2f} ms")
    return 0


def per_call(call: Callable[[], Any], times: int) -> float:
    """Microseconds of one of so many calls."""
    call()
    began = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - began) / times * 1e6


if __name__ == "__main__":
    sys.exit(main())
