"""A handler as people write them for Lambda, with drivers of its own, against real databases.

It is written from AWS's documentation of rotation functions; AWS's published templates run in the
same way, but their code is not ours to keep here.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import psycopg
import pymysql

HANDLER = """
    import json, os, boto3

    def secret_at(secrets, arn, stage, token=None):
        more = {"VersionId": token} if token else {}
        answer = secrets.get_secret_value(SecretId=arn, VersionStage=stage, **more)
        return json.loads(answer["SecretString"])

    def login(value):
        if value["engine"] == "postgres":
            import psycopg
            return psycopg.connect(
                host=value["host"], port=value["port"], dbname=value["dbname"],
                user=value["username"], password=value["password"], autocommit=True)
        import pymysql
        return pymysql.connect(
            host=value["host"], port=value["port"], user=value["username"],
            password=value["password"], autocommit=True)

    def lambda_handler(event, context):
        secrets = boto3.client(
            "secretsmanager", endpoint_url=os.environ["SECRETS_MANAGER_ENDPOINT"])
        arn, token, step = event["SecretId"], event["ClientRequestToken"], event["Step"]
        described = secrets.describe_secret(SecretId=arn)
        if "RotationEnabled" in described and not described["RotationEnabled"]:
            raise ValueError("rotation is off")
        stages = described["VersionIdsToStages"]
        if token not in stages:
            raise ValueError("no such version")
        if "AWSCURRENT" in stages[token]:
            return
        if "AWSPENDING" not in stages[token]:
            raise ValueError("not pending")
        current = secret_at(secrets, arn, "AWSCURRENT")
        if step == "createSecret":
            try:
                secret_at(secrets, arn, "AWSPENDING", token)
            except secrets.exceptions.ResourceNotFoundException:
                password = secrets.get_random_password(
                    ExcludeCharacters=os.environ.get("EXCLUDE_CHARACTERS", "/@\\"'\\\\"))
                secrets.put_secret_value(
                    SecretId=arn, ClientRequestToken=token, VersionStages=["AWSPENDING"],
                    SecretString=json.dumps(
                        {**current, "password": password["RandomPassword"]}))
            return
        pending = secret_at(secrets, arn, "AWSPENDING", token)
        if step == "setSecret":
            try:
                login(pending).close()
                return
            except Exception:
                pass
            own = current if "masterarn" not in current else secret_at(
                secrets, current["masterarn"], "AWSCURRENT")
            with login(own) as connection:
                cursor = connection.cursor()
                if current["engine"] == "postgres":
                    from psycopg import sql
                    cursor.execute(sql.SQL("ALTER USER {} PASSWORD {}").format(
                        sql.Identifier(pending["username"]), sql.Literal(pending["password"])))
                else:
                    cursor.execute("SET PASSWORD = PASSWORD(%s)", (pending["password"],))
        elif step == "testSecret":
            with login(pending) as connection:
                connection.cursor().execute("SELECT 1")
        elif step == "finishSecret":
            old = next(v for v, labels in stages.items() if "AWSCURRENT" in labels)
            secrets.update_secret_version_stage(
                SecretId=arn, VersionStage="AWSCURRENT", MoveToVersionId=token,
                RemoveFromVersionId=old)
"""


def _takes(value: dict[str, Any]) -> bool:
    try:
        if value["engine"] == "postgres":
            psycopg.connect(
                host=value["host"],
                port=value["port"],
                user=value["username"],
                password=value["password"],
                dbname=value["dbname"],
            ).close()
        else:
            pymysql.connect(
                host=value["host"],
                port=value["port"],
                user=value["username"],
                password=value["password"],
            ).close()
    except (psycopg.OperationalError, pymysql.err.OperationalError):
        return False
    return True


def _rotate_three_times(workshop: Any, value: dict[str, Any]) -> list[dict[str, Any]]:
    arn = workshop.function(HANDLER, python=sys.executable)
    workshop.secret(value=json.dumps(value))
    values = [value]
    for turn in range(3):
        done = workshop.rotate(arn, token=f"turn-{turn}-".ljust(32, "0"))
        assert len(done.rotated) == 1, workshop.service.function_log("f")
        values.append(json.loads(workshop.value()))
        assert _takes(values[-1])
        assert not _takes(values[-2])
    return values


def test_three_rotations_on_postgresql(workshop: Any, user: Any) -> None:
    values = _rotate_three_times(workshop, user.secret())
    assert len({value["password"] for value in values}) == 4
    assert all(value["kept"] == "as it was" for value in values)


def test_three_rotations_on_mariadb(workshop: Any, mariadb: Any) -> None:
    mariadb.create_user("lambda_rotated", "first-password")
    _rotate_three_times(
        workshop,
        {
            "engine": "mariadb",
            "host": mariadb.host,
            "port": mariadb.port,
            "username": "lambda_rotated",
            "password": "first-password",
        },
    )


def test_the_master_that_the_secret_names_may_be_read(workshop: Any, make_user: Any) -> None:
    """Though it names no function of its own, and nothing else may be read."""
    user, master = make_user(), make_user()
    with user.server.connect() as connection:
        connection.execute(
            psycopg.sql.SQL("ALTER ROLE {} SUPERUSER").format(psycopg.sql.Identifier(master.name))
        )
    named = workshop.secret("master", json.dumps(master.secret()))
    _rotate_three_times(workshop, user.secret(masterarn=named))


def test_a_host_that_does_not_answer_is_a_failed_rotation(workshop: Any, user: Any) -> None:
    """The application keeps its login."""
    arn = workshop.function(HANDLER)
    workshop.secret(value=json.dumps(user.secret(port=1)))
    assert len(workshop.rotate(arn).failed) == 1
    assert workshop.reason() == "setSecret: OperationalError"
    assert _takes(user.secret())
