"""``smclient doctor``: whether this machine can read its secrets, and if not, why."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TextIO
from urllib.parse import urlsplit

import click

from smclient import references
from smclient.backend import DEFAULT_BACKEND, BackendUrl, require_aws
from smclient.cli.options import backend_option, json_option, print_json, print_table
from smclient.cli.root import exit_code
from smclient.client import SecretsClient
from smclient.clock import SYSTEM_CLOCK
from smclient.errors import (
    ConfigError,
    InvalidReferenceError,
    NotSupportedError,
    SmclientError,
)

SKEW = 300.0
"""Seconds of clock skew after which AWS refuses signatures."""
OVERRIDES = ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL")

_REFERENCE = re.compile(
    r"secret://[^\s\"'<>,]+|\{\{resolve:secretsmanager:[^{}\n]*(?:\}\})?"
    r"|(?:optional:)?aws-secretsmanager:[^\s\"'<>,]+"
)


@dataclass(frozen=True, slots=True)
class Check:
    """One question and its answer: ``ok``, ``note`` or ``fail``, with the exit code it asks for."""

    check: str
    status: str
    detail: str
    code: int = 0


@click.command()
@click.option("--secret", "secrets", multiple=True, metavar="NAME", help="Try to read it, too.")
@click.option(
    "--references",
    "file",
    type=click.File(encoding="utf-8", errors="replace"),
    help="Resolve every reference in this file.",
)
@backend_option
@json_option
def doctor(
    secrets: tuple[str, ...], file: TextIO | None, backend: str | None, as_json: bool
) -> None:
    """Check backend, endpoint, identity, clock and permissions by calls that change nothing.

    Exits with 0 if nothing failed, else with the code of the first failure. Shows no value.
    """
    checks = list(_checks(backend, secrets, file))
    if as_json:
        rows = [{"check": c.check, "status": c.status, "detail": c.detail} for c in checks]
        print_json({"ok": all(c.status != "fail" for c in checks), "checks": rows})
    else:
        print_table(("", "CHECK", "DETAIL"), [(c.status, c.check, c.detail) for c in checks])
    raise click.exceptions.Exit(next((c.code for c in checks if c.status == "fail"), 0))


def _checks(backend: str | None, secrets: tuple[str, ...], file: TextIO | None) -> Iterator[Check]:
    url = backend or os.environ.get("SMCLIENT_BACKEND") or DEFAULT_BACKEND
    try:
        client = SecretsClient(url)
        scheme = BackendUrl.parse(url).scheme
    except SmclientError as error:
        yield _failed("backend", error)
        return
    with client:
        yield Check("backend", "ok", f"{scheme}:")
        try:
            identity = client.identity()
        except SmclientError as error:
            yield _failed("identity", error)
            return
        who = f"{identity.principal or 'unknown'}, account {identity.account or 'unknown'}"
        yield Check("identity", "ok", f"{who}, region {identity.region or 'unknown'}")
        yield from _endpoint(client, scheme, re.sub(r"//[^/@]*@", "//", identity.endpoint))
        if identity.endpoint.startswith("https://"):
            yield _clock(identity.endpoint)
        yield _tried("ListSecrets", lambda: client.call("ListSecrets", MaxResults=1), optional=True)
        for name in secrets:
            yield from _secret(client, name)
        if file is not None:
            yield from _references(client, file)


def _endpoint(client: SecretsClient, scheme: str, endpoint: str) -> Iterator[Check]:
    if scheme != "aws":
        yield Check("endpoint", "ok", endpoint)
        return
    try:
        require_aws(client._backend)
        yield Check("endpoint", "ok", endpoint)
    except ConfigError:
        yield Check("endpoint", "note", f"{endpoint} is not AWS's own")
    for name in OVERRIDES:
        if os.environ.get(name):
            yield Check("endpoint", "note", f"{name} is set")


def _clock(endpoint: str) -> Check:
    """AWS refuses signatures of a clock that is five minutes off."""
    from email.utils import parsedate_to_datetime
    from http.client import HTTPException, HTTPSConnection

    parts = urlsplit(endpoint)
    connection = HTTPSConnection(parts.hostname or "", parts.port or 443, timeout=5)
    try:
        connection.request("HEAD", "/")
        theirs = parsedate_to_datetime(connection.getresponse().headers["Date"])
    except (OSError, HTTPException, TypeError, ValueError) as error:
        return Check("clock", "note", f"the endpoint did not tell its time: {type(error).__name__}")
    finally:
        connection.close()
    return skew_check(theirs, SYSTEM_CLOCK.now())


def skew_check(theirs: datetime, ours: datetime) -> Check:
    """Whether two clocks are near enough for signatures."""
    skew = (ours - theirs).total_seconds()
    if abs(skew) >= SKEW:
        return Check("clock", "fail", f"off by {skew:+.0f} s; AWS refuses 300 s and more", 1)
    return Check("clock", "ok", f"off by {skew:+.0f} s")


def _secret(client: SecretsClient, name: str) -> Iterator[Check]:
    yield _tried(f"GetSecretValue {name}", lambda: client.get(name, max_age=0))
    yield _tried(
        f"DescribeSecret {name}", lambda: client.call("DescribeSecret", SecretId=name), True
    )
    yield _tried(
        f"BatchGetSecretValue {name}",
        lambda: client.call("BatchGetSecretValue", SecretIdList=[name]),
        optional=True,
    )


def _tried(check: str, ask: Callable[[], Any], optional: bool = False) -> Check:
    try:
        ask()
    except NotSupportedError as error:
        return Check(check, "note", str(error))
    except SmclientError as error:
        if optional and exit_code(error) == 4:
            return Check(check, "note", f"denied; smclient does without it: {error}")
        return _failed(check, error)
    return Check(check, "ok", "allowed")


def _references(client: SecretsClient, file: TextIO) -> Iterator[Check]:
    """Every reference in a file, by line: it parses, and its secret has what it names."""
    for number, line in enumerate(file, 1):
        for match in _REFERENCE.finditer(line):
            check = f"{file.name}:{number}"
            try:
                resolved = client.resolve(references.parse(match[0]))
            except InvalidReferenceError as error:
                yield _failed(check, error)
            except SmclientError as error:
                yield _failed(f"{check} {match[0]}", error)
            else:
                absent = resolved is None
                detail = f"{match[0]}{' is absent, and optional' if absent else ''}"
                yield Check(check, "note" if absent else "ok", detail)


def _failed(check: str, error: SmclientError) -> Check:
    return Check(check, "fail", str(error), exit_code(error))
