"""From request to request: freshness, signals, overrides in tests, forks, builds."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core import signing
from django.core.signals import request_started
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, SimpleTestCase, override_settings

from smclient import BackendUnavailableError, ResourceNotFoundError, SecretsClient
from smclient.testing import FakeBackend, FakeClock, Inline
from smclient_django import clients, configure, override_secrets, secret, secret_now
from smclient_django.clients import Clients
from smclient_django.fresh import RETRY, Freshness
from smclient_django.signals import fallback_used, secret_changed, secret_refresh_failed, send_for

CANARY = "canary-" + "k7Q2x9Zp" * 7
KEY = "secret://prod/web#django_key"
EXAMPLE = Path(__file__).parents[3] / "examples" / "django"


def shows_key(request: HttpRequest) -> HttpResponse:
    """What the view sees of the key."""
    return HttpResponse(str(settings.SECRET_KEY))


async def shows_key_async(request: HttpRequest) -> HttpResponse:
    """The same on the event loop, without an await."""
    return HttpResponse(str(settings.SECRET_KEY))


@pytest.fixture
def fresh() -> Any:
    """The receiver of ``request_started``, with nothing held back from tests before."""
    from smclient_django.fresh import before_request

    before_request._states.clear()
    yield before_request
    before_request._states.clear()


# --- freshness ------------------------------------------------------------------------------------


def test_no_request_sees_a_value_older_than_the_ttl(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, views: Any, fresh: Any
) -> None:
    """Also the first one after a long sleep, which a cache alone would serve an old value."""
    views(shows_key)
    browser = Client()
    assert browser.get("/tested/").content.decode() == CANARY
    backend.put("prod/web", {"django_key": "rotated"})
    clock.advance(59)
    assert browser.get("/tested/").content.decode() == CANARY
    clock.advance(2)
    assert browser.get("/tested/").content.decode() == "rotated"


def test_an_async_view_never_reads_on_the_loop(
    client: SecretsClient, backend: FakeBackend, views: Any, fresh: Any
) -> None:
    """What its request needs is read before, on another thread."""
    import threading

    views(shows_key_async)
    asked_on: list[int] = []
    backend.before = lambda call: asked_on.append(threading.get_ident())

    async def ask() -> tuple[int, str]:
        answer = await AsyncClient().get("/tested/")
        return threading.get_ident(), answer.content.decode()

    loop, shown = asyncio.run(ask())
    assert shown == CANARY
    assert asked_on
    assert loop not in asked_on


def test_everything_is_read_in_one_batch_and_counts_as_no_read(
    client: SecretsClient, backend: FakeBackend, fresh: Any
) -> None:
    """Nobody asked for it yet, so nothing is saved yet."""
    request_started.send(sender=None)
    assert backend.count("BatchGetSecretValue") == 1
    before = len(backend.calls)
    for _ in range(50):
        request_started.send(sender=None)
    assert len(backend.calls) == before
    assert client.usage().reads == 0


def test_an_outage_does_not_hold_up_requests(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock, fresh: Any
) -> None:
    """One request in ten seconds waits for what cannot be read; none fails for it."""
    now = [0.0]
    receiver = Freshness(now=lambda: now[0])
    backend.fail_with(BackendUnavailableError("no answer"), times=None)
    for _ in range(20):
        receiver()
    asked = len(backend.calls)
    assert asked <= 2
    now[0] = RETRY + 1
    receiver()
    assert len(backend.calls) > asked


def test_an_absent_secret_does_not_hold_up_requests(
    client: SecretsClient, backend: FakeBackend, fresh: Any
) -> None:
    """It is asked for again after ten seconds, and the others are read meanwhile."""
    backend.remove("prod/mail")
    receiver = Freshness(now=lambda: 0.0)
    for _ in range(20):
        receiver()
    assert len(backend.calls) <= 2
    assert client.get("prod/web")["django_key"] == CANARY


def test_an_optional_secret_that_is_absent_costs_a_call_a_ttl(
    backend: FakeBackend, clock: FakeClock, fresh: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """And no line in the log."""
    absent = secret("secret://prod/absent-optional?optional=1", alias="other")
    client = SecretsClient(backend, ttl=60.0, jitter=0.0, clock=clock, worker=Inline())
    with clients.replaced("other", client):
        for _ in range(60):
            fresh()
            clock.advance(1)
        assert len(backend.calls) == 1
        assert str(absent) == ""
    assert "prod/absent-optional" not in caplog.text


def test_wrong_settings_do_not_break_requests(fresh: Any) -> None:
    """Whoever uses the value is told; a page that uses none works."""
    with override_settings(SMCLIENT={"default": {"BACKEND": "nothing://"}}):
        fresh()


# --- signals --------------------------------------------------------------------------------------


def test_a_rotation_is_a_signal(client: SecretsClient, backend: FakeBackend) -> None:
    """With alias, secret and versions, and no value."""
    heard: list[dict[str, Any]] = []

    def receiver(**told: Any) -> None:
        heard.append(told)

    send_for("default", client)
    secret_changed.connect(receiver)
    try:
        old = client.get("prod/web").version_id
        new = backend.put("prod/web", {"django_key": "next"})
        client.refresh("prod/web")
    finally:
        secret_changed.disconnect(receiver)
    (told,) = heard
    assert (told["alias"], told["secret_id"]) == ("default", "prod/web")
    assert (told["old_version_id"], told["new_version_id"]) == (old, new)
    assert "canary" not in repr(told)


def test_a_failed_refresh_and_a_fallback_are_signals(
    client: SecretsClient, backend: FakeBackend, clock: FakeClock
) -> None:
    """A receiver that raises disturbs nobody."""
    heard: list[str] = []

    def receiver(signal: Any, **told: Any) -> None:
        heard.append(f"{told['secret_id']} {told['stage']} {told['error']}")
        raise RuntimeError("a receiver's own trouble")

    send_for("default", client)
    for signal in (secret_refresh_failed, fallback_used):
        signal.connect(receiver)
    try:
        client.get("prod/web")
        backend.fail_with(BackendUnavailableError("no answer"), times=None)
        clock.advance(100)
        client.get("prod/web")
        backend.recover()
        backend.put("prod/db", {"username": "app", "password": "next"}, stages=["AWSPENDING"])

        class Refused(Exception):
            errno = 1045

        Refused.__module__ = "pymysql.err"

        def attempt(value: Any) -> str:
            if value["password"] != "next":
                raise Refused("denied")
            return "in"

        assert client.login("prod/db", attempt) == "in"
    finally:
        for signal in (secret_refresh_failed, fallback_used):
            signal.disconnect(receiver)
    assert len(heard) == 2
    assert heard[0].startswith("prod/web AWSCURRENT no answer")
    assert heard[1].startswith("prod/db AWSPENDING")


def test_every_client_of_the_settings_sends_them_once() -> None:
    """However often Django is set up, as tests do."""
    from smclient_django.signals import connect

    connect()
    connect()
    heard: list[Any] = []

    def receiver(**told: Any) -> None:
        heard.append(told["secret_id"])

    backend = FakeBackend({"prod/x": "a"})
    secret_changed.connect(receiver)
    try:
        with override_settings(SMCLIENT={"default": {"BACKEND": backend}}):
            client = clients["default"]
            client._worker = client._reader._worker = Inline()
            client.get("prod/x")
            backend.put("prod/x", "b")
            client.refresh("prod/x")
    finally:
        secret_changed.disconnect(receiver)
    assert heard == ["prod/x"]


# --- tests of users -------------------------------------------------------------------------------


def test_secrets_are_overridden_for_a_while(client: SecretsClient) -> None:
    """Names that are given; what was before holds again afterwards, cached values included."""
    assert str(secret(KEY)) == CANARY
    with override_secrets({"prod/web": {"django_key": "another"}}) as backend:
        assert str(secret(KEY)) == "another"
        assert str(settings.SECRET_KEY) == "another"
        backend.put("prod/web", {"django_key": "rotated"})
        clients["default"].refresh("prod/web")
        assert str(secret(KEY)) == "rotated"
    assert str(secret(KEY)) == CANARY


def test_other_secrets_come_from_the_backend_of_the_settings() -> None:
    """As ``override_settings`` leaves other settings."""
    backend = FakeBackend({"prod/other": "real", "prod/web": {"django_key": "real"}})
    with (
        override_settings(SMCLIENT={"default": {"BACKEND": backend}}),
        override_secrets({"prod/web": {"django_key": "mine"}}),
    ):
        assert secret_now("secret://prod/other") == "real"
        assert secret_now(KEY) == "mine"
        many = clients["default"].get_many(["prod/other", "prod/web", "prod/none"])
        assert many.values["prod/web"]["django_key"] == "mine"
        assert isinstance(many.errors["prod/none"], ResourceNotFoundError)
    assert backend.closed or backend.calls


@override_secrets({"prod/web": {"django_key": "decorated"}})
def test_a_function_is_decorated() -> None:
    """The usual form."""
    assert str(secret(KEY)) == "decorated"


def test_a_test_case_is_decorated() -> None:
    """Around each of its tests."""

    @override_secrets({"prod/web": {"django_key": "of the class"}})
    class Case(SimpleTestCase):
        def test_it(self) -> None:
            assert str(secret(KEY)) == "of the class"

    result = Case("test_it").run()
    assert result is not None
    assert result.wasSuccessful(), result.errors


# --- processes and settings -----------------------------------------------------------------------


def test_a_forked_worker_reads_what_its_parent_held(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """gunicorn --preload: a client that was used before the fork goes on in the child."""
    signed = signing.dumps("x")
    assert str(settings.SECRET_KEY) == CANARY
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:  # pragma: no cover - the child
        try:
            backend.put("prod/web", {"django_key": "in the child"})
            client.refresh("prod/web")
            seen = f"{settings.SECRET_KEY} {signing.loads(signed)}"
            os.write(writing, seen.encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    os.close(writing)
    assert os.read(reading, 100).decode() == "in the child x"
    os.close(reading)
    assert str(settings.SECRET_KEY) == CANARY


def python(code: str, tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own that can import ``tested_settings``."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("SMCLIENT_", "AWS_"))}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**ours, "DJANGO_SETTINGS_MODULE": "tested_settings", **environment},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )


SETUP = "import django; django.setup(); from django.conf import settings; "


def test_a_secret_is_read_while_settings_are_loaded(tmp_path: Path) -> None:
    """``secret_now`` takes the environment, or what ``configure`` said; else it says so."""
    (tmp_path / "tested_settings.py").write_text(
        "from smclient_django import secret_now\n"
        "SECRET_KEY = secret_now('secret://any#password')\n"
        "INSTALLED_APPS = ['smclient_django']\n"
    )
    show = SETUP + "print(settings.SECRET_KEY)"
    done = python(show, tmp_path, SMCLIENT_BACKEND="null://")
    assert done.stdout == "smclient-null-placeholder\n", done.stderr
    told = python(show, tmp_path)
    assert told.returncode == 1
    assert "ImproperlyConfigured" in told.stderr or "SecretConfigError" in told.stderr
    assert "SMCLIENT = configure({...})" in told.stderr


def test_configure_serves_settings_that_are_being_loaded(tmp_path: Path) -> None:
    """One line that is the setting too; one client for both."""
    (tmp_path / "tested_settings.py").write_text(
        "from smclient_django import configure, secret_now\n"
        "SMCLIENT = configure({'default': {'BACKEND': 'null://', 'TTL': 5}})\n"
        "SECRET_KEY = secret_now('secret://any#password')\n"
        "INSTALLED_APPS = ['smclient_django']\n"
    )
    code = SETUP + (
        "from smclient_django import clients; early = clients.made();"
        "print(clients['default'] is early[0], clients['default'].config.ttl)"
    )
    done = python(code, tmp_path)
    assert done.stdout == "True 5.0\n" or done.stdout == "True 5\n", done.stderr


def test_without_the_setting_the_environment_says_where_from(tmp_path: Path) -> None:
    """``SMCLIENT_…`` variables, all of them."""
    (tmp_path / "tested_settings.py").write_text(
        "SECRET_KEY = 'x'\nINSTALLED_APPS = ['smclient_django']\n"
    )
    code = SETUP + "from smclient_django import clients; print(clients['default'].config)"
    done = python(code, tmp_path, SMCLIENT_BACKEND="null://", SMCLIENT_TTL="7")
    assert "ttl=7.0" in done.stdout, done.stderr


def test_a_build_needs_no_network(tmp_path: Path) -> None:
    """``SMCLIENT_BACKEND=null://`` wins over a backend that settings name: collectstatic works."""
    (tmp_path / "tested_settings.py").write_text(
        "from smclient_django import secret, secret_fallbacks, secret_now\n"
        "SMCLIENT = {'default': {'BACKEND': 'aws://eu-west-1'}}\n"
        "SECRET_KEY = secret('secret://prod/web#key')\n"
        "SECRET_KEY_FALLBACKS = secret_fallbacks('secret://prod/web#key')\n"
        "BROKER = secret_now('secret://prod/broker#url')\n"
        "DATABASES = {'default': {'ENGINE': 'smclient_django.db.postgresql', 'SECRET': 'x'}}\n"
        "INSTALLED_APPS = ['smclient_django', 'django.contrib.staticfiles']\n"
        "STATIC_URL, STATIC_ROOT = 'static/', 'collected'\n"
        "STATICFILES_DIRS = ['assets']\n"
        "STORAGES = {'staticfiles': {'BACKEND':"
        " 'django.contrib.staticfiles.storage.ManifestStaticFilesStorage'}}\n"
    )
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "site.css").write_text("a {}")
    code = (
        "import socket\n"
        "def refuse(*_): raise AssertionError('a build asked the network')\n"
        "socket.socket.connect = refuse\n"
        "from django.core.management import execute_from_command_line as run\n"
        "run(['manage.py', 'collectstatic', '--noinput'])"
    )
    done = python(code, tmp_path, SMCLIENT_BACKEND="null://")
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "collected").glob("site.*.css"))


