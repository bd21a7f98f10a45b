"""What commands over a store share: the option that names it, opening it, scopes and times."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from smclient.backend import BackendUrl
from smclient.clock import SYSTEM_CLOCK
from smclient.errors import ConfigError
from smclient_embedded.store import Scope, Store, load_store

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

store_option = click.option(
    "--store",
    "url",
    required=True,
    metavar="URL",
    envvar="SMCLIENT_STORE",
    show_envvar=True,
    help="The store, such as embedded:///abs/secrets.db.",
)
account_option = click.option("--account", metavar="ID", help="Of this account only.")
region_option = click.option("--region", help="Of this region only.")


@contextmanager
def opened(url: str) -> Iterator[Store]:
    """The store that a URL names, which must be there already. No master key is needed: what these
    commands show is not sealed.

    Raises:
        ConfigError: there is no store, or it is one in memory, which dies with its process.
        StoreError
    """
    check_there(url)
    store = load_store(BackendUrl.parse(url), clock=SYSTEM_CLOCK)
    try:
        yield store
    finally:
        store.close()


def check_there(url: str) -> None:
    """Refuse a URL that names no store yet: a typing error must not make one.

    Raises:
        ConfigError: there is no store, or it is one in memory, which dies with its process.
    """
    parsed = BackendUrl.parse(url)
    if parsed.scheme in ("embedded", "file"):
        if not parsed.path:
            raise ConfigError(f"{url} is a store in the memory of one process; name one that lasts")
        if not Path(parsed.path).exists():
            raise ConfigError(f"there is no store at {parsed.path}")


def wanted_scopes(
    scopes: Iterable[Scope], *, account: str | None, region: str | None
) -> list[Scope]:
    """The scopes of an account and a region, each if given."""
    return [
        scope
        for scope in scopes
        if account in (None, scope.account) and region in (None, scope.region)
    ]


def read_moment(_: click.Context, option: click.Parameter, value: str | None) -> datetime | None:
    """A time: ISO 8601 (UTC unless it says), or how long ago: ``90s``, ``15m``, ``2h``, ``7d``.

    Raises:
        BadParameter: it is neither.
    """
    if value is None:
        return None
    ago = re.fullmatch(r"([0-9]{1,9})([smhdw])", value)
    try:
        if ago is not None:
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        moment = datetime.fromisoformat(value)
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{value!r} is no time; write 2026-11-25T10:00:00Z, or 2h for two hours ago",
            param=option,
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def read_pairs(given: Iterable[str], option: str) -> dict[str, str]:
    """What an option was given several times as ``NAME=VALUE``.

    Raises:
        UsageError: one is none.
    """
    pairs: dict[str, str] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{option} {each!r} has to be NAME=VALUE")
        pairs[name] = value
    return pairs
