"""While settings are loaded, and after: processes of their own, builds, checks, aliases."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.test import override_settings

from smclient import SecretsClient
from smclient.testing import FakeBackend, Inline
from smclient_django import clients, configure, secret_now
from smclient_django.clients import Clients

EXAMPLE = Path(__file__).parents[3] / "examples" / "django"


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