def test_importing_loads_no_framework_and_no_boto3(tmp_path: Path) -> None:
    """A settings module may begin with it: no models, no drivers, no settings."""
    (tmp_path / "tested_settings.py").write_text("raise AssertionError('settings were loaded')")
    code = (
        "import sys, smclient_django; from smclient_django import secret, secret_fallbacks\n"
        "secret('secret://a#b'), secret_fallbacks('secret://a#b')\n"
        "print([m for m in ('boto3', 'psycopg', 'django.db.models', 'django.test')"
        " if m in sys.modules])"
    )
    done = python(code, tmp_path)
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.parametrize("command", [["check"], ["smclient", "check"]])
def test_check_tells_everything_that_a_start_refuses(tmp_path: Path, command: list[str]) -> None:
    """By the ids of the checks, where a server says the first and ends."""
    (tmp_path / "tested_settings.py").write_text(
        "from smclient_django import secret\n"
        "SMCLIENT = {'default': {'BACKEND': 'null://', 'TLL': 5}}\n"
        "API = [secret('secret://'), secret('secret://a#')]\n"
        "DATABASES = {'default': {'ENGINE': 'smclient_django.db.postgresql', 'SECRET': 5}}\n"
        "SECRET_KEY = 'x'\nINSTALLED_APPS = ['smclient_django']\n"
    )
    started = python("import django; django.setup()", tmp_path)
    assert started.returncode == 1
    assert "settings.API[0]" in started.stderr
    checked = python(
        f"import sys; sys.argv = {['manage.py', *command]!r}\n"
        "from django.core.management import execute_from_command_line as run\n"
        "run(sys.argv)",
        tmp_path,
    )
    assert checked.returncode == 1
    for said in ("settings.API[0]", "settings.API[1]", "E001", "E002", "TLL", "E006"):
        assert said in checked.stderr
    assert "Traceback" not in checked.stderr


