"""``lambda_handler = PostgresAlternatingUsers()``, unchanged, in an interpreter of its own as AWS
Lambda runs it: no context of ours, boto3 at SECRETS_MANAGER_ENDPOINT, keys from the environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from smclient_embedded.served import served

ROOT = Path(__file__).parents[2]
STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
RUNTIME = """
import importlib, json, sys
handler = importlib.import_module("lambda_function").lambda_handler

class Context:
    def get_remaining_time_in_millis(self): return 30_000

for event in json.load(sys.stdin):
    handler(event, Context())
"""


def elsewhere(event: Any, context: Any) -> None:
    """What the service has: its own tries fail, and leave the rotation as it is."""
    raise RuntimeError("this function runs in AWS Lambda")


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("postgres", "PostgresSingleUser"),
        ("postgres", "PostgresAlternatingUsers"),
        ("mariadb", "MariaDBAlternatingUsers"),
        ("redis", "RedisAclUser"),
    ],
)
def test_the_function_as_aws_lambda_runs_it(
    kind_named: Any, bench: Any, store: Any, tmp_path: Path, name: str, function: str
) -> None:
    """Two lines of code are the function. Every step twice; the password rules are Lambda's."""
    kind = kind_named(name)
    first = store(kind, kind.make(), master=True)
    (tmp_path / "lambda_function.py").write_text(
        f"from smclient.rotation import {function}\nlambda_handler = {function}()\n"
    )
    token = bench.begin(elsewhere)
    events = [
        {
            "Step": step,
            "SecretId": bench.arn,
            "ClientRequestToken": token,
            "RotationToken": "r" * 36,
        }
        for step in STEPS
        for _ in range(2)
    ]
    with served(bench.service) as service:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PYTHONPATH": os.pathsep.join(
                [str(tmp_path), *(str(ROOT / part) for part in (".", "backends", "integrations"))]
            ),
            "NO_PROXY": "127.0.0.1",
            "SECRETS_MANAGER_ENDPOINT": service.endpoint,
            "AWS_ACCESS_KEY_ID": service.access_key,
            "AWS_SECRET_ACCESS_KEY": service.secret_key,
            "AWS_REGION": service.region,
            "AWS_DEFAULT_REGION": service.region,
            "PASSWORD_LENGTH": "24",
            "EXCLUDE_PUNCTUATION": "true",
        }
        done = subprocess.run(
            [sys.executable, "-c", RUNTIME],
            input=json.dumps(events),
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    value = bench.value()
    assert bench.labels()["AWSCURRENT"] == token
    assert kind.takes(value)
    assert kind.may_read(value)
    assert len(value["password"]) == 24
    assert value["password"].isalnum()
    assert value["password"] not in done.stdout + done.stderr
    assert value["kept"] == first["kept"]
