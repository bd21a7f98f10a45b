"""The aws CLI, unmodified, against ``smclient serve``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.backends.embedded.http.served import (
    ACCESS_KEY,
    BIN,
    REGION,
    SECRET_KEY,
    Serve,
    Served,
    clean_environment,
)
from tests.servers import absent

CANARY = "canary-5f1c0a"

CANARY = "canary-5f1c0a"


# --- the aws CLI ----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The aws CLI: the one beside this Python, else one in an environment of its own, so that what
    it depends on holds nothing back here."""
    beside = BIN / "aws"
    if beside.exists():
        return beside
    folder = tmp_path_factory.mktemp("aws")
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    try:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=120)
        subprocess.run([*pip, "awscli"], check=True, timeout=300, capture_output=True)
    except (subprocess.SubprocessError, OSError) as error:
        absent(f"the aws CLI cannot be installed here: {error}")
    return folder / "bin" / "aws"


def run_aws(aws: Path, served: Served, *arguments: str, **environment: str) -> Any:
    done = subprocess.run(
        [str(aws), "--endpoint-url", served.endpoint, "secretsmanager", *arguments],
        env=clean_environment(
            **{
                "AWS_DEFAULT_REGION": REGION,
                "AWS_ACCESS_KEY_ID": ACCESS_KEY,
                "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
                "AWS_DEFAULT_OUTPUT": "json",
                **environment,
            }
        ),
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode:
        return done.stderr
    return json.loads(done.stdout) if done.stdout.strip() else None


@pytest.mark.server
def test_the_aws_cli_writes_and_reads(serve: Serve, aws: Path) -> None:
    served = serve()
    made = run_aws(aws, served, "create-secret", "--name", "cli", "--secret-string", CANARY)
    read = run_aws(aws, served, "get-secret-value", "--secret-id", made["ARN"])
    assert (read["Name"], read["SecretString"]) == ("cli", CANARY)
    said = run_aws(aws, served, "get-secret-value", "--secret-id", "absent")
    assert "(ResourceNotFoundException)" in said
    wrong = {"AWS_SECRET_ACCESS_KEY": "another"}
    assert "(InvalidSignatureException)" in run_aws(aws, served, "list-secrets", **wrong)


@pytest.mark.server
def test_the_key_file_is_one_that_the_aws_cli_reads(serve: Serve, aws: Path) -> None:
    served = serve(keys=False)
    environment = {
        "AWS_ACCESS_KEY_ID": "",
        "AWS_SECRET_ACCESS_KEY": "",
        "AWS_SHARED_CREDENTIALS_FILE": served.ready["key_file"],
    }
    assert run_aws(aws, served, "list-secrets", **environment) == {"SecretList": []}
