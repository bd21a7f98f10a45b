"""``smclient audit``: looking into the audit trail of a store."""

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import click

from smclient.cli.options import json_option, print_json, print_table
from smclient.errors import ConfigError
from smclient_embedded.audit import AuditTrail
from smclient_embedded.audit.logfiles import export as write_log_files
from smclient_embedded.audit.lookup import AuditFilter, resources, username
from smclient_embedded.store import AuditRecord, Scope
from smclient_embedded.store_options import (
    account_option,
    opened,
    read_moment,
    region_option,
    store_option,
    wanted_scopes,
)

LOOK_BACK = timedelta(seconds=10)
"""How late a record may come to be there, after one that was written later."""

_EVERY_SECONDS = 1.0
_NOWHERE = Scope("", "")

_since_option = click.option(
    "--since", callback=read_moment, metavar="TIME", help="Not before: a time, or 2h for ago."
)
_until_option = click.option("--until", callback=read_moment, metavar="TIME", help="Not after.")


@click.group()
def audit() -> None:
    """Who did what with which secret, in CloudTrail's shape."""


@audit.command()
@store_option
@click.option("--event-name", metavar="NAME", help="Such as GetSecretValue or RotationFailed.")
@click.option("--event-source", metavar="SOURCE", help="Such as kms.amazonaws.com.")
@click.option("--username", metavar="NAME", help="A user, a session, or root.")
@click.option("--resource-name", metavar="NAME", help="A secret by name or ARN, or a key's ARN.")
@click.option("--resource-type", metavar="TYPE", help="Such as AWS::SecretsManager::Secret.")
@click.option("--event-id", metavar="ID")
@click.option("--access-key-id", metavar="AK")
@click.option("--read-only/--writes-only", "read_only", default=None, help="Only reads, or none.")
@_since_option
@_until_option
@click.option("--limit", default=50, show_default=True, type=click.IntRange(min=1))
@account_option
@region_option
@json_option
def lookup(
    url: str,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    account: str | None,
    region: str | None,
    as_json: bool,
    **attributes: Any,
) -> None:
    """The newest records that have all the attributes given, newest first."""
    wanted = AuditFilter.of(**attributes)
    with _trail(url) as trail:
        scopes = wanted_scopes(trail.scopes(), account=account, region=region)
        streams = [trail.newest_first(scope, since=since, until=until) for scope in scopes]
        merged = heapq.merge(*streams, key=lambda record: record.at, reverse=True)
        fitting = (record for record in merged if wanted.wants(record.document))
        found = list(islice(fitting, limit))
    if as_json:
        print_json([dict(record.document) for record in found])
    else:
        print_table(("TIME", "EVENT", "WHO", "WHAT", "OUTCOME"), map(_row, found))


@audit.command()
@store_option
@click.option("-n", "--lines", default=20, show_default=True, type=click.IntRange(min=0))
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until interrupted.")
@account_option
@region_option
@json_option
def tail(
    url: str, lines: int, follow: bool, account: str | None, region: str | None, as_json: bool
) -> None:
    """The last records, oldest first, one a line. A server writes reads within a second."""
    with _trail(url) as trail:
        followed = tailed(
            trail,
            lambda: wanted_scopes(trail.scopes(), account=account, region=region),
            last=lines,
            wait=(lambda: time.sleep(_EVERY_SECONDS)) if follow else None,
        )
        for record in followed:
            click.echo(json.dumps(record.document) if as_json else "  ".join(_row(record)))


@audit.command()
@store_option
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@_since_option
@_until_option
@account_option
@region_option
@json_option
def export(
    url: str,
    folder: Path,
    since: datetime | None,
    until: datetime | None,
    account: str | None,
    region: str | None,
    as_json: bool,
) -> None:
    """Write CloudTrail log files under FOLDER, as CloudTrail lays them out in a bucket."""
    with _trail(url) as trail:
        scopes = wanted_scopes(trail.scopes(), account=account, region=region)
        try:
            files = write_log_files(trail, folder, scopes=scopes, since=since, until=until)
        except OSError as error:
            raise click.ClickException(
                f"{folder} cannot be written to: {error.strerror}"
            ) from error
    if as_json:
        print_json({"files": [str(path) for path in files]})
    else:
        for path in files:
            click.echo(str(path))


def tailed(
    trail: AuditTrail,
    scopes: Callable[[], Sequence[Scope]],
    *,
    last: int,
    wait: Callable[[], object] | None,
) -> Iterator[AuditRecord]:
    """The last records of some scopes, oldest first; then, after each ``wait``, what is new.

    Each look goes back over what was seen, ``LOOK_BACK`` before the newest: in PostgreSQL a record
    may come to be there after one that stands behind it.
    """
    seen: dict[Scope, set[str]] = {}
    first = [record for scope in scopes() for record in _since_seen(trail, scope, seen, limit=last)]
    yield from _oldest_first(first)[len(first) - min(last, len(first)) :]
    while wait is not None:
        wait()
        new = [record for scope in scopes() for record in _since_seen(trail, scope, seen)]
        yield from _oldest_first(new)


def _since_seen(
    trail: AuditTrail, scope: Scope, seen: dict[Scope, set[str]], *, limit: int | None = None
) -> list[AuditRecord]:
    """The records that were not seen before; what was looked at is noted. The first look, which
    has a ``limit``, goes on until it has so many."""
    before = seen.get(scope, set())
    found: list[AuditRecord] = []
    looked_at: set[str] = set()
    horizon: datetime | None = None
    for record in trail.newest_first(scope):
        horizon = horizon or record.at - LOOK_BACK
        looked_at.add(record.event_id)
        if record.event_id not in before:
            found.append(record)
        is_enough = record.event_id in before if limit is None else len(found) >= limit
        if is_enough and record.at < horizon:
            break
    seen[scope] = looked_at or before
    return found


def _oldest_first(records: list[AuditRecord]) -> list[AuditRecord]:
    in_order = records[::-1]
    in_order.sort(key=lambda record: record.at)
    return in_order


@contextmanager
def _trail(url: str) -> Iterator[AuditTrail]:
    """The trail of the store that a URL names."""
    with opened(url) as store:
        if store.keyring() is not None:
            raise ConfigError(
                "the encrypted file keeps no audit trail: only the process that has it open "
                "remembers one. Use an SQLite or PostgreSQL store"
            )
        yield AuditTrail(store, time.monotonic, _NOWHERE)


def _row(record: AuditRecord) -> tuple[str, ...]:
    document: Mapping[str, Any] = record.document
    named: Iterable[str] = (name for _, name in resources(document))
    return (
        str(document["eventTime"]),
        record.event_name,
        username(document) or "",
        next(iter(named), ""),
        str(document.get("errorCode", "ok")),
    )
