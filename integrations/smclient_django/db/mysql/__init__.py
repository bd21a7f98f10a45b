"""``ENGINE = "smclient_django.db.mysql"``."""
