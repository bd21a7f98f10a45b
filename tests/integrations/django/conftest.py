"""Django, set up once for the process: an app of ours, secrets in memory, a clock moved by hand."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import django
import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path

from smclient import SecretsClient
from smclient.testing import FakeBackend, FakeClock, Inline

URLS = "smclient_django_test_urls"
CANARY = "canary-" + "k7Q2x9Zp" * 7
KEY = "secret://prod/web#django_key"


def _urls() -> ModuleType:
    """A root URL configuration that tests may add to."""
    from django.contrib import admin

    module = ModuleType(URLS)
    module.urlpatterns = [path("admin/", admin.site.urls)]  # type: ignore[attr-defined]
    return module


if not settings.configured:
    from smclient_django import secret, secret_fallbacks

    settings.configure(
        DEBUG=False,
        ALLOWED_HOSTS=["testserver"],
        ROOT_URLCONF=URLS,
        SECRET_KEY=secret(KEY),
        SECRET_KEY_FALLBACKS=secret_fallbacks(KEY),
        MAIL_PASSWORD=secret("secret://prod/mail#password"),
        SMCLIENT={"default": {"BACKEND": "null://", "TTL": 60}},
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=[
            "smclient_django",
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.messages",
            "django.contrib.sessions",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
    )
    django.setup()
    sys.modules[URLS] = _urls()


@pytest.fixture
def clock() -> FakeClock:
    """Time that stands still."""
    return FakeClock()


@pytest.fixture
def backend() -> FakeBackend:
    """Secrets that may be changed."""
    return FakeBackend(
        {
            "prod/web": {"django_key": CANARY, "port": 8080},
            "prod/mail": {"username": "mail", "password": "mail-canary-1"},
            "prod/text": "text-canary-22",
            "prod/db": {"username": "app", "password": "db-canary-333", "host": "db", "port": 5},
        }
    )


@pytest.fixture
def client(backend: FakeBackend, clock: FakeClock) -> Iterator[SecretsClient]:
    """The client of the alias ``default``: on the fake clock, work done inline."""
    from smclient_django import clients

    made = SecretsClient(backend, ttl=60.0, jitter=0.0, clock=clock, worker=Inline())
    with clients.replaced("default", made):
        yield made


@pytest.fixture
def views() -> Iterator[Any]:
    """Adds a view for one test: ``views(function)`` makes it answer at ``/tested/``."""
    from django.urls import clear_url_caches

    patterns: list[Any] = sys.modules[URLS].urlpatterns
    before = list(patterns)

    def add(view: Any, at: str = "tested/") -> None:
        patterns.append(path(at, view))
        clear_url_caches()

    yield add
    patterns[:] = before
    clear_url_caches()


Answer = HttpResponse
Request = HttpRequest
