"""What Django shows: debug pages, error mails, the admin's page. A canary is hunted in all."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import django
import pytest
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory, override_settings
from django.utils.log import AdminEmailHandler
from django.views.debug import technical_500_response

from smclient import SecretsClient, SecretValue
from smclient.masking import Masker
from smclient.testing import FakeBackend
from smclient_django import secret, secret_now
from smclient_django.debug import OURS

CANARY = "canary-" + "k7Q2x9Zp" * 7
ODD = 'o\'dd & <canary> "q" \\ ü'


def crash(request: HttpRequest) -> HttpResponse:
    """A view that has plain secrets in its variables and fails, deep in Django's signing too."""
    key = str(secret("secret://prod/web#django_key"))
    odd = str(secret("secret://prod/odd"))
    held = {"in": [key, odd], "bytes": key.encode()}
    request.get_signed_cookie("absent", default=None)
    if request.GET.get("signing"):
        request.COOKIES["c"] = "x:y:z"
        request.get_signed_cookie("c")
    try:
        raise KeyError(odd)
    except KeyError as error:
        raise ValueError(f"{len(held)} failed with {key} and {odd}") from error


@pytest.fixture
def browser(client: SecretsClient, backend: FakeBackend, views: Any) -> Client:
    """A browser for the view that fails."""
    backend.put("prod/odd", ODD)
    views(crash)
    return Client(raise_request_exception=False)


@pytest.mark.parametrize("query", ["", "?signing=1"])
@pytest.mark.parametrize("accept", ["text/html", "text/plain"])
def test_a_debug_page_shows_no_secret(browser: Client, query: str, accept: str) -> None:
    """Neither settings, nor variables, nor the message; as HTML and as text; and it still is the
    debug page, with variables in it."""
    with override_settings(DEBUG=True):
        answer = browser.get(f"/tested/{query}", headers={"accept": accept})
    page = answer.content.decode()
    assert answer.status_code == 500
    assert "canary" not in page
    assert "k7Q2x9Zp" not in page
    assert "crash" in page
    assert "***" in page
    if accept == "text/html" and not query:
        assert "SECRET_KEY_FALLBACKS" in page
        assert "held" in page


def test_a_page_prepares_its_search_once(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for each text on it: with a hundred secrets that took half a minute."""
    prepared: list[SecretValue] = []
    forms = Masker._forms

    def noted(self: Masker, value: SecretValue) -> Iterator[str]:
        prepared.append(value)
        return forms(self, value)

    monkeypatch.setattr(Masker, "_forms", noted)
    with override_settings(DEBUG=True):
        for _ in range(2):
            page = browser.get("/tested/").content.decode()
    assert "canary" not in page
    assert 0 < len(prepared) == len({(value.arn, value.version_id) for value in prepared})


def test_the_page_would_show_it_without_ours(browser: Client) -> None:
    """So that the test above can fail."""
    theirs = "django.views.debug.ExceptionReporter"
    with override_settings(DEBUG=True, DEFAULT_EXCEPTION_REPORTER=theirs):
        page = browser.get("/tested/").content.decode()
    assert CANARY in page


def test_a_mail_to_the_admins_shows_no_secret(browser: Client, mailoutbox_of: Any) -> None:
    """With the HTML page in it."""
    with override_settings(ADMINS=[("a", "a@example.com")] if _old() else ["a@example.com"]):
        logger = logging.getLogger("django.request")
        handler = AdminEmailHandler(include_html=True)
        logger.addHandler(handler)
        try:
            browser.get("/tested/")
        finally:
            logger.removeHandler(handler)
    assert len(mailoutbox_of()) == 2  # Django's own handler sends one too
    for mail in mailoutbox_of():
        whole = mail.subject + mail.body + "".join(str(part) for part, *_ in mail.alternatives)
        assert "crash" in whole
        assert "canary" not in whole


def _old() -> bool:
    return django.VERSION < (6, 0)


@pytest.fixture
def mailoutbox_of() -> Any:
    """Mails go into a list."""
    from django.core import mail

    locmem = "django.core.mail.backends.locmem.EmailBackend"
    new = {"MAILERS": {"default": {"BACKEND": locmem}}}
    with override_settings(**(new if django.VERSION >= (6, 1) else {"EMAIL_BACKEND": locmem})):
        mail.outbox = []  # type: ignore[attr-defined]
        yield lambda: mail.outbox  # type: ignore[attr-defined]


def test_an_own_reporter_of_the_project_is_left_alone() -> None:
    """Only Django's default gives way."""
    from django.conf import settings

    from smclient_django import debug

    with override_settings(DEFAULT_EXCEPTION_REPORTER="mine.Reporter"):
        debug.install()
        assert settings.DEFAULT_EXCEPTION_REPORTER == "mine.Reporter"
    assert settings.DEFAULT_EXCEPTION_REPORTER == OURS


def test_the_frames_of_an_error_of_ours_show_no_value(
    client: SecretsClient, backend: FakeBackend
) -> None:
    """A key that is absent from the JSON: the error comes from code that has the whole JSON."""
    import sys

    try:
        secret_now("secret://prod/web#absent")
    except Exception:
        with override_settings(DEBUG=True):
            request = RequestFactory().get("/")
            page = technical_500_response(request, *sys.exc_info()).content.decode()  # type: ignore[arg-type]
    assert "absent" in page
    assert CANARY[7:] not in page


def test_nothing_is_logged_of_a_request_that_fails(
    browser: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """Of ours: signing, reading and rotating write no value at any level."""
    with caplog.at_level(logging.DEBUG):
        signing.loads(signing.dumps("x"))
        browser.get("/")
    assert "canary" not in caplog.text


# --- the admin ------------------------------------------------------------------------------------


@pytest.fixture
def database() -> Any:
    """Tables in memory, for users and sessions."""
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    yield
    call_command("flush", verbosity=0, interactive=False)
    connection.close()


def staff(*, may_view: bool) -> Client:
    """Somebody who is logged in to the admin."""
    from django.contrib.auth.models import Permission, User

    user = User.objects.create_user(f"somebody_{may_view}", password="x", is_staff=True)
    if may_view:
        user.user_permissions.add(Permission.objects.get(codename="view_secretstatus"))
    browser = Client()
    browser.force_login(user)
    return browser


PAGE = "/admin/smclient_django/secretstatus/"


def test_the_admins_page_shows_versions_and_no_values(
    database: Any, client: SecretsClient, backend: FakeBackend
) -> None:
    """Settings, references, versions, and what cannot be read."""
    backend.remove("prod/mail")
    page = staff(may_view=True).get(PAGE)
    text = page.content.decode()
    assert page.status_code == 200
    assert "MAIL_PASSWORD" in text
    assert client.get("prod/web").version_id in text
    assert "create it" in text
    assert "canary" not in text


def test_the_admins_page_changes_nothing_and_is_not_for_everybody(
    database: Any, client: SecretsClient
) -> None:
    """Without the permission it is refused; there is nothing to add, change or delete."""
    assert staff(may_view=False).get(PAGE).status_code == 403
    allowed = staff(may_view=True)
    assert allowed.get(f"{PAGE}add/").status_code == 403
    assert "smclient_django" in allowed.get("/admin/").content.decode()


def test_no_migration_is_wanted_for_the_page(database: Any) -> None:
    """``makemigrations --check`` is content: the model has no table."""
    from django.core.management import call_command
    from django.db import connection

    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
    tables = connection.introspection.table_names()
    assert [name for name in tables if "secret" in name] == []
