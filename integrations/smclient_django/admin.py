"""A page of the admin that shows which settings read which secrets, in which version. No values,
nothing to change."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from smclient_django import status
from smclient_django.clients import clients
from smclient_django.models import SecretStatus


@admin.register(SecretStatus)
class SecretStatusAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """For who has the permission ``smclient_django.view_secretstatus``."""

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": "Secrets",
            "opts": self.model._meta,
            "rows": status.rows(),
            "clients": [_client(alias) for alias in clients.aliases()],
            **(extra_context or {}),
        }
        return TemplateResponse(request, "smclient_django/status.html", context)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False


def _client(alias: str) -> dict[str, Any]:
    usage = clients[alias].usage()
    return {
        "alias": alias,
        "reads": usage.reads,
        "hits": usage.hits,
        "calls": sum(usage.api_calls.values()),
    }