EARLY = """
from smclient.testing import FakeBackend
from smclient_django import clients, configure, secret_now
BACKENDS = [FakeBackend({"a": name}) for name in ("before", "early", "later")]
configure({"default": {"BACKEND": BACKENDS[0]}})
assert secret_now("secret://a") == "before"
SMCLIENT = configure({"default": {"BACKEND": BACKENDS[1]}, "b": {"BACKEND": BACKENDS[2]}})
assert (secret_now("secret://a"), secret_now("secret://a", alias="b")) == ("early", "later")
INSTALLED_APPS = ["smclient_django"]
"""


def test_a_client_of_the_loading_settings_ends_as_any_other(tmp_path: Path) -> None:
    """It serves the loaded settings too; once it is closed it is given to nobody."""
    (tmp_path / "tested_settings.py").write_text(EARLY)
    code = (
        "import django; django.setup()\n"
        "from django.conf import settings\n"
        "from smclient_django import clients, secret_now\n"
        "def closed(): return [backend.closed for backend in settings.BACKENDS]\n"
        "assert closed() == [True, False, False]\n"  # what was said before counts no more
        "early = clients.made(); first = clients['default']\n"
        "assert first in early and len(clients.made()) == 2\n"
        "clients.close()\n"
        "assert closed() == [True, True, True] and clients.made() == []\n"
        "assert clients['default'] is not first\n"
        "assert secret_now('secret://a') == 'early'\n"
    )
    done = python(code, tmp_path)
    assert done.returncode == 0, done.stderr


