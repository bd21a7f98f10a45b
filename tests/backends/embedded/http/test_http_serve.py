"""``smclient serve`` as a process, driven by boto3 and the aws CLI, both unmodified."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import psutil
import pytest
from botocore.exceptions import ClientError, SSLError
from cryptography import x509

from smclient.errors import ConfigError
from smclient_embedded import EmbeddedService, serve_cli
from smclient_embedded.http.tls import tls_files
from tests.backends.embedded.http.served import (
    ACCESS_KEY,
    BIN,
    REGION,
    SECRET_KEY,
    Serve,
    boto,
    clean_environment,
    read_answer,
    request,
    start_server,
)

CANARY = "canary-5f1c0a"


def code_of(refused: pytest.ExceptionInfo[ClientError]) -> str:
    error = refused.value.response["Error"]
    assert refused.value.response["ResponseMetadata"]["RequestId"]
    return str(error["Code"])


# --- boto3 ----------------------------------------------------------------------------------------


def test_boto3_writes_and_reads(serve: Serve) -> None:
    client = boto(serve().endpoint)
    made = client.create_secret(Name="prod/db", SecretString=CANARY)
    assert made["ARN"].startswith(f"arn:aws:secretsmanager:{REGION}:123456789012:secret:prod/db-")
    read = client.get_secret_value(SecretId="prod/db")
    assert read["SecretString"] == CANARY
    assert read["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"]
    client.put_secret_value(SecretId="prod/db", SecretBinary=b"\0\xff")
    assert client.get_secret_value(SecretId=made["ARN"])["SecretBinary"] == b"\0\xff"
    assert (
        client.get_secret_value(SecretId="prod/db", VersionStage="AWSPREVIOUS")["SecretString"]
        == CANARY
    )
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_secret_value(SecretId="absent")
    assert "prod/db" in client.list_secrets()["SecretList"][0]["Name"]


def test_boto3_with_other_keys_is_refused_in_awss_words(serve: Serve) -> None:
    served = serve()
    for changed, code in (
        ({"access_key": "AKIANOBODY"}, "UnrecognizedClientException"),
        ({"secret_key": "another"}, "InvalidSignatureException"),
        ({"session_token": "a-token"}, "UnrecognizedClientException"),
        ({"region": "moon"}, "InvalidSignatureException"),
    ):
        with pytest.raises(ClientError) as refused:
            boto(served.endpoint, **changed).list_secrets()
        assert code_of(refused) == code
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_an_unsigned_request_is_refused(serve: Serve) -> None:
    served = serve()
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        connection.sendall(request())
        status, headers, body = read_answer(connection)
    assert status == 400
    assert json.loads(body) == {
        "__type": "MissingAuthenticationTokenException",
        "message": "Missing Authentication Token",
    }
    assert headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"


def test_the_region_of_a_client_is_where_its_secrets_are(serve: Serve) -> None:
    served = serve()
    boto(served.endpoint).create_secret(Name="here", SecretString="x")
    elsewhere = boto(served.endpoint, region="us-west-2")
    assert elsewhere.list_secrets()["SecretList"] == []
    arn = elsewhere.create_secret(Name="there", SecretString="x")["ARN"]
    assert ":us-west-2:" in arn


def test_a_twelve_digit_key_selects_an_account_where_nothing_is_verified(serve: Serve) -> None:
    served = serve("--no-verify-signatures", keys=False)
    for account in ("111122223333", "444455556666"):
        client = boto(served.endpoint, access_key=account, secret_key="whatever")
        assert f":{account}:" in client.create_secret(Name="same", SecretString=account)["ARN"]
        assert client.get_secret_value(SecretId="same")["SecretString"] == account
    own = boto(served.endpoint, access_key="test", secret_key="test")
    assert own.list_secrets()["SecretList"] == []


def test_keys_from_awss_variables_with_a_session_token(serve: Serve) -> None:
    served = serve(
        keys=False,
        AWS_ACCESS_KEY_ID="ASIASESSION",
        AWS_SECRET_ACCESS_KEY="session-secret",
        AWS_SESSION_TOKEN="session-token",
    )
    keys = {"access_key": "ASIASESSION", "secret_key": "session-secret"}
    assert boto(served.endpoint, **keys, session_token="session-token").list_secrets()
    with pytest.raises(ClientError) as refused:
        boto(served.endpoint, **keys).list_secrets()
    assert code_of(refused) == "UnrecognizedClientException"


# --- keys and what is said of them ----------------------------------------------------------------


def pair_in(file: Path) -> tuple[str, str]:
    lines = dict(line.split(" = ") for line in file.read_text().splitlines() if " = " in line)
    return lines["aws_access_key_id"], lines["aws_secret_access_key"]


def test_a_made_pair_is_private_and_stays(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "state" / "smclient" / "access-key"
    served = serve(keys=False)
    assert served.ready["key_file"] == str(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    pair = pair_in(file)
    client = boto(served.endpoint, access_key=pair[0], secret_key=pair[1])
    client.create_secret(Name="a", SecretString=CANARY)
    assert served.stop() == 0
    said = served.everything_it_said()
    assert pair[1] not in said
    assert CANARY not in said
    serve(keys=False)
    assert pair_in(file) == pair
    assert [path.name for path in file.parent.iterdir()] == ["access-key"]


def test_beside_an_sqlite_store_is_its_pair(serve: Serve, tmp_path: Path) -> None:
    served = serve("--store", f"embedded://{tmp_path}/s.db", keys=False)
    assert served.ready["key_file"] == f"{tmp_path}/s.db.access-key"


def test_no_secret_is_in_the_list_of_processes_or_in_what_is_logged(
    serve: Serve, tmp_path: Path
) -> None:
    file = tmp_path / "sk"
    file.write_text(SECRET_KEY + "\n")
    arguments = ("--access-key", ACCESS_KEY, "--secret-key", f"@{file}")
    served = serve(*arguments, "--store", f"embedded://{tmp_path}/s.db", keys=False)
    client = boto(served.endpoint)
    client.create_secret(Name="a", SecretString=CANARY)
    client.get_secret_value(SecretId="a")
    with pytest.raises(ClientError):
        boto(served.endpoint, secret_key=CANARY).get_secret_value(SecretId="a")
    assert SECRET_KEY not in " ".join(psutil.Process(served.process.pid).cmdline())
    assert served.stop() == 0
    said = served.everything_it_said()
    assert CANARY not in said
    assert SECRET_KEY not in said


def test_a_secret_key_from_standard_input(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [str(BIN / "smclient"), "serve", "--port", "0", "--access-key", "A", "--secret-key", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(SECRET_KEY + "\n")
    process.stdin.close()
    endpoint = process.stdout.readline().split()[-1]
    assert boto(endpoint, access_key="A").list_secrets()["SecretList"] == []
    process.terminate()
    assert process.wait(20) == 0
    process.stdout.close()


# --- how it starts, and how it does not -----------------------------------------------------------


def test_without_json_the_last_line_is_the_endpoint(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [str(BIN / "smclient"), "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(XDG_STATE_HOME=str(tmp_path)),
    )
    assert process.stdout is not None
    first, last = process.stdout.readline(), process.stdout.readline()
    assert first == f"access key: AWS_SHARED_CREDENTIALS_FILE={tmp_path}/smclient/access-key\n"
    assert last.startswith("ready: http://127.0.0.1:")
    socket.create_connection(("127.0.0.1", int(last.rpartition(":")[2])), timeout=5).close()
    process.terminate()
    assert process.wait(20) == 0
    assert process.stdout.read() == ""
    process.stdout.close()


@pytest.mark.parametrize("variable", ["XDG_STATE_HOME", "SMCLIENT_STATE_DIR"])
def test_where_keys_are_kept_is_where_the_user_keeps_such_things(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    for name in ("XDG_STATE_HOME", "SMCLIENT_STATE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    folder = tmp_path / "smclient" if variable.startswith("XDG") else tmp_path
    with EmbeddedService() as service:
        assert serve_cli._default_key_file(service) == folder / "access-key"
        monkeypatch.delenv(variable)
        monkeypatch.setattr(os.path, "expanduser", lambda path: path)
        with pytest.raises(click.UsageError, match="no home folder.*SMCLIENT_STATE_DIR"):
            serve_cli._default_key_file(service)


def failed(tmp_path: Path, *arguments: str, code: int, **environment: str) -> str:
    served = start_server(tmp_path, *arguments, **environment)
    assert served.process.wait(20) == code
    said = served.everything_it_said()
    assert "Traceback" not in said
    return said


def test_a_taken_port(serve: Serve, tmp_path: Path) -> None:
    port = str(serve().port)
    said = failed(tmp_path, "--port", port, code=1)
    assert f"port {port} on 127.0.0.1 cannot be listened on" in said
    assert "--port 0" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "0.0.0.0"], "--tls, or --insecure-http"),
        (["--host", "0.0.0.0", "--no-verify-signatures"], "everybody"),
        (["--host", "0.0.0.0", "--no-verify-signatures", "--insecure-http"], "no option"),
        (["--access-key", "A"], "belong together"),
        (["--access-key", "A", "--secret-key", "@/nowhere/at/all"], "cannot be read"),
        (["--port", "70000"], "65535"),
        (["--account", "12"], "12 digits"),
    ],
)
def test_wrong_usage(tmp_path: Path, arguments: list[str], said: str) -> None:
    assert said in failed(tmp_path, *arguments, code=2)


def test_a_store_and_a_host_that_are_not_there(tmp_path: Path) -> None:
    assert "no folder" in failed(tmp_path, "--store", "embedded:///no/such/folder/s.db", code=1)
    said = failed(tmp_path, "--host", "203.0.113.7", "--insecure-http", code=1)
    assert "cannot be listened on" in said


def test_a_key_file_that_others_may_read(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("[default]\naws_access_key_id = A\naws_secret_access_key = B\n")
    file.chmod(0o644)
    assert "open to others" in failed(tmp_path, "--key-file", str(file), code=2)
    file.write_text("canary, and no section\n")
    file.chmod(0o600)
    said = failed(tmp_path, "--key-file", str(file), code=2)
    assert "[default]" in said
    assert "canary" not in said


def test_off_loopback_other_names_are_given(serve: Serve) -> None:
    served = serve("--host", "0.0.0.0", "--insecure-http", "--allow-host", "secrets.internal")
    assert served.endpoint == f"http://127.0.0.1:{served.port}"
    assert boto(served.endpoint).list_secrets()["SecretList"] == []
    for host, refused in (("secrets.internal", False), ("evil.example", True)):
        with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
            connection.sendall(request(headers={"Host": host}))
            assert (read_answer(connection)[0] == 403) == refused


# --- TLS ------------------------------------------------------------------------------------------


def test_boto3_over_tls_trusts_the_local_authority(serve: Serve, tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    served = serve("--tls", "--tls-dir", str(folder))
    assert served.endpoint.startswith("https://127.0.0.1:")
    ca = served.ready["ca_file"]
    assert ca == str(folder / "ca.pem")
    for host in ("127.0.0.1", "localhost"):
        client = boto(served.endpoint.replace("127.0.0.1", host), verify=ca)
        assert client.list_secrets()["SecretList"] == []
    with pytest.raises(SSLError):
        boto(served.endpoint).list_secrets()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert served.stop() == 0
    again = serve("--tls", "--tls-dir", str(folder))
    assert boto(again.endpoint, verify=ca).list_secrets()["SecretList"] == []


def test_certificates_are_kept_while_they_fit(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    files = tls_files(tmp_path, ["127.0.0.1"], now)
    authority, leaf = files.authority.read_bytes(), files.certificate.read_bytes()
    tls_files(tmp_path, [], now + timedelta(days=300))
    assert files.certificate.read_bytes() == leaf
    tls_files(tmp_path, ["secrets.internal", "10.0.0.1"], now)
    more = files.certificate.read_bytes()
    names = x509.load_pem_x509_certificate(more).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert "secrets.internal" in names.value.get_values_for_type(x509.DNSName)
    tls_files(tmp_path, [], now + timedelta(days=380))
    assert files.certificate.read_bytes() != more
    assert files.authority.read_bytes() == authority


def test_something_else_in_the_tls_folder(tmp_path: Path) -> None:
    for name in ("ca.pem", "ca.key"):
        (tmp_path / name).write_text("junk")
    with pytest.raises(ConfigError, match="--tls-dir"):
        tls_files(tmp_path, [], datetime.now(UTC))
