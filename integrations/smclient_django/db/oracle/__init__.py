"""``ENGINE = "smclient_django.db.oracle"``."""
