"""``ENGINE = "smclient_django.db.postgresql"``."""
