"""The control endpoint: the administrator's, in any language, and only where it was asked for."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.backends.embedded.http.served import ACCESS_KEY, REGION, SECRET_KEY, Serve, Served, boto

Answer = tuple[int, dict[str, Any]]


def ask(
    served: Served, method: str, path: str, content: Any = None, *, secret_key: str | None = None
) -> Answer:
    """One control request, signed where there is a key; status and JSON."""
    url = f"{served.endpoint}/_smclient/{path}"
    body = b"" if content is None else json.dumps(content).encode()
    headers = {"Content-Type": "application/json"} if method == "POST" else {}
    if secret_key is not None:
        signed = AWSRequest(method, url, data=body, headers=headers)
        credentials = Credentials(ACCESS_KEY, secret_key)
        SigV4Auth(credentials, "secretsmanager", REGION).add_auth(signed)
        headers = dict(signed.headers.items())
    request = urllib.request.Request(url, data=body or None, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.load(refusal)


@pytest.fixture
def served(serve: Serve) -> Served:
    """A server that lets everybody control it."""
    return serve("--no-verify-signatures", "--control", keys=False)


@pytest.fixture
def client(served: Served) -> Any:
    return boto(served.endpoint)


def names(client: Any) -> list[str]:
    return [secret["Name"] for secret in client.list_secrets()["SecretList"]]


# --- who may --------------------------------------------------------------------------------------


def test_it_is_closed_unless_asked_for(serve: Serve) -> None:
    closed = serve("--no-verify-signatures", keys=False)
    boto(closed.endpoint).create_secret(Name="kept", SecretString="v")
    status, said = ask(closed, "POST", "reset", {})
    assert (status, said["__type"]) == (404, "UnknownOperationException")
    assert "--control" in said["Message"]
    assert names(boto(closed.endpoint)) == ["kept"]


def test_it_takes_the_administrators_signature(serve: Serve) -> None:
    served = serve("--control", "--region", REGION)
    status, said = ask(served, "POST", "reset", {})
    assert (status, said["__type"]) == (400, "MissingAuthenticationTokenException")
    status, said = ask(served, "POST", "reset", {}, secret_key="another")
    assert (status, said["__type"]) == (400, "InvalidSignatureException")
    boto(served.endpoint).create_secret(Name="a", SecretString="v")
    assert ask(served, "POST", "reset", {}, secret_key=SECRET_KEY) == (
        200,
        {"removed": 1, "created": 0},
    )
    assert ask(served, "GET", "faults", secret_key=SECRET_KEY) == (200, {"faults": []})


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_curl_signs_what_is_asked(serve: Serve, tmp_path: Path) -> None:
    served = serve("--control", "--region", REGION)
    config = tmp_path / "curlrc"
    config.write_text(f'user = "{ACCESS_KEY}:{SECRET_KEY}"\n')
    done = subprocess.run(
        ["curl", "-sS", "-K", config, "--aws-sigv4", f"aws:amz:{REGION}:secretsmanager",
         f"{served.endpoint}/_smclient/clock"],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert json.loads(done.stdout)["moved_seconds"] == 0, done.stderr


def test_a_page_in_a_browser_cannot_use_a_form(served: Served, client: Any) -> None:
    client.create_secret(Name="kept", SecretString="v")
    url = f"{served.endpoint}/_smclient/reset"
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        request = urllib.request.Request(url, data=b"{}", headers={"Content-Type": kind})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=20)
        assert refused.value.code == 400
        refused.value.close()
    assert names(client) == ["kept"]


# --- what it does ---------------------------------------------------------------------------------


def test_reset_leaves_a_service_as_it_was_started(serve: Serve, tmp_path: Path) -> None:
    seeds = tmp_path / "seeds.json"
    seeds.write_text(json.dumps({"secrets": {"from-file": "v0"}}))
    start = ("--no-verify-signatures", "--region", REGION, "--init", str(seeds))
    served = serve(*start, "--control", keys=False)
    client = boto(served.endpoint)
    elsewhere = boto(served.endpoint, region="us-west-2", access_key="444455556666")
    client.put_secret_value(SecretId="from-file", SecretString="v1")
    client.create_secret(Name="marked", SecretString="v")
    client.delete_secret(SecretId="marked")
    elsewhere.create_secret(Name="elsewhere", SecretString="v")
    ask(served, "POST", "clock", {"advance": 60})
    ask(served, "POST", "faults", {"kind": "throttling", "count": 5})

    assert ask(served, "POST", "reset") == (200, {"removed": 3, "created": 1})

    assert client.get_secret_value(SecretId="from-file")["SecretString"] == "v0"
    assert names(client) == ["from-file"]
    assert names(elsewhere) == []
    client.create_secret(Name="marked", SecretString="v")
    assert ask(served, "GET", "faults")[1] == {"faults": []}
    assert ask(served, "GET", "clock")[1]["moved_seconds"] == 0


def test_the_clock_moves_on_and_what_is_due_is_run(served: Served, client: Any) -> None:
    arn = client.create_secret(Name="marked", SecretString="v")["ARN"]
    until = client.delete_secret(SecretId="marked", RecoveryWindowInDays=7)["DeletionDate"]
    status, moved = ask(served, "POST", "clock", {"advance": 6 * 86400})
    assert status == 200
    assert datetime.fromisoformat(moved["now"]) < until
    assert ask(served, "POST", "run-due")[1] == {"deleted": [], "rotated": [], "failed": []}
    ask(served, "POST", "clock", {"to": (until + timedelta(seconds=1)).isoformat()})
    deleted = ask(served, "POST", "run-due")[1]["deleted"]
    assert deleted in ([arn], [])  # else the server itself was faster
    with pytest.raises(ClientError, match="can't find the specified secret"):
        client.restore_secret(SecretId="marked")
    assert client.create_secret(Name="marked", SecretString="v")["ARN"] != arn


def test_a_moved_clock_changes_no_signature(serve: Serve) -> None:
    served = serve("--control", "--region", REGION)
    assert ask(served, "POST", "clock", {"advance": 86400}, secret_key=SECRET_KEY)[0] == 200
    assert boto(served.endpoint).list_secrets()["SecretList"] == []


def test_faults_are_made_seen_and_ended(served: Served, client: Any) -> None:
    fault = {"kind": "error", "code": "InternalServiceError", "operation": "ListSecrets"}
    number = ask(served, "POST", "faults", fault)[1]["number"]
    with pytest.raises(ClientError, match="InternalServiceError"):
        client.list_secrets()
    (seen,) = ask(served, "GET", "faults")[1]["faults"]
    assert (seen["number"], seen["struck"], seen["kind"]) == (number, 1, "error")
    assert ask(served, "DELETE", f"faults/{number}") == (200, {"ended": True})
    assert ask(served, "DELETE", f"faults/{number}") == (200, {"ended": False})
    client.list_secrets()
    ask(served, "POST", "faults", {"kind": "throttling"})
    assert ask(served, "DELETE", "faults") == (200, {"faults": []})
    client.list_secrets()


def test_counts_are_read(served: Served, client: Any) -> None:
    client.create_secret(Name="a", SecretString="v")
    client.list_secrets()
    metrics = ask(served, "GET", "metrics")[1]["metrics"]
    calls = {m["Dimensions"]["Resource"]: m["Value"] for m in metrics if "Outcome" in m}
    assert calls == {"CreateSecret": 1, "ListSecrets": 1}
    usage = ask(served, "GET", "usage")[1]
    assert usage["secrets"] == 1
    assert usage["api_calls"] == {"CreateSecret": 1, "ListSecrets": 1}


def test_what_the_counts_cost_is_read_with_them(served: Served, client: Any) -> None:
    """One secret for a month and two calls, as `smclient cost` shows it."""
    client.create_secret(Name="a", SecretString="v")
    client.list_secrets()
    bill = ask(served, "GET", "usage")[1]["bill"]
    assert date.fromisoformat(bill["as_of"])
    assert bill["dollars"] == {
        "secrets": "0.40",
        "api_calls": "0.00001",
        "customer_keys": "0.00",
        "kms_calls": "0.00",
        "total": "0.40001",
    }


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "said"),
    [
        ("POST", "nothing", {}, 404, "known: POST reset"),
        ("GET", "", None, 404, "GET clock"),
        ("GET", "reset", None, 405, "reset takes POST"),
        ("POST", "clock", {"advance": -1}, 400, "never back"),
        ("POST", "clock", {"advance": "1"}, 400, "number of seconds"),
        ("POST", "clock", {"advance": True}, 400, "number of seconds"),
        ("POST", "clock", {"advance": 1e300}, 400, "year 9000"),
        ("POST", "clock", {"to": "2001-01-01T00:00:00Z"}, 400, "never back"),
        ("POST", "clock", {"to": "2099-01-01"}, 400, "offset"),
        ("POST", "clock", {"to": 5}, 400, "moment"),
        ("POST", "clock", {}, 400, "one of them"),
        ("POST", "clock", {"by": 1}, 400, "'by'"),
        ("POST", "reset", {"sure": True}, 400, "'sure'"),
        ("POST", "reset", [1], 400, "JSON object"),
        ("POST", "faults", {"kind": "flood"}, 400, "no such kind"),
        ("DELETE", "faults/x", None, 400, "by its number"),
    ],
)
def test_what_does_not_fit_is_refused(
    served: Served, method: str, path: str, content: Any, status: int, said: str
) -> None:
    answer = ask(served, method, path, content)
    assert answer[0] == status
    assert said in answer[1]["Message"] if "Message" in answer[1] else said in answer[1]["message"]


# --- the init file --------------------------------------------------------------------------------


def test_the_init_file_is_named_by_a_variable_too(serve: Serve, tmp_path: Path) -> None:
    seeds = tmp_path / "seeds.toml"
    seeds.write_text('[[secrets]]\nname = "a"\nvalue = "canary-1"\nregion = "eu-west-1"\n')
    served = serve("--no-verify-signatures", keys=False, SMCLIENT_INIT_FILE=str(seeds))
    assert boto(served.endpoint).get_secret_value(SecretId="a")["SecretString"] == "canary-1"
    served.stop()
    assert "canary" not in served.everything_it_said()


def test_an_init_file_that_is_wrong_stops_the_start(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    seeds = tmp_path / "seeds.json"
    seeds.write_text('{"secrets": {"bad name": "canary-2"}}')
    with pytest.raises(AssertionError, match="'bad name' of the init file") as failed:
        serve("--no-verify-signatures", "--init", str(seeds), keys=False)
    assert "canary" not in str(failed.value)
