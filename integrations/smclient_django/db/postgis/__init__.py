"""``ENGINE = "smclient_django.db.postgis"``."""
