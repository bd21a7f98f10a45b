"""Settings without a secret in them. What smclient adds is marked with (*)."""

import os
from pathlib import Path

from smclient_django import secret, secret_fallbacks  # (*)

BASE_DIR = Path(__file__).parents[1]

# (*) Where secrets are: SMCLIENT_BACKEND, else AWS. A value is served for TTL seconds.
SMCLIENT = {"default": {"TTL": float(os.environ.get("SHOP_TTL", "300"))}}

# (*) Read when used, so that importing this asks nobody.
SECRET_KEY = secret("secret://shop/web#session_key")
SECRET_KEY_FALLBACKS = secret_fallbacks("secret://shop/web#session_key")
PAYMENT_KEY = secret("secret://shop/payment#api_key")

# (*) User, password, host, port and name come from the secret.
DATABASES = {"default": {"ENGINE": "smclient_django.db.postgresql", "SECRET": "shop/database"}}

DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
INSTALLED_APPS = [
    "smclient_django",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "shop",
]
MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware"]
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"
STATIC_ROOT = os.environ.get("SHOP_STATIC_ROOT", str(BASE_DIR / "static"))
TIME_ZONE = "UTC"
USE_TZ = True
