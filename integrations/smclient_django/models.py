"""The model behind the admin's page: no table, only a name and a permission to view."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class SecretStatus(models.Model):
    """What settings refer to. Has no rows; the page shows the settings themselves."""

    class Meta:
        managed = False
        default_permissions: ClassVar[tuple[str, ...]] = ("view",)
        verbose_name = "secret"
        verbose_name_plural = "secrets"
