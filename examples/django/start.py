"""Everything the shop needs, in one command: a PostgreSQL, a Secrets Manager with the secrets of
the shop, rotation functions, and the shop under gunicorn (or uvicorn) with several workers.

    python examples/django/start.py          # then follow what it prints

Stop it with Ctrl-C; nothing stays behind. On AWS you need only the folder ``shop``.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parent
sys.path.insert(0, str(HOME.parent))

from common import (  # noqa: E402
    HOLD,
    TTL,
    create_secrets,
    login_of_new_database,
    rotate_with,
    serve,
    start_options,
    store_url,
    surroundings,
)

from smclient.rotation import Rotation, RotationFunction  # noqa: E402
from smclient_demo.postgres_server import PostgresServer  # noqa: E402
from smclient_demo.scene import SlowPostgresSingleUser  # noqa: E402
from smclient_embedded import EmbeddedService  # noqa: E402
from smclient_embedded.served import served  # noqa: E402

DATABASE, WEB, PAYMENT = "shop/database", "shop/web", "shop/payment"


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


def main() -> None:
    """Start all of it, say what to do next, and wait."""
    parser = start_options(HOME)
    parser.add_argument("--server", choices=("gunicorn", "uvicorn"), default="gunicorn")
    parser.add_argument("--settings", default="shop.settings", help="DJANGO_SETTINGS_MODULE")
    parser.add_argument("--ttl", default=TTL, help="seconds a value is served for; 300 in earnest")
    parser.add_argument("--hold", type=float, default=HOLD, help="seconds with the window open")
    options = parser.parse_args()
    with (
        surroundings(options.folder) as postgres,
        EmbeddedService(store_url(options.folder)) as service,
        served(service) as server,
    ):
        make_secrets(postgres, service, options.hold)
        told = {
            **server.environment,
            "SMCLIENT_BACKEND": f"aws://{server.region}?endpoint_url={server.endpoint}",
            "DJANGO_SETTINGS_MODULE": options.settings,
        }
        environ = {**os.environ, **told, "SHOP_TTL": options.ttl}
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "-v0"], env=environ, cwd=HOME, check=True
        )
        keys = options.folder / "environment"
        write(keys, told)
        path = "/" if options.server == "gunicorn" else "/async/"
        serve(
            server_command(options.server, options.port, options.workers),
            HOME,
            options.port,
            environ,
            path=path,
            then=advice(keys, f"http://127.0.0.1:{options.port}{path}"),
        )


def make_secrets(postgres: PostgresServer, service: EmbeddedService, hold: float) -> None:
    """The secrets of the shop, and what rotates them when somebody asks for it."""
    values = {
        DATABASE: login_of_new_database(postgres, "shop"),
        WEB: {"session_key": secrets.token_urlsafe(50)},
        PAYMENT: {"api_key": secrets.token_urlsafe(50)},
    }
    functions = {
        DATABASE: SlowPostgresSingleUser(hold),
        WEB: RandomKey("session_key"),
        PAYMENT: RandomKey("api_key"),
    }
    create_secrets(service, values)
    for name, function in functions.items():
        rotate_with(service, name, function, RotateImmediately=False)
    service.run_due()


def server_command(kind: str, port: int, workers: int) -> list[str]:
    """How the shop is served: prefork with threads, or one event loop for each worker."""
    if kind == "gunicorn":
        words = f"-m gunicorn shop.wsgi --bind 127.0.0.1:{port} --workers {workers}"
        return [*words.split(), "--threads", "4", "--preload"]
    words = f"-m uvicorn shop.asgi:application --host 127.0.0.1 --port {port}"
    return [*words.split(), "--workers", str(workers), "--lifespan", "off"]


def write(path: Path, environ: Mapping[str, str]) -> None:
    """The keys of the service, for the other terminal; readable for you only."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.writelines(f"{name}='{value}'\n" for name, value in environ.items())


def advice(keys: Path, url: str) -> str:
    """What to type now."""
    return (
        f"\nIn another terminal:\n\n  set -a; . {keys.absolute()}; set +a\n"
        f"  watch -n 0.5 curl -s -c jar -b jar {url}\n"
        f"  smclient rotate {DATABASE}    # or {WEB}, or {PAYMENT}\n"
        f"  (cd {HOME} && python manage.py smclient status)\n"
    )


if __name__ == "__main__":
    main()
