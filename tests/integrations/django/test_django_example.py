"""``examples/django`` as its readers run it: gunicorn and uvicorn with several workers, a real
PostgreSQL, browsers with cookies, rotations meanwhile."""

from __future__ import annotations

import hashlib
import shlex
import threading
import time
from pathlib import Path
from typing import Any

import django
import pytest

from smclient import SecretsClient
from tests.examples.browsing import Browsers, Example

pooling = pytest.mark.skipif(django.VERSION < (5, 1), reason="Django's option pool came with 5.1")
TTL = 2.0
DATABASE, WEB, PAYMENT = "shop/database", "shop/web", "shop/payment"
FIELDS = {DATABASE: "password", WEB: "session_key", PAYMENT: "api_key"}
SHOWN = {WEB: "session_key", PAYMENT: "payment_key"}
"""Where the page has the fingerprint of a secret."""
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
    postgres: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    path: str,
    settings: str,
) -> None:
    """While database, session key and another key are rotated twice each: every request is
    answered, every browser's session counts on, and nobody is served a value that is older than
    the ttl. Not one of the secrets is in the server's log. (``postgres`` only says that there can
    be one.)"""
    options = ["--server", kind, "--ttl", str(TTL), "--hold", "1.2"]
    if settings:
        (tmp_path / "other_settings.py").write_text(settings)
        options += ["--settings", "other_settings"]
    environ = {"HOME": str(tmp_path), "PYTHONPATH": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    moves: dict[str, list[tuple[float, str]]] = {WEB: [], PAYMENT: []}
    with (
        Example("django", tmp_path, workers=3, options=options, **environ) as example,
        administrator(example, monkeypatch) as admin,
        Browsers(example.port, 4, path=path, pause=0.0) as browsers,
    ):
        values = [secret_texts(admin)]
        for _ in range(2):
            for name in FIELDS:
                done = rotate(admin, name)
                values.append(secret_texts(admin))
                if name in moves:
                    moves[name].append((done, fingerprint(values[-1][name])))
            # A key signs for a ttl after it was rotated, and is accepted until the rotation
            # after that: everybody has to get a cookie in between.
            browsers.wait_for(1, after=time.monotonic() + TTL)
        visits = browsers.visits()
        log = example.log.read_text()
    assert [visit.text for visit in visits if visit.status != 200] == []
    assert len({visit.page["worker"] for visit in visits}) > 1
    for browser in range(4):
        counted = [visit.page["yours"] for visit in visits if visit.browser == browser]
        assert counted == list(range(1, len(counted) + 1))
    for name, moved in moves.items():
        too_old = [
            visit
            for visit in visits
            for number, (done, _) in enumerate(moved)
            if visit.began > done + TTL
            and visit.page[SHOWN[name]] not in {print_ for _, print_ in moved[number:]}
        ]
        assert too_old == [], name
        assert moved[-1][1] in {visit.page[SHOWN[name]] for visit in visits}
    assert [text for some in values for text in some.values() if text in log] == []


def administrator(example: Example, monkeypatch: pytest.MonkeyPatch) -> SecretsClient:
    """A client beside the shop, with nothing cached and the keys that a reader is told of."""
    told = shlex.split((example.folder / "environment").read_text())
    environ = dict(line.split("=", 1) for line in told)
    for name, value in environ.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    return SecretsClient(environ["SMCLIENT_BACKEND"], ttl=0.0, max_stale=0.0)


def rotate(admin: SecretsClient, name: str) -> float:
    """One whole rotation; returns when AWSCURRENT had moved for certain."""
    token = admin.call("RotateSecret", SecretId=name)["VersionId"]
    deadline = time.monotonic() + 60
    while admin.get(name).version_id != token:
        assert time.monotonic() < deadline, f"the rotation of {name} did not end"
        threading.Event().wait(0.05)
    return time.monotonic()


def secret_texts(admin: SecretsClient) -> dict[str, str]:
    """What must be nowhere: the secret parts of all values there are now."""
    return {name: str(admin.get(name)[field]) for name, field in FIELDS.items()}


def fingerprint(key: str) -> str:
    """What the shop shows of a key."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]
