"""System checks. Those that ask a backend run with ``check --deploy`` only (tag
``smclient_network``): in ``manage.py runserver`` or ``migrate`` a check asks nobody.

E001 a bad reference                          W001 SECRET_KEY is a secret, its fallbacks are not
E002 SMCLIENT: backend, setting or alias      W002 a pool's time-out hides a refused login for 30 s
E003 a secret where plain text is needed      W003 the ttl is longer than the rotation interval
E004 a secret as broker URL                   W004 a secret is absent, denied, or lacks the key
E005 a deployment reads from null://          W005 a database secret is not rotated
E006 DATABASES: SECRET does not fit           W006 no database of that entry can use SECRET
                                              W007 DescribeSecret is denied
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.conf import settings
from django.core import checks as django_checks
from django.core.checks import CheckMessage, Error, Tags, register

from smclient import SmclientError
from smclient.backend import find_backend
from smclient.references import shown
from smclient_django import discover
from smclient_django.clients import BUILD_SCHEME, SETTING, clients
from smclient_django.db.wanted import SECRET, wanted_by
from smclient_django.errors import SecretConfigError
from smclient_django.network import unreadable_secrets, unrotated_secrets
from smclient_django.values import Secret, SecretKeyFallbacks

TAG = "smclient"
NETWORK_TAG = "smclient_network"
POOL_TIMEOUT = 30.0

_BROKERS = ("CELERY_BROKER_URL", "BROKER_URL", "CELERY_RESULT_BACKEND", "CELERY_BROKER_READ_URL")
_PLAIN = re.compile(
    r"LOGGING|LOGGING_CONFIG|.*_URL|.*_DSN|ALLOWED_HOSTS|CSRF_TRUSTED_ORIGINS|ROOT_URLCONF"
    r"|DEFAULT_FROM_EMAIL|SERVER_EMAIL|CACHES|TIME_ZONE|LANGUAGE_CODE|.*_COOKIE_NAME"
)
_PLAIN_IN_DATABASES = ("mysql", "oracle", "sqlite3")


Check = Callable[[], Iterable[CheckMessage]]


def _register(*tags: str, deploy: bool = False) -> Callable[[Check], Check]:
    def decorate(check: Check) -> Check:
        def run(app_configs: Any, **_: Any) -> list[CheckMessage]:
            try:
                return list(check())
            except SecretConfigError:
                return []  # a bad SMCLIENT is E002's to tell, once

        register(run, *tags, deploy=deploy)
        return check

    return decorate


@_register(TAG)
def check_references() -> Iterator[CheckMessage]:
    """E001."""
    for found in discover.found_in_settings():
        if found.value.problem is not None:
            yield Error(
                f"settings.{found.setting}: {found.value.problem}",
                hint="write it as secret://NAME#key; `smclient ref explain` shows how it is read",
                id="smclient.E001",
            )


@_register(TAG)
def check_clients() -> Iterator[CheckMessage]:
    """E002."""
    used = {found.value.alias for found in discover.found_in_settings()}
    for alias in dict.fromkeys([*clients.aliases(), *sorted(used)]):
        try:
            backend, _ = clients.config(alias)
            if isinstance(backend, str):
                find_backend(backend)
        except SecretConfigError as error:
            yield Error(str(error), id="smclient.E002")
        except SmclientError as error:
            yield Error(f"settings.{SETTING}[{alias!r}]: {error}", id="smclient.E002")


@_register(TAG)
def check_plain_settings() -> Iterator[CheckMessage]:
    """E003, E004."""
    for found in discover.found_in_settings():
        if not isinstance(found.value, Secret):
            continue
        if found.path[0] in _BROKERS:
            yield Error(
                f"settings.{found.setting} is {found.value!r}: kombu reads a broker URL as text "
                "and would connect without a password",
                hint=f"{found.path[0]} = secret_now({shown(found.value.reference)!r})",
                id="smclient.E004",
            )
        elif _PLAIN.fullmatch(found.path[0]) or _in_a_driver_that_wants_text(found):
            yield Error(
                f"settings.{found.setting} is {found.value!r}, and what reads that setting needs "
                "plain text",
                hint="use secret_now() there, which does not follow the secret; for a database, "
                "ENGINE = 'smclient_django.db.…' with SECRET",
                id="smclient.E003",
            )


def _in_a_driver_that_wants_text(found: discover.Found) -> bool:
    if found.path[0] != "DATABASES" or len(found.path) < 2:
        return False
    engine = settings.DATABASES[found.path[1]].get("ENGINE", "")
    return engine.rpartition(".")[2] in _PLAIN_IN_DATABASES


@_register(TAG)
def check_databases() -> Iterator[CheckMessage]:
    """E006, W002, W006."""
    for alias, entry in settings.DATABASES.items():
        where = f"settings.DATABASES[{alias!r}]"
        try:
            wanted = wanted_by(alias, entry)
            if wanted is not None:
                clients.config(wanted.alias)
        except SecretConfigError as error:
            yield Error(str(error), id="smclient.E006")
            continue
        if wanted is None:
            continue
        if str(entry.get("ENGINE", "")).startswith("django."):
            name = str(entry["ENGINE"]).rpartition(".")[2]
            yield django_checks.Warning(
                f"{where} has {SECRET}, and its ENGINE {entry['ENGINE']!r} does not know that",
                hint=f"ENGINE = 'smclient_django.db.{name}'",
                id="smclient.W006",
            )
        pool = (entry.get("OPTIONS") or {}).get("pool")
        timeout = pool.get("timeout", POOL_TIMEOUT) if isinstance(pool, dict) else POOL_TIMEOUT
        if pool and timeout >= POOL_TIMEOUT:
            yield django_checks.Warning(
                f"{where}: a request waits {timeout:g} s for the pool before it says that a login "
                "was refused",
                hint="OPTIONS = {'pool': {'timeout': 10}}: longer than SMCLIENT's LOGIN_WAIT",
                id="smclient.W002",
            )


@_register(TAG)
def check_fallbacks() -> Iterator[CheckMessage]:
    """W001."""
    key, fallbacks = discover.setting("SECRET_KEY"), settings.SECRET_KEY_FALLBACKS
    if isinstance(key, Secret) and not isinstance(fallbacks, SecretKeyFallbacks):
        yield django_checks.Warning(
            f"SECRET_KEY is {key!r} and SECRET_KEY_FALLBACKS does not follow it: every rotation "
            "ends all sessions, and workers refuse each other's for up to a ttl",
            hint=f"SECRET_KEY_FALLBACKS = secret_fallbacks({shown(key.reference)!r})",
            id="smclient.W001",
        )


@_register(TAG, Tags.security, deploy=True)
def check_no_placeholders() -> Iterator[CheckMessage]:
    """E005."""
    for alias in clients.aliases():
        backend, _ = clients.config(alias)
        if isinstance(backend, str) and backend.startswith(BUILD_SCHEME):
            yield Error(
                f"settings.{SETTING}[{alias!r}] reads from null://, where every secret is a "
                "placeholder that everybody knows",
                hint="null:// is for builds (collectstatic); unset SMCLIENT_BACKEND to serve",
                id="smclient.E005",
            )


@_register(NETWORK_TAG, deploy=True)
def check_secrets_can_be_read() -> Iterator[CheckMessage]:
    """W004: one batch for each alias."""
    for trouble in unreadable_secrets():
        yield django_checks.Warning(f"{trouble.where}: {trouble.said}", id="smclient.W004")


@_register(NETWORK_TAG, deploy=True)
def check_rotation() -> Iterator[CheckMessage]:
    """W003, W005, W007: one DescribeSecret for each secret of a database or the key."""
    for trouble in unrotated_secrets():
        yield django_checks.Warning(
            f"{trouble.where}: {trouble.said}", hint=trouble.hint, id=trouble.check_id
        )
