"""The command line of ``smclient serve``, and what of it does not go together."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import click

from smclient.backend import BackendUrl


@dataclass(frozen=True, slots=True)
class Options:
    """The command line, as it was given."""

    url: str
    host: str
    port: int
    account: str | None
    region: str | None
    access_key: str | None
    secret_key: str | None = field(repr=False)
    key_file: Path | None
    no_verify_signatures: bool
    use_tls: bool
    tls_dir: Path | None
    insecure_http: bool
    extra_hosts: tuple[str, ...]
    behind_proxy: bool
    max_body: int
    access: Literal["enforce", "audit"]
    config_file: Path | None
    max_connections: int
    init_file: Path | None
    allow_control: bool
    allow_function_upload: bool
    function_pythons: tuple[str, ...]
    workers: int
    as_json: bool


def refuse_open_doors(options: Options) -> None:
    """Refuse what would let others in, or read along. Raises ``click.UsageError``."""
    from smclient_embedded.http.hosts import is_loopback

    if options.allow_function_upload and options.no_verify_signatures:
        raise click.UsageError(
            "--allow-function-upload needs verified signatures, as it lets whoever asks run code "
            "here; there is no option that allows both"
        )
    if options.function_pythons and not options.allow_function_upload:
        raise click.UsageError("--function-python is for --allow-function-upload")
    if is_loopback(options.host):
        return
    if options.no_verify_signatures:
        raise click.UsageError(
            f"--no-verify-signatures would let everybody read every secret, and {options.host} is "
            "not this machine's loopback; there is no option that allows it"
        )
    if not (options.use_tls or options.insecure_http):
        raise click.UsageError(
            f"secrets would cross the network in clear text, as {options.host} is not this "
            "machine's loopback: use --tls, or --insecure-http if something else encrypts"
        )


def refuse_workers_apart(options: Options) -> None:
    """Refuse what only one process can have: a store in its memory, a clock and faults of its
    own, a secret that is read from a stream."""
    if options.workers == 1:
        return
    if not hasattr(os, "fork"):
        raise click.UsageError("--workers needs a system that forks processes; this one does not")
    url = BackendUrl.parse(options.url)
    if url.scheme == "embedded" and not url.path:
        raise click.UsageError(
            f"--workers {options.workers} needs a store that they can share: an SQLite file, "
            "PostgreSQL or an encrypted file; name it with --store"
        )
    if options.allow_control:
        raise click.UsageError(
            "--control moves the clock and makes faults in one process; it goes without --workers"
        )
    if url.scheme == "file" and _has_functions(options):
        raise click.UsageError(
            "an encrypted file keeps no functions, so each worker would have its own; leave out "
            "--workers, or use a store in SQLite or PostgreSQL"
        )
    if options.secret_key == "-":  # noqa: S105  standard input
        raise click.UsageError("--secret-key - can be read once only; use @FILE with --workers")


def _has_functions(options: Options) -> bool:
    from smclient_embedded.config import read_config

    configured = options.config_file is not None and read_config(options.config_file).functions
    return options.allow_function_upload or bool(configured)
