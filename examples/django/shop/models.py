"""One table."""

from django.db import models


class Visit(models.Model):
    """Somebody looked at the front page."""

    at = models.DateTimeField(auto_now_add=True)
