"""GetSecretValue through a real botocore client, without a socket: this service beside moto's.

    .venv/bin/python benchmarks/in_process.py [--calls 2000]

Both answer the same unmodified boto3 client in this process: ours by `EmbeddedService.client()` and
by `patch_boto3()`, moto's by `mock_aws`. Rounds alternate and the best of each counts. Aim: at most
half of moto's time. What botocore alone takes, with an answer that is ready, is part of both; a
fresh service, as a test has one, is timed too.
"""

import argparse
import io
import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse, HeadersDict
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
            "botocore alone": canned(),
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
    ratio = best["smclient client()"] / best["moto mock_aws"]
    print(f"{'ratio':22} {ratio:8.2f} of moto's time (aim: 0.50)")
    fresh = per_call(lambda: EmbeddedService().close(), 50) / 1000
    print(f"{'a fresh service':22} {fresh:8.2f} ms")
    return 0


def canned() -> Any:
    """A botocore client whose every answer is ready."""
    body = json.dumps({"ARN": "a", "Name": "s", "SecretString": "x", "VersionId": "v" * 32})

    def answer(request: Any, **_: Any) -> AWSResponse:
        headers = HeadersDict({"Content-Type": "application/x-amz-json-1.1"})
        return AWSResponse(request.url, 200, headers, RawBody(body.encode()))

    client = boto3.session.Session().client("secretsmanager", **KEYS)
    client.meta.events.register("before-send.secrets-manager", answer)
    return client


class RawBody(io.BytesIO):
    """A body as urllib3 gives it."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        """All of it at once."""
        yield self.read()


def per_call(call: Callable[[], Any], times: int) -> float:
    """Microseconds of one of so many calls."""
    call()
    began = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - began) / times * 1e6


if __name__ == "__main__":
    sys.exit(main())
