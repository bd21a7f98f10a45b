"""Everything the shop needs, in one command: a PostgreSQL, a Secrets Manager with the secrets of
the shop, rotation functions, and the shop under gunicorn (or uvicorn) with several workers.

    python examples/django/run.py            # then follow what it prints

Stop it with Ctrl-C; nothing stays behind. On AWS you need only the folder ``shop``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smclient import SecretsClient
from smclient.rotation import PostgresSingleUser, Rotation, RotationFunction
from smclient_demo.postgres_server import PostgresServer
from smclient_embedded import EmbeddedService
from smclient_embedded.served import served

HERE = Path(__file__).parent
DATABASE, WEB, PAYMENT = "shop/database", "shop/web", "shop/payment"
FIELDS = {WEB: "session_key", PAYMENT: "api_key"}


class RandomKey(RotationFunction):
    """Rotates one field of a secret that nobody but its readers has to know."""

    def __init__(self, field: str) -> None:
        super().__init__()
        self._field = field

    def new_value(self, rotation: Rotation) -> dict[str, Any]:
        """The same object with another key."""
        return {**rotation.current().json(), self._field: secrets.token_urlsafe(50)}

    def set_value(self, rotation: Rotation) -> None:
        """Nowhere to set it."""

    def test_value(self, rotation: Rotation) -> None:
        """It was stored. Raises ``RotationStepError`` if not."""
        rotation.the_pending()


@dataclass(frozen=True)
class Scene:
    """What runs around the shop, and what the shop and the ``smclient`` command are told of it."""

    postgres: PostgresServer
    service: EmbeddedService
    environment: Mapping[str, str]

    def command(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """``manage.py`` with these arguments, to its end."""
        return subprocess.run(
            [sys.executable, HERE / "manage.py", *arguments],
            env={**os.environ, **self.environment, **more},
            cwd=HERE,
            capture_output=True,
            text=True,
            check=False,
        )


@contextlib.contextmanager
def scene(*, hold: float = 0.0) -> Iterator[Scene]:
    """Server, service, secrets and rotation functions while the block runs. ``hold`` keeps the
    window of a database rotation open for so many seconds: only AWSPENDING logs in then."""
    with (
        PostgresServer(settings={"log_connections": "off"}) as postgres,
        tempfile.TemporaryDirectory(prefix="smclient-shop-") as folder,
        EmbeddedService(f"embedded://{folder}/secrets.db") as service,
        served(service) as server,
    ):
        _make_secrets(postgres, service, hold)
        environment = {
            **server.environment,
            "SMCLIENT_BACKEND": f"aws://{server.region}?endpoint_url={server.endpoint}",
            "DJANGO_SETTINGS_MODULE": "shop.settings",
            "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]),
        }
        yield Scene(postgres, service, environment)


def _make_secrets(postgres: PostgresServer, service: EmbeddedService, hold: float) -> None:
    class Held(PostgresSingleUser):
        def test_value(self, rotation: Rotation) -> None:
            super().test_value(rotation)
            time.sleep(hold)

    password = secrets.token_urlsafe(24)
    postgres.create_user("shop", password)
    postgres.create_database("shop", "shop")
    address = {"engine": "postgres", "host": postgres.host, "port": postgres.port, "dbname": "shop"}
    values = {
        DATABASE: {**address, "username": "shop", "password": password},
        WEB: {"session_key": secrets.token_urlsafe(50)},
        PAYMENT: {"api_key": secrets.token_urlsafe(50)},
    }
    functions = {DATABASE: Held(), **{name: RandomKey(field) for name, field in FIELDS.items()}}
    with SecretsClient(service.backend()) as admin:
        for name, value in values.items():
            arn = service.register_function(f"rotate-{name.replace('/', '-')}", functions[name])
            admin.call("CreateSecret", Name=name, SecretString=json.dumps(value))
            admin.call(
                "RotateSecret",
                SecretId=name,
                RotationLambdaARN=arn,
                RotationRules={"AutomaticallyAfterDays": 30},
                RotateImmediately=False,
            )
    service.run_due()


def server_command(kind: str, port: int, workers: int) -> list[str]:
    """How the shop is served: prefork with threads, or one event loop for each worker."""
    if kind == "gunicorn":
        words = f"-m gunicorn shop.wsgi --bind 127.0.0.1:{port} --workers {workers}"
        return [sys.executable, *words.split(), "--threads", "4", "--preload"]
    words = f"-m uvicorn shop.asgi:application --host 127.0.0.1 --port {port}"
    return [sys.executable, *words.split(), "--workers", str(workers), "--lifespan", "off"]


def main() -> None:
    """Start all of it, say what to do next, and wait."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", choices=("gunicorn", "uvicorn"), default="gunicorn")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--ttl", default="5", help="seconds a value is served for; 300 in earnest")
    parser.add_argument("--keys", type=Path, default=HERE / ".environment")
    given = parser.parse_args()
    with scene(hold=3.0) as made:
        migrated = made.command("migrate")
        if migrated.returncode:
            sys.exit(migrated.stdout + migrated.stderr)
        _write(given.keys, made.environment)
        path = "" if given.server == "gunicorn" else "async/"
        print(
            f"\nThe shop: http://127.0.0.1:{given.port}/{path}\n\n"
            f"In another terminal:\n\n  set -a; . {given.keys}; set +a\n"
            f"  watch -n 0.5 curl -s -c jar -b jar http://127.0.0.1:{given.port}/{path}\n"
            f"  smclient rotate {DATABASE}    # or {WEB}, or {PAYMENT}\n"
            f"  (cd {HERE} && python manage.py smclient status)\n",
            flush=True,
        )
        environment = {**os.environ, **made.environment, "SHOP_TTL": given.ttl}
        command = server_command(given.server, given.port, given.workers)
        shop = subprocess.Popen(command, env=environment, cwd=HERE)
        try:
            shop.wait()
        except KeyboardInterrupt:
            shop.send_signal(signal.SIGTERM)
            shop.wait()
        finally:
            given.keys.unlink()


def _write(path: Path, environment: Mapping[str, str]) -> None:
    """The keys of the service, for the other terminal; readable for you only."""
    path.unlink(missing_ok=True)
    names = ("SMCLIENT_BACKEND", "DJANGO_SETTINGS_MODULE")
    chosen = {k: v for k, v in environment.items() if k in names or k.startswith("AWS_")}
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.writelines(f"{name}='{value}'\n" for name, value in chosen.items())


if __name__ == "__main__":
    main()
