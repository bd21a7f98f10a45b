"""Before a request: what cannot be had holds it up for a moment at most, and fails it never."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings

from smclient import SecretsClient
from smclient.testing import FakeBackend
from smclient_django import clients
from smclient_django.fresh import RETRY, Freshness

Settings = dict[str, dict[str, Any]]


@pytest.fixture
def unopened(tmp_path: Path) -> Iterator[Settings]:
    """Settings whose backend cannot be opened: the file store is missing."""
    settings = {"default": {"BACKEND": f"file://{tmp_path}/missing.sms"}}
    with override_settings(SMCLIENT=settings):
        yield settings


def answers(request: HttpRequest) -> HttpResponse:
    """A view that uses no secret."""
    return HttpResponse("here")


def test_a_backend_that_cannot_be_opened_fails_no_request(unopened: Settings, views: Any) -> None:
    """Whoever uses a value is told; a page that uses none works."""
    views(answers)
    with override_settings(MIDDLEWARE=[]):
        assert Client().get("/tested/").content == b"here"


def test_what_cannot_be_opened_is_told_and_tried_again_after_ten_seconds(
    unopened: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """Not by each request."""
    now = [0.0]
    receiver = Freshness(now=lambda: now[0])
    for _ in range(3):
        receiver()
    assert caplog.text.count("smclient[default]") == 1
    assert "missing.sms" in caplog.text
    now[0] = RETRY
    receiver()
    assert caplog.text.count("smclient[default]") == 2


def test_wrong_settings_are_told_as_often(caplog: pytest.LogCaptureFixture) -> None:
    """They are no different."""
    receiver = Freshness(now=lambda: 0.0)
    with override_settings(SMCLIENT={"default": {"BACKEND": "nothing://"}}):
        for _ in range(3):
            receiver()
    assert caplog.text.count("smclient[default]") == 1


def test_a_client_that_somebody_opened_meanwhile_is_kept_fresh_at_once(
    unopened: Settings, backend: FakeBackend
) -> None:
    """A view that used a value, for one."""
    receiver = Freshness(now=lambda: 0.0)
    receiver()
    with clients.replaced("default", SecretsClient(backend)):
        receiver()
        assert backend.count("BatchGetSecretValue") == 1