def test_an_alias_that_does_not_change_keeps_its_client() -> None:
    """One per process; another setting makes another."""
    own = Clients()
    own.configure({"default": {"BACKEND": "null://"}})
    with override_settings(SMCLIENT={"default": {"BACKEND": "null://"}, "b": {}}):
        assert own["default"] is own["default"]
        assert own.aliases() == ["default", "b"]
        first = own["default"]
    own.close()
    assert own["default"] is not first
    own.close()


def test_a_backend_object_is_taken() -> None:
    """Anything that is a ``Backend``, as tests and special set-ups have it."""
    backend = FakeBackend({"a": "seen"})
    with override_settings(SMCLIENT={"default": {"BACKEND": backend, "TTL": 5}}):
        assert secret_now("secret://a") == "seen"
        assert clients["default"].config.ttl == 5
    assert configure({}) == {}
    clients._configured = None


def test_a_replaced_client_is_closed_in_the_end() -> None:
    """And the one before is back."""
    backend = FakeBackend()
    with clients.replaced("default", SecretsClient(backend, worker=Inline())) as made:
        assert clients["default"] is made
    assert backend.closed


def test_the_example_of_the_documentation_runs(tmp_path: Path) -> None:
    """Its settings are for a whole process, so it gets one."""
    import re

    page = (Path(__file__).parents[3] / "docs" / "django.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(import django\n.*?)```", page, re.DOTALL)
    (tmp_path / "tested_settings.py").write_text("raise AssertionError('not used')")
    done = python(code, tmp_path)
    assert done.returncode == 0, done.stderr
