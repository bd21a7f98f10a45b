"""``examples/django`` as its readers run it: gunicorn and uvicorn with several workers, a real
PostgreSQL, browsers with cookies, rotations meanwhile."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import pytest

from smclient import SecretsClient

HERE = Path(__file__).parent
pooling = pytest.mark.skipif(django.VERSION < (5, 1), reason="Django's option pool came with 5.1")
TTL = 2.0


def _load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"smclient_tests_{name}", HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


shop = _load("shop")
run = shop.example()


@pytest.fixture(scope="module")
def scene(postgres: Any) -> Iterator[Any]:
    """The example's own PostgreSQL and service; ``postgres`` only says that there can be one."""
    with run.scene(hold=1.2) as made:
        migrated = made.command("migrate", "-v0")
        assert migrated.returncode == 0, migrated.stderr
        yield made


@pytest.fixture
def admin(scene: Any) -> Iterator[SecretsClient]:
    """A client beside the shop, with nothing cached."""
    with SecretsClient(scene.service.backend(), ttl=0.0, max_stale=0.0) as client:
        yield client


def rotate(scene: Any, admin: SecretsClient, name: str) -> float:
    """One whole rotation; returns when AWSCURRENT had moved for certain."""
    token = admin.call("RotateSecret", SecretId=name)["VersionId"]
    deadline = time.monotonic() + 60
    while admin.get(name).version_id != token:
        assert time.monotonic() < deadline, f"the rotation of {name} did not end"
        scene.service.run_due()
    return time.monotonic()


POOLED = """from shop.settings import *
DATABASES["default"]["OPTIONS"] = {"pool": {"min_size": 1, "max_lifetime": 0.5, "timeout": 20}}
"""


@pytest.mark.parametrize(
    ("kind", "path", "settings"),
    [
        ("gunicorn", "/", ""),
        pytest.param("gunicorn", "/", POOLED, marks=pooling, id="gunicorn-pool"),
        ("uvicorn", "/async/", ""),
    ],
)
def test_rotations_lose_no_request_no_session_and_no_time(
    scene: Any, admin: SecretsClient, tmp_path: Path, kind: str, path: str, settings: str
) -> None:
    """While database, session key and another key are rotated twice each: every request is
    answered, every browser's session counts on, and nobody is served a value that is older than
    the ttl. Not one of the secrets is in the server's log."""
    port = shop.free_port()
    command = run.server_command(kind, port, 3)
    environment = {**scene.environment, "SHOP_TTL": str(TTL)}
    if settings:
        (tmp_path / "other_settings.py").write_text(settings)
        environment["DJANGO_SETTINGS_MODULE"] = "other_settings"
        environment["PYTHONPATH"] = f"{tmp_path}:{environment['PYTHONPATH']}"
    values = [secret_text(admin)]
    moves: dict[str, list[tuple[float, str]]] = {run.WEB: [], run.PAYMENT: []}
    fields = {run.WEB: "session_key", run.PAYMENT: "payment_key"}
    with shop.serving(command, port, environment, tmp_path / "log") as served:
        browsers = [shop.Browser(served, path) for _ in range(4)]
        with shop.looking(browsers):
            for _ in range(2):
                for name in (run.DATABASE, run.WEB, run.PAYMENT):
                    done = rotate(scene, admin, name)
                    values.append(secret_text(admin))
                    if name in moves:
                        moves[name].append((done, fingerprint(admin, name)))
                # A key signs for a ttl after it was rotated, and is accepted until the rotation
                # after that: everybody has to get a cookie in between.
                wait_for_looks(browsers, until=time.monotonic() + TTL)
        log = served.log.read_text()
    answers = [seen for browser in browsers for seen in browser.seen]
    assert [seen.said for seen in answers if seen.status != 200] == []
    assert len({seen.said["worker"] for seen in answers}) > 1
    for browser in browsers:
        counted = [seen.said["yours"] for seen in browser.seen]
        assert counted == list(range(1, len(counted) + 1))
    for name, moved in moves.items():
        too_old = [
            seen
            for seen in answers
            for number, (done, _) in enumerate(moved)
            if seen.asked_at > done + TTL
            and seen.said[fields[name]] not in {print_ for _, print_ in moved[number:]}
        ]
        assert too_old == [], name
        assert moved[-1][1] in {seen.said[fields[name]] for seen in answers}
    assert [text for some in values for text in some if text in log] == []


def wait_for_looks(browsers: list[Any], *, until: float) -> None:
    """Until each browser has asked after that moment."""
    deadline = time.monotonic() + 60
    while any(not b.seen or b.seen[-1].asked_at < until for b in browsers):
        assert time.monotonic() < deadline
        shop.threading.Event().wait(0.05)


def secret_text(admin: SecretsClient) -> list[str]:
    """What must be nowhere: the secret parts of all values there are now."""
    database = str(admin.get(run.DATABASE)["password"])
    return [database, *(str(admin.get(name)[field]) for name, field in run.FIELDS.items())]


def fingerprint(admin: SecretsClient, name: str) -> str:
    """What the shop shows of a key."""
    import hashlib

    return hashlib.sha256(str(admin.get(name)[run.FIELDS[name]]).encode()).hexdigest()[:12]
